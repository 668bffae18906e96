"""The status of each account, and the health of the whole installation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind
from easytracking_sync.app.alerts import fullest_disk, limits_of, silent_at
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.archive.disk_space import DiskShortage
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.schema import require_current, revision, shown
from easytracking_sync.errors import StorageFault
from easytracking_sync.observe.alarms.alarm_watch import LATELY
from easytracking_sync.observe.alarms.rules import STOPS_FETCHING, Alarm, Disk, Watched, standing
from easytracking_sync.settings import Settings
from easytracking_sync.terms import PauseReason

OVERDUE = timedelta(minutes=1)
"""A run is overdue after this delay."""

NOT_LISTED = (PauseReason.CREDENTIALS, PauseReason.UNREACHABLE)
"""Pauses in which the account is not even listed."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account: its counts, and its next run."""

    overview: AccountOverview
    configured_as: str | None  # its label in the configuration; None if it is not configured
    is_paused: bool
    next_run_at: datetime | None  # when the running service lists it again; None if no service runs
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The whole archive, including configured accounts that never ran."""

    at: datetime
    archive: str  # the database's address without its password
    exists: bool  # False: there is no archive at this address yet
    accounts: tuple[AccountStatus, ...]
    shortage: DiskShortage | None  # the disk that is too full to fetch anything new


def status_of(archive: Archive, settings: Settings, now: datetime) -> Status:
    """The status now. Read-only, safe beside a running service; UsageError for another schema version."""
    exists = revision(archive.database) is not None
    if exists:
        require_current(archive.database)
    known = archive.account_statuses.overviews() if exists else ()
    identities = {one.identity for one in known}
    new = [
        AccountOverview(label, identity=identity)
        for identity, label in settings.labels.items()
        if identity not in identities
    ]
    overviews = sorted([*known, *new], key=lambda one: one.account)
    return Status(
        at=now,
        archive=shown(archive.database),
        exists=exists,
        accounts=tuple(_account(one, settings, now) for one in overviews),
        shortage=shortage_of(archive) if exists else None,
    )


def shortage_of(archive: Archive) -> DiskShortage | None:
    """The disk that is too full to fetch anything new; None if there is none or it is unknown."""
    with suppress(StorageFault):
        return archive.spool.disk_space.shortage()
    return None


def _account(account: AccountOverview, settings: Settings, now: datetime) -> AccountStatus:
    configured_as = settings.labels.get(account.identity)
    at = account.next_run_at if configured_as is not None else None
    if at is not None and account.paused_until is not None and account.pause_reason in NOT_LISTED:
        at = max(at, account.paused_until)
    return AccountStatus(
        overview=account,
        configured_as=configured_as,
        is_paused=account.paused_until is not None and account.paused_until > now,
        next_run_at=at,
        is_overdue=at is not None and now - at > OVERDUE,
    )


class Grade(IntEnum):
    """The severity; the numbers are those of Nagios, Icinga, Zabbix and Checkmk."""

    OK = 0
    WARNING = 1
    CRITICAL = 2  # new documents are not fetched
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """The fullest disk, and its limits for warning and critical."""

    disk: Disk
    warning_bytes: int
    critical_bytes: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A problem: an active alarm, or, without one, an account that never ran."""

    grade: Grade
    subject: str
    alarm: Alarm | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The worst grade of all reasons, the reasons (worst first), and the figures behind them."""

    at: datetime
    reasons: tuple[Reason, ...]
    conditions: tuple[AccountCondition, ...]
    disk: DiskLimits | None = None

    @property
    def grade(self) -> Grade:
        """The worst grade; OK without reasons."""
        return self.reasons[0].grade if self.reasons else Grade.OK


def health_of(archive: Archive, settings: Settings, now: datetime) -> Health:
    """The health of the configured accounts and of the disk, by the rules of the alarms."""
    limits, disk = limits_of(settings), fullest_disk(archive)
    ids = {label: archive.accounts.find(*one.identity) for label, one in settings.accounts.items()}
    labels = {found: label for label, found in ids.items() if found is not None}
    conditions = archive.account_statuses.conditions(labels, settings.sync.max_attempts, now - LATELY)
    known = {one.key: one for one in archive.alarms.known()}
    accounts = [Watched(one, silent_at(settings, labels[one.account_id], one), one.trouble) for one in conditions]
    return judge(
        standing(accounts, disk, limits, known, now),
        conditions,
        [label for label, found in ids.items() if found is None],
        None if disk is None else DiskLimits(disk, limits.free_bytes, settings.storage.min_free_bytes),
        now,
    )


def judge(
    alarms: Collection[Alarm],
    conditions: Sequence[AccountCondition],
    never_ran: Sequence[str],
    disk: DiskLimits | None,
    now: datetime,
) -> Health:
    """Grade the active alarms and the configured accounts that never ran."""
    reasons = [Reason(_grade(alarm, disk), alarm.subject, alarm) for alarm in alarms]
    reasons += [Reason(Grade.WARNING, label) for label in never_ran]
    reasons.sort(key=lambda reason: -reason.grade)
    return Health(now, tuple(reasons), tuple(conditions), disk)


def _grade(alarm: Alarm, limits: DiskLimits | None) -> Grade:
    if alarm.kind is AlarmKind.DISK and limits is not None and alarm.amount >= limits.critical_bytes:
        return Grade.WARNING
    return Grade.CRITICAL if alarm.kind in STOPS_FETCHING else Grade.WARNING
