"""Whether all is well, in one grade with its reasons: for monitoring systems."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from easytracking_sync.app.alerts import fullest_disk, limits_of, silent_at
from easytracking_sync.archive.plights import Plight
from easytracking_sync.archive.store import Archive
from easytracking_sync.observe.alarms.messages import GRAVE
from easytracking_sync.observe.alarms.notifier import LATELY
from easytracking_sync.observe.alarms.rules import Alarm, Disk, Kind, Watched, standing
from easytracking_sync.settings import Settings


class Grade(IntEnum):
    """How bad it is; the numbers are those of Nagios, Icinga, Zabbix and Checkmk."""

    OK = 0
    WARNING = 1
    CRITICAL = 2  # new documents are not fetched
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """The fullest disk, and below how much free space it is bad, and worse."""

    disk: Disk
    warning_bytes: int
    critical_bytes: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that is wrong: an alarm that stands, or, without one, an account that never ran."""

    grade: Grade
    subject: str
    alarm: Alarm | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The worst grade of all reasons, the reasons with the worst first, and the figures behind them."""

    at: datetime
    reasons: tuple[Reason, ...]
    plights: tuple[Plight, ...]
    disk: DiskLimits | None = None

    @property
    def grade(self) -> Grade:
        """OK where there is no reason for another one."""
        return self.reasons[0].grade if self.reasons else Grade.OK


def health_of(archive: Archive, settings: Settings, now: datetime) -> Health:
    """The health of the configured accounts and of the disk, by the same rules as the alarms."""
    limits, disk = limits_of(settings), fullest_disk(archive)
    ids = {label: archive.accounts.find(*one.identity) for label, one in settings.accounts.items()}
    labels = {found: label for label, found in ids.items() if found is not None}
    plights = archive.plights.of(labels, settings.sync.max_attempts, now - LATELY)
    known = {one.key: one for one in archive.alarms.known()}
    accounts = [Watched(one, silent_at(settings, labels[one.account_id], one), one.trouble) for one in plights]
    return judge(
        standing(accounts, disk, limits, known, now),
        plights,
        [label for label, found in ids.items() if found is None],
        None if disk is None else DiskLimits(disk, limits.free_bytes, settings.storage.min_free_bytes),
        now,
    )


def judge(
    alarms: Collection[Alarm],
    plights: Sequence[Plight],
    never_ran: Sequence[str],
    disk: DiskLimits | None,
    now: datetime,
) -> Health:
    """Grade the alarms that stand, and the accounts of the configuration that never ran."""
    reasons = [Reason(_grade(alarm, disk), alarm.subject, alarm) for alarm in alarms]
    reasons += [Reason(Grade.WARNING, label) for label in never_ran]
    reasons.sort(key=lambda reason: -reason.grade)
    return Health(now, tuple(reasons), tuple(plights), disk)


def _grade(alarm: Alarm, limits: DiskLimits | None) -> Grade:
    if alarm.kind is Kind.DISK and limits is not None and alarm.amount >= limits.critical_bytes:
        return Grade.WARNING
    return Grade.CRITICAL if alarm.kind in GRAVE else Grade.WARNING
