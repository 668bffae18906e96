"""When an account's cycle is due: an interval, or cron's five fields, as APScheduler's triggers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from easytracking_sync.settings import Schedule

MOST_JITTER_SECONDS = 30.0
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def trigger_of(schedule: Schedule, zone: ZoneInfo, start: datetime) -> BaseTrigger:
    """The trigger of a schedule. An interval counts from `start`, in elapsed time, and is jittered by a tenth."""
    if schedule.cron:
        minute, hour, day, month, weekday = schedule.cron.split()
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=_named(weekday), timezone=zone)
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
        following = trigger.get_next_fire_time(last, last)
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
        following = trigger.get_next_fire_time(due, due)
        if following is None:
            return datetime.max.replace(tzinfo=UTC)
        due = following
    return due


def _named(field: str) -> str:
    """cron counts its weekdays from Sunday, APScheduler from Monday: names mean the same to both."""
    if field == "*":
        return field
    days: list[str] = []
    for part in field.lower().split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        if body == "*":
            low, high = 0, 6
        else:
            low = _number(first)
            high = _number(last) if last else (6 if step else low)
        days += [WEEKDAYS[number % 7] for number in range(low, high + 1, int(step or 1))]
    return ",".join(dict.fromkeys(days))


def _number(day: str) -> int:
    return int(day) if day.isdecimal() else WEEKDAYS.index(day[:3])
