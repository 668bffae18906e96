"""Metrics: events are counted, the archive is read now and then, labels are bounded, nothing stops a scrape."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.events import EventName
from easytracking_sync.observe.metrics import Metrics
from easytracking_sync.observe.observers import Observers
from easytracking_sync.observe.snapshot_cache import FRESH_SECONDS, Readings
from easytracking_sync.terms import DocumentState, PauseReason

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OVERVIEW = AccountOverview(
    "acme",
    {DocumentState.ACKNOWLEDGED: 7, DocumentState.QUARANTINED: 1},
    unreadable=2,
    pause_reason=PauseReason.CREDENTIALS,
    paused_until=NOON + timedelta(hours=1),
)
CONDITION = AccountCondition(
    1,
    "acme",
    NOON - timedelta(days=9),
    last_success_at=NOON - timedelta(minutes=10),
    waiting=3,
    waiting_since=NOON - timedelta(minutes=2),
    counts={
        AlarmKind.QUARANTINE: 1,
        AlarmKind.UNACKNOWLEDGEABLE: 4,
        AlarmKind.INCOMPLETE: 5,
        AlarmKind.CHANGED: 6,
        AlarmKind.ROTTEN: 8,
    },
)


class StillClock:
    """Noon, until a test moves it; who waits really waits, for what another thread does."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(0.2 if seconds else 0)


@dataclass
class Source:
    """An archive that is asked, may be gone, and may hang until it is let go."""

    trouble: Exception | None = None
    asked: int = 0
    goes_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.goes_on.set()

    def look(self) -> tuple[tuple[AccountOverview, ...], tuple[AccountCondition, ...]]:
        self.asked += 1
        self.goes_on.wait(10)
        if self.trouble is not None:
            raise self.trouble
        stranger = AccountCondition(2, "stranger", NOON)
        return (OVERVIEW, AccountOverview("stranger")), (CONDITION, stranger)

    def free(self) -> dict[str, int]:
        return {"spool": 123}


@dataclass
class Bench:
    source: Source = field(default_factory=Source)
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        self.readings = Readings(self.source.look, self.source.free, self.clock)
        self.metrics = Metrics(["acme"], self.readings, self.clock, beat_age=lambda: 1.5, reserve_bytes=99)

    def value(self, name: str) -> float | None:
        """The sample of this name and these labels, as a scrape has it."""
        lines = self.metrics.page().body.decode().splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == f"easytracking_{name}"]
        return float(found[0]) if found else None


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ('documents{account="acme",state="acknowledged"}', 7),
        ('documents{account="acme",state="discovered"}', 0),
        ('documents_quarantined{account="acme"}', 1),
        ('documents_unacknowledgeable{account="acme"}', 4),
        ('documents_incomplete{account="acme"}', 5),
        ('documents_altered{account="acme"}', 6),
        ('documents_rotten{account="acme"}', 8),
        ('documents_waiting{account="acme"}', 3),
        ('oldest_waiting_seconds{account="acme"}', 120),
        ('last_success_timestamp_seconds{account="acme"}', (NOON - timedelta(minutes=10)).timestamp()),
        ('account_paused{account="acme",reason="credentials"}', 1),
        ('account_paused{account="acme",reason="permission"}', 0),
        ('elements_unreadable{account="acme"}', 2),
        ('storage_free_bytes{place="spool"}', 123),
        ("storage_reserve_bytes", 99),
        ("loop_age_seconds", 1.5),
        ("database_up", 1),
    ],
)
def test_gauges_are_read_from_the_archive(bench: Bench, name: str, value: float) -> None:
    assert bench.value(name) == value


def test_a_pause_that_ended_is_not_shown(bench: Bench) -> None:
    bench.clock.passed = 3601
    assert bench.value('account_paused{account="acme",reason="credentials"}') == 0


def test_accounts_that_the_configuration_does_not_have_are_not_shown(bench: Bench) -> None:
    bench.metrics.note(
        EventName.CYCLE_ENDED, account="a-stranger-or-a-canary", outcome="complete", discovered=1, changed=0
    )
    page = bench.metrics.page().body.decode()
    assert "stranger" not in page
    assert 'easytracking_cycles_total{account="other",outcome="complete"} 1.0' in page


def test_the_archive_is_asked_every_ten_seconds_however_often_it_is_scraped(bench: Bench) -> None:
    for passed, asked in ((0.0, 1), (FRESH_SECONDS - 0.1, 1), (FRESH_SECONDS, 2), (FRESH_SECONDS + 5, 2)):
        bench.clock.passed = passed
        bench.metrics.page()
        assert bench.source.asked == asked


@pytest.mark.parametrize("trouble", [DatabaseUnavailable("gone"), RuntimeError("a bug")])
def test_without_the_database_the_last_known_values_stay(bench: Bench, trouble: Exception) -> None:
    """Otherwise the alarm about a quarantine would end because nobody can look."""
    bench.metrics.page()
    bench.source.trouble, bench.clock.passed = trouble, 60.0
    assert bench.value("database_up") == 0
    assert bench.value('documents_quarantined{account="acme"}') == 1
    assert bench.value('oldest_waiting_seconds{account="acme"}') == 180
    bench.source.trouble, bench.clock.passed = None, 80.0
    assert bench.value("database_up") == 1


