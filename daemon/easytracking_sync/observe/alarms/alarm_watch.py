"""Checks for alarms every minute, records what is reported, and queues the messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind, KnownAlarm
from easytracking_sync.archive.alarms import AlarmChanges, Bookmark
from easytracking_sync.archive.journal import Arrivals
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Clock
from easytracking_sync.errors import Permanent, Transient
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer
from easytracking_sync.observe.alarms.heartbeat import Heartbeat
from easytracking_sync.observe.alarms.message_queues import MessageQueues, QueuedMessage
from easytracking_sync.observe.alarms.messages import MOST_LINES, Message, MessageWriter
from easytracking_sync.observe.alarms.rules import (
    COUNTED,
    Alarm,
    AlarmAction,
    AlarmStep,
    Disk,
    Limits,
    Watched,
    standing,
    steps,
)

EVERY_SECONDS = 60.0
RETRY_AFTER = timedelta(minutes=15)
"""A message that no channel accepted for this long is lost: the first instance that notices queues it again."""

LATELY = timedelta(days=1)
NEWS_AT_MOST_AFTER = timedelta(hours=1)
"""News wait until no document waits, but at most this long."""

MOST_NAMED = 5
NEWS, DIGEST = "new_invoices", "digest"

WatchAccount = Callable[[AccountCondition], Watched]
"""Adds to an account's condition what only its schedule and the listing threads know."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """What the configuration says about alarms and messages."""

    limits: Limits
    max_attempts: int
    new_invoices: bool = False
    digest: time | None = None


