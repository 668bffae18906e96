"""The watch: looks now and then, decides, writes down what is told, and hands it to the post."""

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
from easytracking_sync.observe.alarms.heartbeat import Heart
from easytracking_sync.observe.alarms.messages import MOST_LINES, Letter, Writer
from easytracking_sync.observe.alarms.rules import (
    COUNTED,
    Alarm,
    Disk,
    Limits,
    Step,
    Telling,
    Watched,
    standing,
    steps,
)
from easytracking_sync.observe.alarms.sender import Post, Posted

EVERY_SECONDS = 60.0
RETAKE = timedelta(minutes=15)
"""What was posted so long ago and nobody accepted is lost: told anew, by whichever instance sees it first."""

LATELY = timedelta(days=1)
NEWS_AT_MOST_AFTER = timedelta(hours=1)
"""News wait until a backlog has come home, but not for ever."""

MOST_NAMED = 5
NEWS, DIGEST = "new_invoices", "digest"

Looking = Callable[[AccountCondition], Watched]
"""Adds to an account's condition what only its schedule and the running listers know."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the configuration wants to be told."""

    limits: Limits
    max_attempts: int
    new_invoices: bool = False
    digest: time | None = None


class AlarmWatch:
    """One instance's watch over the accounts it serves. `beat` is called often, from one thread; it never raises."""

    def __init__(
        self,
        archive: Archive,
        clock: Clock,
        observer: Observer,
        wishes: Wishes,
        writer: Writer,
        post: Post | None,
        heart: Heart | None,
        *,
        look: Looking,
        disk: Callable[[], Disk | None],
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._observer = observer
        self._wishes = wishes
        self._writer = writer
        self._post = post
        self._heart = heart
        self._look = look
        self._disk = disk
        self._looked_at = clock.monotonic()
        self._begun_at = clock.now()
        self._unwritten: set[str] = set()  # told, though the database did not take it down
        self._heard_of: dict[int, datetime | None] = {}  # account → its last success, as of the last heartbeat

    def beat(self, account_ids: Collection[int]) -> None:
        """Look after these accounts where a minute has passed; what goes wrong meanwhile is noted, no more."""
        due = self._clock.monotonic() - self._looked_at >= EVERY_SECONDS
        self._guarded(lambda: self._turn(account_ids, due=due))

    def look_now(self, account_ids: Collection[int], *, healthy: bool) -> None:
        """The same at once, for a one-shot that ends; `healthy` is whether it did all it was to do."""
        self._guarded(lambda: self._turn(account_ids, due=True, healthy=healthy))

    def close(self, seconds: float) -> None:
        """Give what is on its way so many seconds, write down what was accepted, and stop."""
        until = self._clock.monotonic() + seconds
        if self._post is not None:
            self._post.join(seconds)
            self._post.stop()
        if self._heart is not None:
            self._heart.join(max(0.0, until - self._clock.monotonic()))
            self._heart.stop()
        self._guarded(self._settle)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (Transient, Permanent) as trouble:
            self._observer.note(EventName.WATCH_TROUBLED, reason=str(trouble))
        except Exception as bug:  # noqa: BLE001  whatever is wrong with alarms, the invoices come first
            self._observer.note(EventName.WATCH_CRASHED, error=type(bug).__name__, exc_info=bug)

    def _turn(self, account_ids: Collection[int], *, due: bool, healthy: bool = True) -> None:
        self._settle()
        if not due:
            return
        self._looked_at, now = self._clock.monotonic(), self._clock.now()
        conditions = self._archive.account_statuses.conditions(account_ids, self._wishes.max_attempts, now - LATELY)
        accounts = [self._look(condition) for condition in conditions]
        known = {one.key: one for one in self._archive.alarms.known()}
        disk = self._disk()
        alarms = standing(accounts, disk, self._wishes.limits, known, now)
        if self._post is not None:
            place = disk.place if disk is not None else ""
            lost = max(now - RETAKE, self._begun_at) if self._archive.alarms.is_alone else now - RETAKE
            todo = steps(alarms, known, account_ids, place, now=now, lost_before=lost)
            if todo:
                self._tell(self._written_down(todo, now), conditions, now)
            self._tell_news(conditions, now)
            self._tell_digest(accounts, alarms, now)
        if healthy:
            self._sign_of_life(conditions)

    def _settle(self) -> None:
        """Write down what somebody accepted."""
        accepted = self._post.accepted() if self._post is not None else []
        began = [key for posted in accepted for key in posted.began]
        ended = [key for posted in accepted for key in posted.ended]
        if began or ended:
            self._archive.alarms.accept(began, ended, self._clock.now())

    def _written_down(self, todo: Sequence[Step], now: datetime) -> list[Step]:
        """Of these steps those that are this instance's to tell, after the archive has taken them down.

        A full disk keeps the alarm about it from being taken down, and does not keep it from being told.
        """
        try:
            with self._archive.alarms.changing() as changes:
                return [step for step in todo if _is_mine(changes, step, now)]
        except Transient as trouble:
            self._observer.note(EventName.WATCH_TROUBLED, reason=str(trouble))
            fresh = [step for step in todo if step.telling is Telling.BEGIN and step.key not in self._unwritten]
            self._unwritten.update(step.key for step in fresh)
            return fresh

    def _tell(self, mine: Sequence[Step], conditions: Sequence[AccountCondition], now: datetime) -> None:
        """One letter for each kind and each way of telling, whatever the number of accounts."""
        labels = {condition.account_id: condition.label for condition in conditions}
        for kind in AlarmKind:
            for tellings in ((Telling.BEGIN, Telling.BEGIN_AGAIN), (Telling.GROW,)):
                found = [step for step in mine if step.telling in tellings and step.alarm and step.alarm.kind is kind]
                alarms = [step.alarm for step in found if step.alarm is not None]
                if alarms:
                    grew = Telling.GROW in tellings
                    letter = self._writer.began(kind, alarms, self._some(alarms, now), now, grew=grew)
                    self._send(letter, began=() if grew else tuple(step.key for step in found))
                    self._note(EventName.ALARM_GREW if grew else EventName.ALARM_BEGAN, alarms)
            over = [step.known for step in mine if step.telling in (Telling.END, Telling.END_AGAIN) and step.known]
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
        if not self._wishes.new_invoices:
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
        if self._wishes.digest is None:
            return
        mark = self._archive.alarms.bookmark(DIGEST)
        if mark is not None and mark.at >= self._last_due(self._wishes.digest, now):
            return
        came = self._came(DIGEST, now)
        if came is not None and self._archive.alarms.move(DIGEST, came[0], Bookmark(now, came[1].position)):
            self._send(self._writer.digest(came[0].at, accounts, came[1], alarms, now))

    def _came(self, name: str, now: datetime) -> tuple[Bookmark, Arrivals] | None:
        """What came since this was told last; None the first time: what was there before is no news."""
        mark = self._archive.alarms.bookmark(name)
        if mark is None:
            self._archive.alarms.move(name, None, Bookmark(now, self._archive.journal.last()))
            return None
        return mark, self._archive.journal.arrivals(mark.position)

    def _last_due(self, at: time, now: datetime) -> datetime:
        """The last time that the clock on the wall showed this."""
        local = now.astimezone(self._writer.zone)
        due = datetime.combine(local.date(), at, self._writer.zone)
        return due if due <= local else datetime.combine(local.date() - timedelta(days=1), at, self._writer.zone)

    def _sign_of_life(self, conditions: Sequence[AccountCondition]) -> None:
        """A heartbeat whenever some account was listed since the last one."""
        if self._heart is None:
            return
        last = {condition.account_id: condition.last_success_at for condition in conditions}
        fresh = (
            at is not None and at >= self._begun_at and at != self._heard_of.get(account_id)
            for account_id, at in last.items()
        )
        if any(fresh):
            self._heart.beat()
        self._heard_of = last

    def _send(self, letter: Letter, *, began: tuple[str, ...] = (), ended: tuple[str, ...] = ()) -> None:
        assert self._post is not None
        self._post.put(Posted(letter, began, ended))

    def _note(self, name: EventName, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            self._observer.note(name, kind=alarm.kind.value, subject=alarm.subject, amount=alarm.amount)


def _subject(known: KnownAlarm, labels: Mapping[int, str]) -> str:
    """Whom an alarm that is over was about."""
    return "" if known.account_id is None else labels.get(known.account_id, "?")


def _is_mine(changes: AlarmChanges, step: Step, now: datetime) -> bool:
    """Take a step down; whether there is something to tell, and it is this instance that tells it."""
    alarm, known = step.alarm, step.known
    if alarm is not None and known is None:
        return changes.begin(step.key, alarm.kind, alarm.account_id, alarm.amount, now)
    assert known is not None
    match step.telling:
        case Telling.END:
            return changes.end(step.key, now)
        case Telling.GROW:
            return alarm is not None and changes.grow(known, alarm.amount, now)
        case Telling.BEGIN_AGAIN | Telling.END_AGAIN:
            return changes.take_again(known, now)
        case Telling.DROP:
            changes.drop(step.key)
        case _:
            changes.revive(step.key)
    return False
