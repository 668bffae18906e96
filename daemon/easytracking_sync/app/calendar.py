"""When an account's cycle is due: an interval, or cron's five fields, as APScheduler's triggers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from easytracking_sync.settings import Schedule, cron_numbers

MOST_JITTER_SECONDS = 30.0
# cron counts its weekdays from Sunday, APScheduler from Monday: names mean the same to both
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def trigger_of(schedule: Schedule, zone: ZoneInfo, start: datetime) -> BaseTrigger:
    """The trigger of a schedule. An interval counts from `start`, in elapsed time, and is jittered by a tenth."""
    if schedule.cron:
        minutes, hours, days, months, weekdays = cron_numbers(schedule.cron)
        return CronTrigger(
            minute=_listed(minutes, 60),
            hour=_listed(hours, 24),
            day=_listed(days, 31),
            month=_listed(months, 12),
            day_of_week=",".join(WEEKDAYS[number] for number in weekdays),
            timezone=zone,
        )
    seconds = schedule.every.total_seconds()
    jitter = min(MOST_JITTER_SECONDS, seconds / 10)
    return IntervalTrigger(seconds=max(1, round(seconds)), start_date=start + schedule.every, jitter=jitter or None)


def longest_gap(schedule: Schedule, zone: ZoneInfo, now: datetime) -> timedelta:
    """The longest time between two runs that the next dozen of them show; the interval itself where there is one."""
    if not schedule.cron:
        return schedule.every
    trigger = trigger_of(schedule, zone, now)
    last, gap = now, timedelta()
    for _ in range(12):
        following = _following(trigger, last)
        if following is None:
            break
        gap = max(gap, following - last)
        last = following
    return gap or timedelta(days=366)


def due_after(schedule: Schedule, zone: ZoneInfo, after: datetime, runs: int) -> datetime:
    """When the last of so many runs behind `after` is due; the end of time where there are not so many."""
    if not schedule.cron:
        return after + runs * schedule.every
    trigger, due = trigger_of(schedule, zone, after), after
    for _ in range(runs):
        following = _following(trigger, due)
        if following is None:
            return datetime.max.replace(tzinfo=UTC)
        due = following
    return due


def _following(trigger: BaseTrigger, after: datetime) -> datetime | None:
    """The next run, in UTC: in the hour that comes twice the trigger answers with the run it was given, and two local
    times differ by what the walls show, not by what elapses."""
    following: datetime | None = trigger.get_next_fire_time(None, after.astimezone(UTC) + timedelta(seconds=1))
    return None if following is None else following.astimezone(UTC)


def _listed(numbers: Sequence[int], whole: int) -> str:
    """As APScheduler takes them; it refuses steps and ranges that crontabs know."""
    return "*" if len(numbers) == whole else ",".join(map(str, numbers))
