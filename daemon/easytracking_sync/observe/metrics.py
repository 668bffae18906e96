"""Metrics for Prometheus: counters of events, and gauges that are read from the archive.

Names follow the conventions of Prometheus. Label values are bounded: configured accounts, known calls and statuses,
and "other" for anything else.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from easytracking_sync import __version__
from easytracking_sync.alarm_terms import AccountCondition, AlarmKind
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.effects import Clock
from easytracking_sync.events import EventName
from easytracking_sync.observe.snapshot_cache import Readings
from easytracking_sync.terms import DocumentState, PauseReason

PREFIX = "easytracking"
OTHER = "other"
CALLS = (
    "log in",
    "list",
    "reserve",
    "fetch",
    "set-fase-1",
    "clear-fase-1",
    "set-fase-2",
    "clear-fase-2",
)
CODES = (200, 201, 202, 204, 301, 302, 400, 401, 403, 404, 405, 407, 408, 410, 413, 429, 500, 502, 503, 504)
STATUSES = frozenset({*map(str, CODES), "none", "torn"})
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
RETRIES: Mapping[EventName, str] = {
    EventName.LIST_FAILED: "list_failed",
    EventName.BATCH_UNAVAILABLE: "unavailable",
    EventName.BATCH_STORAGE_FAILED: "storage_failed",
    EventName.BATCH_LOST: "lost",
    EventName.BATCH_REFUSED: "refused",
    EventName.BATCH_SPLIT: "split",
    EventName.BATCH_ABANDONED: "abandoned",
    EventName.PARCEL_GONE: "parcel_gone",
}
"""Event → the reason for which something is tried again."""

LEVELS = ("info", "warning", "error", "critical")
OUTCOMES = ("complete", "interrupted", "truncated")
"""The outcomes of cycles; a record may also have a sentence, which counts as other."""


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a scrape."""

    content_type: str
    body: bytes


def _waiting_seconds(one: AccountCondition, now: datetime) -> float:
    return max(0.0, (now - one.waiting_since).total_seconds()) if one.waiting_since else 0.0


CONDITIONS: Mapping[str, tuple[str, Callable[[AccountCondition, datetime], float]]] = {
    "documents_waiting": (
        "Documents that are not stored, or stored and not acknowledged; without those in quarantine.",
        lambda one, _: one.waiting,
    ),
    "oldest_waiting_seconds": ("How long the oldest of those has waited; 0 if none waits.", _waiting_seconds),
    "documents_quarantined": (
        "Documents in quarantine, including those that are being retried.",
        lambda one, _: one.count(AlarmKind.QUARANTINE),
    ),
    "documents_unacknowledgeable": (
        "Stored documents whose acknowledgement the service refuses.",
        lambda one, _: one.count(AlarmKind.UNACKNOWLEDGEABLE),
    ),
    "documents_incomplete": (
        "Documents that lack a file asked for in vain.",
        lambda one, _: one.count(AlarmKind.INCOMPLETE),
    ),
    "documents_altered": (
        "Documents that changed under their id in the last seven days; both versions are kept.",
        lambda one, _: one.count(AlarmKind.CHANGED),
    ),
    "documents_rotten": (
        "Documents whose stored bytes were found rotten in those days.",
        lambda one, _: one.count(AlarmKind.ROTTEN),
    ),
    "last_success_timestamp_seconds": (
        "When a cycle was last complete; 0 if never.",
        lambda one, _: one.last_success_at.timestamp() if one.last_success_at else 0.0,
    ),
}
"""The gauges of each account, by name."""