class AlarmWatch:
    """Watches the accounts of one instance. `beat` is called often, by one thread; it never raises."""

    def __init__(
        self,
        archive: Archive,
        clock: Clock,
        observer: Observer,
        alarm_settings: AlarmSettings,
        writer: MessageWriter,
        post: MessageQueues | None,
        heart: Heartbeat | None,
        *,
        look: WatchAccount,
        disk: Callable[[], Disk | None],
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._observer = observer
        self._settings = alarm_settings
        self._writer = writer
        self._queues = post
        self._heartbeat = heart
        self._look = look
        self._disk = disk
        self._looked_at = clock.monotonic()
        self._begun_at = clock.now()
        self._unwritten: set[str] = set()  # reported, but not recorded in the database
        self._heard_of: dict[int, datetime | None] = {}  # account → its last success, as of the last heartbeat

    def beat(self, account_ids: Collection[int]) -> None:
        """Check these accounts if a minute has passed. Errors are logged and not raised."""
        due = self._clock.monotonic() - self._looked_at >= EVERY_SECONDS
        self._guarded(lambda: self._turn(account_ids, due=due))

    def look_now(self, account_ids: Collection[int], *, healthy: bool) -> None:
        """Check now, at the end of a catch-up. `healthy`: it did everything it should."""
        self._guarded(lambda: self._turn(account_ids, due=True, healthy=healthy))

    def close(self, seconds: float) -> None:
        """Wait at most so many seconds for the queued messages, record which were accepted, and stop."""
        until = self._clock.monotonic() + seconds
        if self._queues is not None:
            self._queues.join(seconds)
            self._queues.stop()
        if self._heartbeat is not None:
            self._heartbeat.join(max(0.0, until - self._clock.monotonic()))
            self._heartbeat.stop()
        self._guarded(self._settle)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (Transient, Permanent) as trouble:
            self._observer.note(EventName.WATCH_TROUBLED, reason=str(trouble))
        except Exception as bug:  # noqa: BLE001  no error here may stop the sync
            self._observer.note(EventName.WATCH_CRASHED, error=type(bug).__name__, exc_info=bug)

    def _turn(self, account_ids: Collection[int], *, due: bool, healthy: bool = True) -> None:
        self._settle()
        if not due:
            return
        self._looked_at, now = self._clock.monotonic(), self._clock.now()
        conditions = self._archive.account_statuses.conditions(account_ids, self._settings.max_attempts, now - LATELY)
        accounts = [self._look(condition) for condition in conditions]
        known = {one.key: one for one in self._archive.alarms.known()}
        disk = self._disk()
        alarms = standing(accounts, disk, self._settings.limits, known, now)
        if self._queues is not None:
            place = disk.place if disk is not None else ""
            lost = max(now - RETRY_AFTER, self._begun_at) if self._archive.alarms.is_alone else now - RETRY_AFTER
            todo = steps(alarms, known, account_ids, place, now=now, lost_before=lost)
            if todo:
                self._tell(self._written_down(todo, now), conditions, now)
            self._tell_news(conditions, now)
            self._tell_digest(accounts, alarms, now)
        if healthy:
            self._sign_of_life(conditions)

    def _settle(self) -> None:
        """Record which messages a channel accepted."""
        accepted = self._queues.accepted() if self._queues is not None else []
        began = [key for queued in accepted for key in queued.began]
        ended = [key for queued in accepted for key in queued.ended]
        if began or ended:
            self._archive.alarms.accept(began, ended, self._clock.now())

    def _written_down(self, todo: Sequence[AlarmStep], now: datetime) -> list[AlarmStep]:
        """Record these steps in the archive, and return those that this instance reports.

        If the archive cannot be written, alarms that begin are reported all the same: the cause may be a full disk.
        """
        try:
            with self._archive.alarms.changing() as changes:
                return [step for step in todo if _claim(changes, step, now)]
        except Transient as trouble:
            self._observer.note(EventName.WATCH_TROUBLED, reason=str(trouble))
            fresh = [step for step in todo if step.action is AlarmAction.BEGIN and step.key not in self._unwritten]
            self._unwritten.update(step.key for step in fresh)
            return fresh

    def _tell(self, mine: Sequence[AlarmStep], conditions: Sequence[AccountCondition], now: datetime) -> None:
        """Queue one message for each kind and action, whatever the number of accounts."""
        labels = {condition.account_id: condition.label for condition in conditions}
        for kind in AlarmKind:
            for actions in ((AlarmAction.BEGIN, AlarmAction.BEGIN_AGAIN), (AlarmAction.GROW,)):
                found = [step for step in mine if step.action in actions and step.alarm and step.alarm.kind is kind]
                alarms = [step.alarm for step in found if step.alarm is not None]
                if alarms:
                    grew = AlarmAction.GROW in actions
                    message = self._writer.began(kind, alarms, self._some(alarms, now), now, grew=grew)
                    self._send(message, began=() if grew else tuple(step.key for step in found))
                    self._note(EventName.ALARM_GREW if grew else EventName.ALARM_BEGAN, alarms)
            over = [
                step.known for step in mine if step.action in (AlarmAction.END, AlarmAction.END_AGAIN) and step.known
            ]
            over = [one for one in over if one.kind == kind]
            if over:
                subjects = [_subject(one, labels) for one in over]
                self._send(self._writer.ended(kind, subjects, now), ended=tuple(one.key for one in over))
                for subject in subjects:
                    self._observer.note(EventName.ALARM_ENDED, kind=kind.value, subject=subject)

    def _some(self, alarms: Sequence[Alarm], now: datetime) -> Mapping[str, Sequence[int]]:
        return {
            alarm.key: self._archive.account_statuses.doc_ids(alarm.account_id, alarm.kind, now - LATELY, MOST_NAMED)
            for alarm in alarms[:MOST_LINES]
            if alarm.kind in COUNTED and alarm.account_id is not None
        }

    def _tell_news(self, conditions: Sequence[AccountCondition], now: datetime) -> None:
        if not self._settings.new_invoices:
            return
        came = self._came(NEWS, now)
        if came is None or not came[1].counts:
            return
        mark, arrivals = came
        if any(condition.waiting for condition in conditions) and now - mark.at < NEWS_AT_MOST_AFTER:
            return
        if self._archive.alarms.move(NEWS, mark, Bookmark(now, arrivals.position)):
            self._send(self._writer.news(arrivals, now))

    def _tell_digest(self, accounts: Sequence[Watched], alarms: Sequence[Alarm], now: datetime) -> None:
        if self._settings.digest is None:
            return
        mark = self._archive.alarms.bookmark(DIGEST)
        if mark is not None and mark.at >= self._last_due(self._settings.digest, now):
            return
        came = self._came(DIGEST, now)
        if came is not None and self._archive.alarms.move(DIGEST, came[0], Bookmark(now, came[1].position)):
            self._send(self._writer.digest(came[0].at, accounts, came[1], alarms, now))

    def _came(self, name: str, now: datetime) -> tuple[Bookmark, Arrivals] | None:
        """What arrived since the last such message; None the first time, when everything counts as known."""
        mark = self._archive.alarms.bookmark(name)
        if mark is None:
            self._archive.alarms.move(name, None, Bookmark(now, self._archive.journal.last()))
            return None
        return mark, self._archive.journal.arrivals(mark.position)

    def _last_due(self, at: time, now: datetime) -> datetime:
        """The last time that the local time was this."""
        local = now.astimezone(self._writer.zone)
        due = datetime.combine(local.date(), at, self._writer.zone)
        return due if due <= local else datetime.combine(local.date() - timedelta(days=1), at, self._writer.zone)

    def _sign_of_life(self, conditions: Sequence[AccountCondition]) -> None:
        """Send a heartbeat if an account was listed since the last one."""
        if self._heartbeat is None:
            return
        last = {condition.account_id: condition.last_success_at for condition in conditions}
        fresh = (
            at is not None and at >= self._begun_at and at != self._heard_of.get(account_id)
            for account_id, at in last.items()
        )
        if any(fresh):
            self._heartbeat.beat()
        self._heard_of = last

    def _send(self, message: Message, *, began: tuple[str, ...] = (), ended: tuple[str, ...] = ()) -> None:
        assert self._queues is not None
        self._queues.put(QueuedMessage(message, began, ended))

    def _note(self, name: EventName, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            self._observer.note(name, kind=alarm.kind.value, subject=alarm.subject, amount=alarm.amount)


def _subject(known: KnownAlarm, labels: Mapping[int, str]) -> str:
    """The subject of an alarm that ended."""
    return "" if known.account_id is None else labels.get(known.account_id, "?")


def _claim(changes: AlarmChanges, step: AlarmStep, now: datetime) -> bool:
    """Record a step; True if it is to be reported by this instance."""
    alarm, known = step.alarm, step.known
    if alarm is not None and known is None:
        return changes.begin(step.key, alarm.kind, alarm.account_id, alarm.amount, now)
    assert known is not None
    match step.action:
        case AlarmAction.END:
            return changes.end(step.key, now)
        case AlarmAction.GROW:
            return alarm is not None and changes.grow(known, alarm.amount, now)
        case AlarmAction.BEGIN_AGAIN | AlarmAction.END_AGAIN:
            return changes.take_again(known, now)
        case AlarmAction.DROP:
            changes.drop(step.key)
        case _:
            changes.revive(step.key)
    return False
