"""The watch over a real archive: told once when it begins and once when it ends, also across restarts, instances,
channels that refuse, and a database that does not take it down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness
from tests.support.harness import Recorder, VirtualClock

from easytracking_sync.alarm_terms import AccountCondition
from easytracking_sync.archive import tables
from easytracking_sync.archive.alarms import AlarmChanges
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.observe.alarms.alarm_watch import EVERY_SECONDS, AlarmSettings, AlarmWatch
from easytracking_sync.observe.alarms.heartbeat import Heartbeat
from easytracking_sync.observe.alarms.message_queues import MessageQueues
from easytracking_sync.observe.alarms.messages import Message, MessageWriter
from easytracking_sync.observe.alarms.rules import Disk, Limits, Watched
from easytracking_sync.settings import Language
from easytracking_sync.terms import DocumentState, PauseReason

MINUTE = timedelta(seconds=EVERY_SECONDS)
HOUR = timedelta(hours=1)
LIMITS = Limits(backlog=timedelta(hours=24), free_bytes=1_000)
ROME = ZoneInfo("Europe/Rome")


@dataclass
class Mailbox:
    """A channel that keeps what it accepts."""

    accepts: bool = True
    name: str = "mailbox://example.com"
    messages: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> str:
        if self.accepts:
            self.messages.append(message)
        return "" if self.accepts else "busy"

    @property
    def titles(self) -> list[str]:
        return [message.title.removeprefix("easytracking-sync: ") for message in self.messages]


class Bench:
    """An archive with one account, a mailbox, and a watch that can be started anew."""

    def __init__(self, archive_harness: ArchiveHarness) -> None:
        self.archive_harness = archive_harness
        self.clock = VirtualClock(archive_harness.now)
        self.observer = Recorder()
        self.mailbox = Mailbox()
        self.alarm_settings = AlarmSettings(LIMITS, max_attempts=8)
        self.disk = Disk("/srv", 10_000)
        self.account_id = archive_harness.account()
        self.silent_after = timedelta(days=3650)
        self.rung: list[str] = []
        self.ring: Callable[[str], str] | None = None
        self._watches: list[tuple[AlarmWatch, MessageQueues]] = []
        self.watch, self.post = self.start()

    def start(self, archive: Archive | None = None) -> tuple[AlarmWatch, MessageQueues]:
        """A watch with a post of its own, as after a restart."""
        post = MessageQueues([self.mailbox], self.clock, self.observer)
        heart = Heartbeat("https://monitor.example/x", self.clock, self.observer, self.ring) if self.ring else None
        watch = AlarmWatch(
            archive or self.archive_harness.archive,
            self.clock,
            self.observer,
            self.alarm_settings,
            MessageWriter(Language.ENGLISH, ROME, "host", 500),
            post,
            heart,
            look=self._look,
            disk=lambda: self.disk,
        )
        self._watches.append((watch, post))
        return watch, post

    def restart(self, *, orderly: bool = True) -> None:
        """Another process takes over. Without order, what the post had is lost."""
        if orderly:
            self.watch.close(5.0)
        self.watch, self.post = self.start()

    def look(self, after: timedelta = MINUTE, watch: AlarmWatch | None = None) -> list[str]:
        """The titles of what was told by a look so long from now."""
        before = len(self.mailbox.titles)
        self.clock.forward(after)
        (watch or self.watch).beat([self.account_id])
        for _, post in self._watches:
            quiet(post)
        (watch or self.watch).beat([self.account_id])
        return self.mailbox.titles[before:]

    def change(self, table: sa.Table, **values: Any) -> None:
        with self.archive_harness.archive.database.write() as connection:
            connection.execute(sa.update(table).values(**values))

    def quarantine(self, *doc_ids: int) -> None:
        self.archive_harness.take_in(self.account_id, doc_ids)
        self.change(tables.document, state=DocumentState.QUARANTINED, wanted_at=self.clock.now())

    def release(self) -> None:
        self.change(tables.document, state=DocumentState.ACKNOWLEDGED)

    def close(self) -> None:
        for watch, _ in self._watches:
            watch.close(0.0)

    def _look(self, condition: AccountCondition) -> Watched:
        return Watched(condition, (condition.last_success_at or condition.created_at) + self.silent_after)


def quiet(post: MessageQueues) -> None:
    """Wait, for real, until the post has nothing under way."""
    until = time.monotonic() + 20
    while post._is_busy:
        assert time.monotonic() < until
        threading.Event().wait(0.002)


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
def archive_harness(tmp_path: Any, kind: str, request: pytest.FixtureRequest) -> Iterator[ArchiveHarness]:
    made = ArchiveHarness(tmp_path, request.getfixturevalue("postgres_archive") if kind == "postgresql" else None)
    yield made
    made.close()


@pytest.fixture
def bench(archive_harness: ArchiveHarness) -> Iterator[Bench]:
    made = Bench(archive_harness)
    yield made
    made.close()


BEGAN, ENDED = "documents in quarantine: acme", "resolved: documents in quarantine: acme"


def test_an_alarm_is_reported_once_when_it_begins_and_once_when_it_ends(bench: Bench) -> None:
    assert bench.look() == []
    bench.quarantine(1, 2)
    assert bench.look() == [BEGAN]
    assert "2 (acme/1, acme/2)" in bench.mailbox.messages[-1].body
    assert [bench.look() for _ in range(5)] == [[]] * 5
    bench.release()
    assert bench.look() == [ENDED]
    assert bench.look() == []
    assert bench.archive_harness.archive.alarms.known() == ()
    assert [facts["kind"] for facts in bench.observer.named("alarm.began")] == ["quarantine"]
    assert len(bench.observer.named("alarm.ended")) == 1


@pytest.mark.parametrize("orderly", [True, False])
def test_a_restart_reports_nothing_again(bench: Bench, *, orderly: bool) -> None:
    bench.quarantine(1)
    assert bench.look() == [BEGAN]
    bench.restart(orderly=orderly)
    assert [bench.look(), bench.look(HOUR)] == [[], []]
    bench.release()
    assert bench.look() == [ENDED]
    bench.restart(orderly=orderly)
    assert bench.look(HOUR) == []


def test_a_login_that_is_refused_again_after_a_restart_is_the_same_alarm(bench: Bench) -> None:
    """A start ends the pause to try again; the alarm is over when a listing succeeded."""
    bench.change(tables.account, pause_reason=PauseReason.CREDENTIALS, paused_until=bench.clock.now() + HOUR)
    assert bench.look() == ["login refused: acme"]
    bench.restart()
    bench.archive_harness.archive.accounts.resume([bench.account_id])
    assert bench.look() == []
    bench.change(tables.account, pause_reason=PauseReason.CREDENTIALS, paused_until=bench.clock.now() + HOUR)
    assert bench.look() == []
    bench.change(tables.account, pause_reason=None, paused_until=None, last_success_at=bench.clock.now())
    assert bench.look() == ["resolved: login refused: acme"]


def test_an_unaccepted_message_is_repeated_later_and_after_a_restart_at_once(bench: Bench) -> None:
    bench.mailbox.accepts = False
    bench.quarantine(1)
    assert bench.look() == []
    assert bench.observer.named("alert.refused")
    bench.mailbox.accepts = True
    assert bench.look(timedelta(minutes=16)) == [BEGAN]
    bench.mailbox.accepts = False
    bench.release()
    assert bench.look() == []
    bench.mailbox.accepts = True
    bench.restart()
    assert bench.look() == [ENDED]
    assert bench.look(HOUR) == []


def test_an_alarm_that_ended_before_its_message_was_accepted_is_not_reported(bench: Bench) -> None:
    bench.mailbox.accepts = False
    bench.quarantine(1)
    bench.look()
    bench.release()
    bench.mailbox.accepts = True
    assert [bench.look(HOUR), bench.look(HOUR)] == [[], []]
    assert bench.archive_harness.archive.alarms.known() == ()


def test_accounts_with_the_same_problem_share_one_message(bench: Bench) -> None:
    beta = bench.archive_harness.account("beta")
    bench.change(tables.account, pause_reason=PauseReason.CREDENTIALS, paused_until=bench.clock.now() + HOUR)
    bench.clock.forward(MINUTE)
    bench.watch.beat([bench.account_id, beta])
    quiet(bench.post)
    assert bench.mailbox.titles == ["login refused: acme, beta"]


def test_alarms_are_checked_once_a_minute(bench: Bench) -> None:
    bench.quarantine(1)
    assert bench.look(MINUTE / 2) == []
    assert bench.look(MINUTE / 2) == [BEGAN]


def test_messages_about_silence_and_a_full_disk_have_their_numbers(bench: Bench) -> None:
    bench.silent_after = HOUR
    bench.disk = Disk("/srv", 999)
    assert bench.look(2 * HOUR) == ["cannot list documents: acme", "disk nearly full: /srv"]
    bench.change(tables.account, last_success_at=bench.clock.now())
    bench.disk = Disk("/srv", 5_000)
    assert bench.look() == ["resolved: cannot list documents: acme", "resolved: disk nearly full: "]


def test_an_alarm_that_the_database_cannot_record_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise DatabaseUnavailable("the disk is full")

    bench.disk = Disk("/srv", 1)
    monkeypatch.setattr(AlarmChanges, "begin", full)
    assert bench.look() == ["disk nearly full: /srv"]
    assert bench.look() == []
    assert bench.observer.named("watch.troubled")


def test_an_error_in_the_alarm_watch_is_not_raised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, name in ((DatabaseUnavailable("gone"), "watch.troubled"), (KeyError("bug"), "watch.crashed")):

        def break_(*_: object, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(type(bench.archive_harness.archive.account_statuses), "conditions", break_)
        assert bench.look() == []
        assert bench.observer.named(name)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_two_instances_on_one_archive_one_reports(bench: Bench) -> None:
    other, _ = bench.start(bench.archive_harness.open("two"))
    bench.quarantine(1)
    told = [*bench.look(), *bench.look(timedelta(), other), *bench.look(), *bench.look(timedelta(), other)]
    assert told == [BEGAN]
    bench.release()
    told = [*bench.look(MINUTE, other), *bench.look(timedelta()), *bench.look(MINUTE, other), *bench.look()]
    assert told == [ENDED]


def store(bench: Bench, *doc_ids: int) -> None:
    """Documents come home and are acknowledged."""
    bench.archive_harness.take_in(bench.account_id, doc_ids)
    bench.change(tables.document, next_attempt_at=bench.archive_harness.now, receiver_piva="01234567890")
    bench.archive_harness.plan([bench.account_id], 10)
    bench.archive_harness.store(bench.account_id)


def settle(bench: Bench) -> None:
    bench.release()
    bench.change(tables.batch, state="acknowledged")


def test_new_invoices_are_reported_by_receiver_when_none_waits_but_never_the_history(bench: Bench) -> None:
    bench.alarm_settings = replace(bench.alarm_settings, new_invoices=True)
    store(bench, 1)
    settle(bench)
    bench.restart()
    assert bench.look() == [], "what was there before is no news"
    store(bench, 2, 3)
    assert bench.look() == [], "there is more on its way"
    settle(bench)
    assert bench.look() == ["new invoices: 2"]
    assert "acme, receiver 01234567890: 2" in bench.mailbox.messages[-1].body
    bench.restart()
    assert bench.look() == []
    store(bench, 4)
    assert bench.look(2 * HOUR) == ["new invoices: 1"], "not for ever"


def test_a_digest_is_sent_once_a_day_at_its_local_time(bench: Bench) -> None:
    """What was there before the first look is no news: the first digest is that of the day after."""
    bench.alarm_settings = replace(bench.alarm_settings, digest=time_of_day(7, 30))
    bench.restart()
    days: list[datetime] = []
    for _ in range(2 * 60):
        if bench.look(timedelta(minutes=30)):
            days.append(bench.clock.now().astimezone(ROME))
        if bench.clock.now().hour % 6 == 3:
            bench.restart()
    assert [moment.strftime("%d %H:%M") for moment in days] == ["23 07:30", "24 07:30"]
    assert all("No active alarms." in message.body for message in bench.mailbox.messages)


def test_every_successful_listing_since_the_start_sends_a_heartbeat(bench: Bench) -> None:
    def ring(url: str) -> str:
        bench.rung.append(url)
        return ""

    def beats(after: timedelta = MINUTE) -> int:
        before = len(bench.rung)
        bench.look(after)
        until = time.monotonic() + 5
        heart = bench.watch._heartbeat
        assert heart is not None
        while not heart._idle.is_set():
            assert time.monotonic() < until
            threading.Event().wait(0.002)
        return len(bench.rung) - before

    bench.change(tables.account, last_success_at=bench.clock.now())
    bench.clock.forward(MINUTE)
    bench.ring = ring
    bench.restart()
    assert beats() == 0, "a success from before this start proves nothing about this process"
    bench.change(tables.account, last_success_at=bench.clock.now())
    assert [beats(), beats()] == [1, 0]
    bench.watch.look_now([bench.account_id], healthy=False)
    assert len(bench.rung) == 1


def test_a_catch_up_checks_at_once_and_its_end_is_bounded(bench: Bench) -> None:
    bench.quarantine(1)
    bench.watch.look_now([bench.account_id], healthy=True)
    quiet(bench.post)
    bench.watch.close(5.0)
    assert bench.mailbox.titles == [BEGAN]
    (known,) = bench.archive_harness.archive.alarms.known()
    assert known.told_at is not None