def test_without_any_reading_there_are_no_values(bench: Bench) -> None:
    bench.source.trouble = DatabaseUnavailable("gone")
    assert bench.value("database_up") == 0
    assert bench.value('documents_quarantined{account="acme"}') is None
    assert bench.value('storage_free_bytes{place="spool"}') == 123


def test_a_hanging_database_delays_no_scrape_and_is_queried_once(bench: Bench) -> None:
    bench.source.goes_on.clear()
    try:
        assert bench.value("database_up") == 0
        bench.clock.passed = 100.0
        assert bench.readings.latest().trouble == "no answer within 3 seconds"
        assert bench.source.asked == 1
    finally:
        bench.source.goes_on.set()


def test_calls_are_counted_by_status_and_timed(bench: Bench) -> None:
    for status, seconds in (("200", 0.2), ("200", 7.0), ("torn", 1.0)):
        bench.metrics.note(
            EventName.CALL_ENDED, "debug", account="acme", call="fetch", status=status, seconds=seconds, bytes=10
        )
    assert bench.value('calls_total{call="fetch",status="200"}') == 2
    assert bench.value('calls_total{call="fetch",status="torn"}') == 1
    assert bench.value('received_bytes_total{call="fetch"}') == 30
    assert bench.value('call_duration_seconds_bucket{call="fetch",le="0.25"}') == 1
    assert bench.value('call_duration_seconds_count{call="fetch"}') == 3
    assert bench.value('call_duration_seconds_sum{call="fetch"}') == 8.2


def test_unknown_calls_and_statuses_make_no_new_labels(bench: Bench) -> None:
    for status in ("299", "599", "777"):
        bench.metrics.note(EventName.CALL_ENDED, "debug", call="conjure", status=status, seconds=1.0, bytes=0)
    assert bench.value('calls_total{call="other",status="other"}') == 3


def test_cycles_are_counted_by_outcome_and_a_reason_counts_as_other(bench: Bench) -> None:
    for outcome in ("complete", "complete", "acme: list: refused (400)"):
        bench.metrics.note(EventName.CYCLE_ENDED, account="acme", outcome=outcome, discovered=2, changed=1)
    assert bench.value('cycles_total{account="acme",outcome="complete"}') == 2
    assert bench.value('cycles_total{account="acme",outcome="other"}') == 1
    assert bench.value('documents_discovered_total{account="acme"}') == 6
    assert bench.value('documents_changed_total{account="acme"}') == 3


@pytest.mark.parametrize(
    ("event", "facts", "name"),
    [
        (EventName.BATCH_STORED, {"account": "acme", "documents": 1}, 'documents_stored_total{account="acme"}'),
        (
            EventName.BATCH_ACKNOWLEDGED,
            {"account": "acme", "documents": 1},
            'documents_acknowledged_total{account="acme"}',
        ),
        (EventName.CYCLE_OVERLAPPED, {"account": "acme"}, 'cycles_overlapped_total{account="acme"}'),
        (EventName.SCHEDULE_STALLED, {}, "schedule_stalls_total"),
        (EventName.CLOCK_JUMPED, {}, "clock_jumps_total"),
        (EventName.LIST_FAILED, {}, 'retries_total{reason="list_failed"}'),
        (EventName.BATCH_UNAVAILABLE, {}, 'retries_total{reason="unavailable"}'),
        (EventName.BATCH_LOST, {}, 'retries_total{reason="lost"}'),
        (EventName.BATCH_SPLIT, {}, 'events_total{event="batch.split"}'),
        (EventName.BATCH_CRASHED, {}, 'notes_total{level="critical"}'),
    ],
)
def test_events_are_counted(bench: Bench, event: EventName, facts: dict[str, object], name: str) -> None:
    before = bench.value(name) or 0
    bench.metrics.note(event, **facts)  # type: ignore[arg-type]
    assert bench.value(name) == before + 1


def test_counters_are_zero_from_the_start(bench: Bench) -> None:
    """A counter that appears with its first increment hides that one from rate() and increase()."""
    for name in (
        'notes_total{level="critical"}',
        'retries_total{reason="lost"}',
        "schedule_stalls_total",
        'documents_acknowledged_total{account="acme"}',
        'cycles_total{account="acme",outcome="complete"}',
    ):
        assert bench.value(name) == 0


def test_the_next_cycle_and_the_longest_time_between_two_are_shown(bench: Bench) -> None:
    at = NOON + timedelta(minutes=15)
    bench.metrics.note(EventName.CYCLE_SCHEDULED, "debug", account="acme", at=at, longest_seconds=900.0)
    assert bench.value('next_cycle_timestamp_seconds{account="acme"}') == at.timestamp()
    assert bench.value('cycle_interval_seconds{account="acme"}') == 900


def test_debug_events_are_not_counted_as_log_events(bench: Bench) -> None:
    bench.metrics.note(EventName.CYCLE_SCHEDULED, "debug", account="acme", at=None, longest_seconds=1.0)
    assert bench.value('events_total{event="cycle.scheduled"}') is None


def test_an_observer_that_fails_does_not_affect_the_others() -> None:
    heard = []

    class Broken:
        def note(self, name: str, /, level: str = "", **facts: object) -> None:
            raise RuntimeError(name)

    class Listening:
        def note(self, name: str, /, level: str = "", **facts: object) -> None:
            heard.append((name, level, facts))

    Observers(Broken(), Listening(), Broken()).note(EventName.BATCH_STORED, level="debug", batch=1)
    assert heard == [("batch.stored", "debug", {"batch": 1})]
