"""Which alarms stand, and what is to be told of them: pure, from facts and from what is known already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind, KnownAlarm
from easytracking_sync.terms import PauseReason

GROWS_AFTER = timedelta(days=1)
"""Something that stands and becomes worse is told again, so seldom."""

ROOM_AGAIN = 1.1
"""A disk that is at its limit would otherwise begin and end its alarm every minute."""


MASKED_BY: Mapping[AlarmKind, frozenset[AlarmKind]] = {
    AlarmKind.SILENT: frozenset({AlarmKind.CREDENTIALS, AlarmKind.UNREACHABLE}),
    AlarmKind.BACKLOG: frozenset(
        {AlarmKind.CREDENTIALS, AlarmKind.PERMISSION, AlarmKind.UNREACHABLE, AlarmKind.SILENT}
    ),
}
"""A consequence is not reported while its cause is."""

GRAVE = frozenset(
    {AlarmKind.CREDENTIALS, AlarmKind.PERMISSION, AlarmKind.UNREACHABLE, AlarmKind.SILENT, AlarmKind.DISK}
)
"""While one of these stands, nothing new is fetched."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on it is an alarm."""

    backlog: timedelta
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Watched:
    """An account, when its silence becomes an alarm, and why its list did not come last."""

    condition: AccountCondition
    silent_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """The fullest of the disks that the archive lies on; `place` tells machines apart that share a database."""

    folder: str
    free_bytes: int
    place: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is wrong now. `amount` is how many documents, or bytes."""

    kind: AlarmKind
    account_id: int | None
    subject: str  # the account's label, or a folder
    amount: int = 0
    since: datetime | None = None
    reason: str = ""
    place: str = ""

    @property
    def key(self) -> str:
        """What makes it the same alarm tomorrow."""
        whose = self.place if self.account_id is None else str(self.account_id)
        return f"{self.kind}/{whose}" if whose else str(self.kind)


class Telling(StrEnum):
    """What is to be done about one alarm."""

    BEGIN = "begin"
    GROW = "grow"
    END = "end"
    BEGIN_AGAIN = "begin again"  # nobody accepted it
    END_AGAIN = "end again"
    DROP = "drop"  # nobody heard of it, and it is over
    REVIVE = "revive"  # nobody heard of its end, and it is back


@dataclass(frozen=True, slots=True)
class Step:
    """One alarm and what is to be done; `alarm` is None where it does not stand, `known` where it is new."""

    telling: Telling
    key: str
    alarm: Alarm | None
    known: KnownAlarm | None


def standing(
    accounts: Collection[Watched], disk: Disk | None, limits: Limits, known: Mapping[str, KnownAlarm], now: datetime
) -> tuple[Alarm, ...]:
    """Every alarm that stands now. One that is known stands until something shows that it is over."""
    found = [alarm for one in accounts for alarm in _of_account(one, limits, known, now)]
    if disk is not None and (full := _of_disk(disk, limits, known)) is not None:
        found.append(full)
    return tuple(found)


def steps(
    alarms: Collection[Alarm],
    known: Mapping[str, KnownAlarm],
    account_ids: Collection[int],
    place: str,
    *,
    now: datetime,
    lost_before: datetime,
) -> tuple[Step, ...]:
    """What is to be told, or put right, for these accounts and this place; others' alarms are others' to tell.

    What an instance began to tell before `lost_before` and nobody accepted is told anew; until then it is on its way.
    """
    by_key = {alarm.key: alarm for alarm in alarms}
    taken = [
        Step(telling, key, by_key.get(key), one)
        for key, one in sorted(known.items())
        if _is_ours(one, account_ids, place)
        and (telling := _telling(by_key.get(key), one, now, lost_before)) is not None
    ]
    fresh = [Step(Telling.BEGIN, key, alarm, None) for key, alarm in sorted(by_key.items()) if key not in known]
    return (*fresh, *taken)


def _telling(alarm: Alarm | None, known: KnownAlarm, now: datetime, lost_before: datetime) -> Telling | None:
    on_its_way = known.taken_at > lost_before
    if known.ended_at is not None:
        if on_its_way:
            return None
        return Telling.END_AGAIN if alarm is None else Telling.REVIVE
    if known.told_at is None:
        if on_its_way:
            return None
        return Telling.DROP if alarm is None else Telling.BEGIN_AGAIN
    if alarm is None:
        return Telling.END
    worse = alarm.kind in COUNTED and alarm.amount > known.amount and now - known.told_at >= GROWS_AFTER
    return Telling.GROW if worse else None


def _is_ours(known: KnownAlarm, account_ids: Collection[int], place: str) -> bool:
    if known.account_id is not None:
        return known.account_id in account_ids
    return known.key.partition("/")[2] == place


def _of_account(one: Watched, limits: Limits, known: Mapping[str, KnownAlarm], now: datetime) -> list[Alarm]:
    found: dict[AlarmKind, Alarm] = {}
    for kind, rule in RULES.items():
        plain = Alarm(kind, one.condition.account_id, one.condition.label)
        was = known.get(plain.key)
        before = was if was is not None and was.ended_at is None else None
        alarm = rule(one, limits, before, now)
        if alarm is not None and (before is not None or not MASKED_BY.get(kind, frozenset()) & found.keys()):
            found[kind] = alarm
    condition = one.condition
    counted = (Alarm(kind, condition.account_id, condition.label, condition.count(kind)) for kind in AlarmKind)
    return [*found.values(), *(alarm for alarm in counted if alarm.kind in COUNTED and alarm.amount)]


def _of_disk(disk: Disk, limits: Limits, known: Mapping[str, KnownAlarm]) -> Alarm | None:
    alarm = Alarm(AlarmKind.DISK, None, disk.folder, disk.free_bytes, place=disk.place)
    was = known.get(alarm.key)
    stood = was is not None and was.ended_at is None
    return alarm if disk.free_bytes < limits.free_bytes * (ROOM_AGAIN if stood else 1) else None


Rule = Callable[[Watched, Limits, KnownAlarm | None, datetime], Alarm | None]


def _paused(kind: AlarmKind, reason: PauseReason) -> Rule:
    """Over when a listing succeeded since: a restart ends the pause to try again, and that proves nothing."""

    def rule(one: Watched, limits: Limits, before: KnownAlarm | None, now: datetime) -> Alarm | None:
        del limits, now
        condition = one.condition
        last = condition.last_success_at
        unproven = before is not None and (last is None or last < before.begun_at)
        if condition.pause_reason is not reason and not unproven:
            return None
        return Alarm(kind, condition.account_id, condition.label, reason=one.reason)

    return rule


def _permission(one: Watched, limits: Limits, before: KnownAlarm | None, now: datetime) -> Alarm | None:
    """Over when a document was accepted again."""
    del limits, now
    condition = one.condition
    unproven = before is not None and condition.refused_in_row > 0
    if condition.pause_reason is not PauseReason.PERMISSION and not unproven:
        return None
    return Alarm(AlarmKind.PERMISSION, condition.account_id, condition.label, condition.refused_in_row)


def _silent(one: Watched, limits: Limits, before: KnownAlarm | None, now: datetime) -> Alarm | None:
    del limits, before
    if now < one.silent_at:
        return None
    condition = one.condition
    since = condition.last_success_at or condition.created_at
    return Alarm(AlarmKind.SILENT, condition.account_id, condition.label, since=since, reason=one.reason)


def _backlog(one: Watched, limits: Limits, before: KnownAlarm | None, now: datetime) -> Alarm | None:
    del before
    condition = one.condition
    if condition.waiting_since is None or now - condition.waiting_since <= limits.backlog:
        return None
    return Alarm(AlarmKind.BACKLOG, condition.account_id, condition.label, condition.waiting, condition.waiting_since)


RULES: Mapping[AlarmKind, Rule] = {
    AlarmKind.CREDENTIALS: _paused(AlarmKind.CREDENTIALS, PauseReason.CREDENTIALS),
    AlarmKind.PERMISSION: _permission,
    AlarmKind.UNREACHABLE: _paused(AlarmKind.UNREACHABLE, PauseReason.UNREACHABLE),
    AlarmKind.SILENT: _silent,
    AlarmKind.BACKLOG: _backlog,
}
"""The rules of accounts, causes before their consequences. Every other kind is a count of documents."""

COUNTED = frozenset(AlarmKind) - RULES.keys() - {AlarmKind.DISK}
"""Kinds whose amount is a number of documents that can be named."""
