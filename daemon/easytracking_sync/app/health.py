"""`status --check`: a verdict as Nagios, Icinga, Zabbix and Checkmk read it: one line and an exit code."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from easytracking_sync.archive.plights import Plight
from easytracking_sync.observe.alarms.messages import GRAVE
from easytracking_sync.observe.alarms.rules import COUNTED, Alarm, Disk, Kind
from easytracking_sync.observe.alarms.translations import text
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Language

MOST_NAMED = 5


class Grade(IntEnum):
    """The probe convention's exit codes: not this program's own."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grade, and the line that says why."""

    grade: Grade
    why: str
    figures: Mapping[str, str]

    @property
    def line(self) -> str:
        """What a probe prints: the bar sets the figures apart, so the text has none."""
        told = f"{self.grade.name} - {visible(self.why).replace('|', '/')}"
        figures = " ".join(f"{name}={value}" for name, value in self.figures.items())
        return f"{told} | {figures}" if figures else told


@dataclass(frozen=True, slots=True)
class Room:
    """The fullest disk, and below how much free space it is bad, and worse."""

    disk: Disk
    warn_bytes: int
    least_bytes: int


def unknown(why: str) -> Verdict:
    """Nothing can be said."""
    return Verdict(Grade.UNKNOWN, why, {})


def verdict(
    alarms: Collection[Alarm], plights: Sequence[Plight], strangers: Sequence[str], room: Room | None, now: datetime
) -> Verdict:
    """What the alarms that stand amount to; `strangers` are accounts of the configuration that never ran."""
    found = [(_grade(alarm, room), _said(alarm)) for alarm in alarms]
    found += [(Grade.WARNING, f"{label}: never ran") for label in strangers]
    found.sort(key=lambda one: -one[0])
    named = [said for _, said in found[:MOST_NAMED]]
    if len(found) > MOST_NAMED:
        named.append(f"and {len(found) - MOST_NAMED} more")
    why = "; ".join(named) or f"{len(plights)} account{'' if len(plights) == 1 else 's'} well"
    return Verdict(found[0][0] if found else Grade.OK, why, _figures(plights, room, now))


def _grade(alarm: Alarm, room: Room | None) -> Grade:
    """Critical is what keeps new documents from coming home."""
    if alarm.kind is Kind.DISK and room is not None and alarm.amount >= room.least_bytes:
        return Grade.WARNING
    return Grade.CRITICAL if alarm.kind in GRAVE else Grade.WARNING


def _said(alarm: Alarm) -> str:
    many = f" ({alarm.amount})" if alarm.kind in COUNTED or alarm.kind is Kind.BACKLOG else ""
    return f"{alarm.subject}: {text(f'{alarm.kind}.headline', Language.ENGLISH)}{many}"


def _figures(plights: Sequence[Plight], room: Room | None, now: datetime) -> Mapping[str, str]:
    """Sums over the accounts, and the worst of the ages."""
    figures = {
        name: str(sum(getattr(plight, name) for plight in plights))
        for name in ("waiting", "quarantined", "unacknowledgeable", "incomplete")
    }
    for name, moments in (
        ("oldest_waiting", [plight.waiting_since for plight in plights]),
        ("last_success", [plight.last_success_at for plight in plights]),
    ):
        oldest = min((moment for moment in moments if moment is not None), default=None)
        if oldest is not None:
            figures[name] = f"{max(0.0, (now - oldest).total_seconds()):.0f}s"
    if room is not None:
        figures["free"] = f"{room.disk.free_bytes}B;{room.warn_bytes}:;{room.least_bytes}:;0"
    return figures
