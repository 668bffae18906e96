"""Decides which alarms are active and what to report. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind, KnownAlarm
from easytracking_sync.terms import PauseReason

GROWS_AFTER = timedelta(days=1)
"""An alarm that becomes worse is reported again, at most this often."""

DISK_HYSTERESIS = 1.1
"""An active disk alarm ends above this multiple of the limit; else it could begin and end every minute."""


CAUSES: Mapping[AlarmKind, frozenset[AlarmKind]] = {
    AlarmKind.SILENT: frozenset({AlarmKind.CREDENTIALS, AlarmKind.UNREACHABLE}),
    AlarmKind.BACKLOG: frozenset(
        {AlarmKind.CREDENTIALS, AlarmKind.PERMISSION, AlarmKind.UNREACHABLE, AlarmKind.SILENT}
    ),
}
"""A consequence is not reported while its cause is."""

STOPS_FETCHING = frozenset(
    {AlarmKind.CREDENTIALS, AlarmKind.PERMISSION, AlarmKind.UNREACHABLE, AlarmKind.SILENT, AlarmKind.DISK}
)
"""While one of these stands, nothing new is fetched."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of alarms."""

    backlog: timedelta
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Watched:
    """An account, when a missing list becomes an alarm, and why its last listing failed."""

    condition: AccountCondition
    silent_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """The fullest disk of the archive; `place` tells apart machines that share a database."""

    folder: str
    free_bytes: int
    place: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is wrong now. `amount` is a number of documents, or of bytes."""

    kind: AlarmKind
    account_id: int | None
    subject: str  # the account's label, or a folder
    amount: int = 0
    since: datetime | None = None
    reason: str = ""
    place: str = ""

    @property
    def key(self) -> str:
        """Identifies the alarm in the archive."""
        whose = self.place if self.account_id is None else str(self.account_id)
        return f"{self.kind}/{whose}" if whose else str(self.kind)


class AlarmAction(StrEnum):
    """What to do about one alarm."""

    BEGIN = "begin"
    GROW = "grow"
    END = "end"
    BEGIN_AGAIN = "begin again"  # no channel accepted its message
    END_AGAIN = "end again"
    DROP = "drop"  # it ended before a channel accepted its message
    REVIVE = "revive"  # it began again before a channel accepted the message of its end


@dataclass(frozen=True, slots=True)
class AlarmStep:
    """One alarm and what to do; `alarm` is None if it is not active, `known` if it is new."""

    action: AlarmAction
    key: str
    alarm: Alarm | None
    known: KnownAlarm | None


def standing(
    accounts: Collection[Watched],
    disk: Disk | None,
    limits: Limits,
    known: Mapping[str, KnownAlarm],
    now: datetime,
) -> tuple[Alarm, ...]:
    """The active alarms. A known alarm stays active until something shows that it ended."""
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
) -> tuple[AlarmStep, ...]:
    """What to report or correct for these accounts and this place; other instances report the others.

    A message that an instance queued before `lost_before` and no channel accepted is queued again.
    """
    by_key = {alarm.key: alarm for alarm in alarms}
    taken = [
        AlarmStep(action, key, by_key.get(key), one)
        for key, one in sorted(known.items())
        if _is_ours(one, account_ids, place)
        and (action := _action(by_key.get(key), one, now, lost_before)) is not None
    ]
    fresh = [
        AlarmStep(AlarmAction.BEGIN, key, alarm, None) for key, alarm in sorted(by_key.items()) if key not in known
    ]
    return (*fresh, *taken)


def _action(alarm: Alarm | None, known: KnownAlarm, now: datetime, lost_before: datetime) -> AlarmAction | None:
    on_its_way = known.taken_at > lost_before
    if known.ended_at is not None:
        if on_its_way:
            return None
        return AlarmAction.END_AGAIN if alarm is None else AlarmAction.REVIVE
    if known.told_at is None:
        if on_its_way:
            return None
        return AlarmAction.DROP if alarm is None else AlarmAction.BEGIN_AGAIN
    if alarm is None:
        return AlarmAction.END
    worse = alarm.kind in COUNTED and alarm.amount > known.amount and now - known.told_at >= GROWS_AFTER
    return AlarmAction.GROW if worse else None


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
        if alarm is not None and (before is not None or not CAUSES.get(kind, frozenset()) & found.keys()):
            found[kind] = alarm
    condition = one.condition
    counted = (Alarm(kind, condition.account_id, condition.label, condition.count(kind)) for kind in AlarmKind)
    return [*found.values(), *(alarm for alarm in counted if alarm.kind in COUNTED and alarm.amount)]


def _of_disk(disk: Disk, limits: Limits, known: Mapping[str, KnownAlarm]) -> Alarm | None:
    alarm = Alarm(AlarmKind.DISK, None, disk.folder, disk.free_bytes, place=disk.place)
    was = known.get(alarm.key)
    stood = was is not None and was.ended_at is None
    return alarm if disk.free_bytes < limits.free_bytes * (DISK_HYSTERESIS if stood else 1) else None


Rule = Callable[[Watched, Limits, KnownAlarm | None, datetime], Alarm | None]


def _paused(kind: AlarmKind, reason: PauseReason) -> Rule:
    """Ends when a listing has succeeded since: a restart ends the pause as well, and proves nothing."""

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
    """Ends when a reservation was accepted again."""
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


def _restored(one: Watched, limits: Limits, before: KnownAlarm | None, now: datetime) -> Alarm | None:
    """Over when the account was reconciled."""
    del limits, before, now
    condition = one.condition
    if condition.reconcile_since is None:
        return None
    return Alarm(
        AlarmKind.RESTORED,
        condition.account_id,
        condition.label,
        since=condition.reconcile_since,
        reason=condition.restored,
    )


RULES: Mapping[AlarmKind, Rule] = {
    AlarmKind.CREDENTIALS: _paused(AlarmKind.CREDENTIALS, PauseReason.CREDENTIALS),
    AlarmKind.PERMISSION: _permission,
    AlarmKind.UNREACHABLE: _paused(AlarmKind.UNREACHABLE, PauseReason.UNREACHABLE),
    AlarmKind.SILENT: _silent,
    AlarmKind.BACKLOG: _backlog,
    AlarmKind.RESTORED: _restored,
}
"""The rules of accounts, causes before their consequences. Every other kind is a count of documents."""

COUNTED = frozenset(AlarmKind) - RULES.keys() - {AlarmKind.DISK}
"""Kinds whose amount is a number of documents that can be named."""