class Metrics:
    """An observer that counts events.

    `accounts` are the configured accounts, `beat_age` returns the seconds since the last turn of the service's main
    loop, and `reserve_bytes` is the free space below which nothing new is fetched.
    """

    def __init__(
        self,
        accounts: Collection[str],
        readings: Readings,
        clock: Clock,
        *,
        beat_age: Callable[[], float],
        reserve_bytes: int,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the package has no annotation there
        self._accounts = frozenset(accounts)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._make_counters()
        self._make_histograms()
        self._make_gauges(beat_age, reserve_bytes)
        self._registry.register(_Standings(self._accounts, readings, clock))
        self._heard: Mapping[EventName, Callable[[Mapping[str, Any]], None]] = {
            EventName.CALL_ENDED: self._call_ended,
            EventName.CYCLE_ENDED: self._cycle_ended,
            EventName.CYCLE_SCHEDULED: self._cycle_scheduled,
            EventName.CYCLE_OVERLAPPED: lambda facts: self._overlaps.labels(self._account(facts)).inc(),
            EventName.SCHEDULE_STALLED: lambda _: self._stalls.inc(),
            EventName.CLOCK_JUMPED: lambda _: self._jumps.inc(),
            EventName.BATCH_STORED: lambda facts: self._count_documents(self._stored, facts),
            EventName.BATCH_ACKNOWLEDGED: lambda facts: self._count_documents(self._acknowledged, facts),
        }

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        """Count the event, and what it says."""
        level = level or name.level
        if level != "debug":
            self._events.labels(name).inc()
            self._notes.labels(level).inc()
        if name in RETRIES:
            self._retries.labels(RETRIES[name]).inc()
        if name in self._heard:
            self._heard[name](facts)

    def page(self) -> Page:
        """All metrics as text."""
        return Page(CONTENT_TYPE_LATEST, generate_latest(self._registry))

    def _make_counters(self) -> None:
        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", about, labels, registry=self._registry)

        self._events = counter("events", "Log events above the level debug, by name.", "event")
        self._notes = counter("notes", "Log events above the level debug, by level.", "level")
        self._retries = counter("retries", "Operations to be tried again, by reason.", "reason")
        self._calls = counter("calls", "Calls to the service, by status.", "call", "status")
        self._bytes = counter("received_bytes", "Bytes of the service's answers, before decompression.", "call")
        self._cycles = counter("cycles", "Cycles of an account, by outcome.", "account", "outcome")
        self._overlaps = counter("cycles_overlapped", "Cycles due while the last one still ran.", "account")
        self._stalls = counter("schedule_stalls", "Scheduled cycles that did not start by themselves.")
        self._jumps = counter("clock_jumps", "Times that the machine's clock was set, or the machine slept.")
        self._discovered = counter("documents_discovered", "New documents in lists.", "account")
        self._stored = counter("documents_stored", "Documents committed to the archive.", "account")
        self._acknowledged = counter("documents_acknowledged", "Documents acknowledged to the service.", "account")
        self._changed = counter("documents_changed", "Documents listed with other fields than before.", "account")
        for level in LEVELS:
            self._notes.labels(level)
        for reason in RETRIES.values():
            self._retries.labels(reason)
        for account in self._accounts:
            for one in (self._overlaps, self._discovered, self._stored, self._acknowledged, self._changed):
                one.labels(account)
            for outcome in OUTCOMES:
                self._cycles.labels(account, outcome)
        for call in CALLS:
            self._bytes.labels(call)

    def _make_histograms(self) -> None:
        self._seconds = Histogram(
            f"{PREFIX}_call_duration_seconds",
            "Seconds from sending a call to the end of its answer.",
            ("call",),
            buckets=SECONDS,
            registry=self._registry,
        )

    def _make_gauges(self, beat_age: Callable[[], float], reserve_bytes: int) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", about, labels, registry=self._registry)

        gauge("build_info", "Always 1; the labels have the versions.", "version", "python").labels(
            __version__, platform.python_version()
        ).set(1)
        gauge("loop_age_seconds", "Seconds since the last turn of the service's main loop.").set_function(beat_age)
        gauge("storage_reserve_bytes", "Nothing new is fetched below this free space.").set(reserve_bytes)
        self._next = gauge("next_cycle_timestamp_seconds", "When the account's next cycle is due.", "account")
        self._interval = gauge("cycle_interval_seconds", "The longest time between two scheduled cycles.", "account")

    def _account(self, facts: Mapping[str, Any]) -> str:
        account = str(facts.get("account", OTHER))
        return account if account in self._accounts else OTHER

    def _count_documents(self, counter: Counter, facts: Mapping[str, Any], key: str = "documents") -> None:
        counter.labels(self._account(facts)).inc(int(facts.get(key, 0)))

    def _call_ended(self, facts: Mapping[str, Any]) -> None:
        call = facts["call"] if facts["call"] in CALLS else OTHER
        self._calls.labels(call, facts["status"] if facts["status"] in STATUSES else OTHER).inc()
        self._seconds.labels(call).observe(facts["seconds"])
        self._bytes.labels(call).inc(facts["bytes"])

    def _cycle_ended(self, facts: Mapping[str, Any]) -> None:
        outcome = str(facts["outcome"])
        self._cycles.labels(self._account(facts), outcome if outcome in OUTCOMES else OTHER).inc()
        self._count_documents(self._discovered, facts, "discovered")
        self._count_documents(self._changed, facts, "changed")

    def _cycle_scheduled(self, facts: Mapping[str, Any]) -> None:
        at, account = facts["at"], self._account(facts)
        if isinstance(at, datetime):
            self._next.labels(account).set(at.timestamp())
        self._interval.labels(account).set(facts["longest_seconds"])


class _Standings:
    """Uses the latest reading at each scrape; while the database is down, the last known values."""

    def __init__(self, accounts: frozenset[str], readings: Readings, clock: Clock) -> None:
        self._accounts = accounts
        self._readings = readings
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Nothing: registration must not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges of every configured account."""
        reading = self._readings.latest()
        yield _gauge("database_up", "Whether the database answers.", (), {(): 0.0 if reading.trouble else 1.0})
        free = {(place,): float(count) for place, count in reading.free_bytes.items()}
        yield _gauge("storage_free_bytes", "Free disk space of the archive.", ("place",), free)
        overviews = [one for one in reading.overviews if one.account in self._accounts]
        yield _gauge(
            "documents",
            "Documents by state.",
            ("account", "state"),
            {(one.account, state.value): one.count(state) for one in overviews for state in DocumentState},
        )
        yield _gauge(
            "account_paused",
            "Whether an account is paused, by reason.",
            ("account", "reason"),
            {(s.account, reason.value): self._is_paused(s, reason) for s in overviews for reason in PauseReason},
        )
        unreadable = {(one.account,): float(one.unreadable) for one in overviews}
        yield _gauge(
            "elements_unreadable", "List elements without an id, in the last cycle.", ("account",), unreadable
        )
        conditions = [one for one in reading.conditions if one.label in self._accounts]
        for name, (about, number) in CONDITIONS.items():
            yield _gauge(
                name, about, ("account",), {(one.label,): number(one, self._clock.now()) for one in conditions}
            )

    def _is_paused(self, one: AccountOverview, reason: PauseReason) -> float:
        lasts = one.paused_until is not None and one.paused_until > self._clock.now()
        return float(lasts and one.pause_reason is reason)


def _gauge(name: str, about: str, labels: Sequence[str], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
