"""Row 20, CLOCK-SAFE: schedules and windows across every change to and from summer time in Rome up to 2045."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from tests.service.test_service_schedule import TwoClocks

from easytracking_sync.app.schedule import Scheduler, longest_gap, trigger_of
from easytracking_sync.machine.observer import Silent
from easytracking_sync.machine.policy import history_windows, instant, local_now
from easytracking_sync.settings import Schedule

ROME = ZoneInfo("Europe/Rome")
HOUR = timedelta(hours=1)
STEP = timedelta(minutes=20)
A_MOMENT = timedelta(milliseconds=50)
AROUND = timedelta(hours=4)
SCHEDULES = {
    "every quarter of an hour": (Schedule(timedelta(minutes=15), ""), timedelta(minutes=16)),
    "cron, every quarter": (Schedule(timedelta(0), "*/15 * * * *"), timedelta(minutes=15)),
    "cron, hourly": (Schedule(timedelta(0), "0 * * * *"), HOUR),
    "cron, in working hours": (Schedule(timedelta(0), "*/15 6-22 * * *"), timedelta(hours=7, minutes=15)),
    "cron, in the hour that comes twice or never": (Schedule(timedelta(0), "30 2 * * *"), timedelta(days=1)),
    "cron, on Sundays, the days of the changes": (Schedule(timedelta(0), "15 2 * * 0"), timedelta(days=7)),
}


def changes() -> Iterator[datetime]:
    """The instants, in UTC, at which the clocks change."""
    hour = datetime(2026, 1, 1, tzinfo=UTC)
    while hour.year <= 2045:
        day = timedelta(days=1)
        if hour.astimezone(ROME).utcoffset() == (hour + day).astimezone(ROME).utcoffset():
            hour += day
        elif hour.astimezone(ROME).utcoffset() == (hour + HOUR).astimezone(ROME).utcoffset():
            hour += HOUR
        else:
            yield hour + HOUR
            hour += day


CHANGES = tuple(changes())


def test_there_are_two_changes_a_year() -> None:
    """The last Sundays of March and October, at one o'clock UTC."""
    assert len(CHANGES) == 40
    assert {(change.month, change.hour, change.weekday()) for change in CHANGES} == {(3, 1, 6), (10, 1, 6)}


@pytest.mark.parametrize("name", SCHEDULES)
def test_row_20_across_every_change_the_next_cycle_comes_within_two_intervals(name: str) -> None:
    """The skipped hour drops no run for good, and the repeated hour causes no loop and no stop."""
    schedule, interval = SCHEDULES[name]
    for change in CHANGES:
        now = change - max(AROUND, 2 * interval)
        trigger, last = trigger_of(schedule, ROME, now), None
        triggered: list[datetime] = []
        while now < change + max(AROUND, interval):
            last = trigger.get_next_fire_time(last, now)
            assert last is not None, change
            now = max(now, last.astimezone(UTC)) + A_MOMENT  # as APScheduler asks it, once it has triggered
            triggered.append(last.astimezone(UTC))
        gaps = [later - earlier for earlier, later in pairwise(triggered)]
        assert min(gaps) > timedelta(0), f"{change}: it rings twice at once"
        assert max(gaps) <= 2 * interval, f"{change}: {max(gaps)} between two cycles"
        assert longest_gap(schedule, ROME, change - HOUR) <= 2 * interval


def test_row_20_around_every_change_the_newest_window_holds_what_arrives_and_windows_miss_nothing() -> None:
    """Local times go back in October and jump in March, and always lie in a window."""
    for change in CHANGES:
        moment = change - AROUND
        while moment <= change + AROUND:
            local = local_now(moment, ROME)
            windows = history_windows(date(2024, 1, 1), local)
            assert windows[0].start < local < windows[0].end
            assert all(newer.start == older.end for newer, older in pairwise(windows))
            assert abs(instant(local, ROME) - moment) in (timedelta(0), HOUR), change
            moment += STEP


def test_row_20_no_hour_of_any_change_is_left_out_when_a_window_is_halved() -> None:
    """Down to the second: the repeated hour and the skipped hour are each listed once."""
    for change in CHANGES[::4]:
        night = local_now(change, ROME).replace(hour=1, minute=59, second=58)
        (window,) = [one for one in history_windows(night.date(), night) if one.holds(night)]
        for second in range(0, 3700, 600):
            moment = night + timedelta(seconds=second)
            part = window
            while (halves := part.halves()) is not None:
                part = next(half for half in halves if half.holds(moment))
            assert part.start == part.end == moment


@pytest.mark.parametrize("hours", [1, 8, 30])
def test_row_20_a_machine_that_slept_across_a_change_triggers_missed_runs_once(hours: int) -> None:
    """During a sleep the monotonic clock stands still: missed runs are triggered once."""
    for change in CHANGES[::8]:
        clocks = TwoClocks()
        clocks.wall = change - timedelta(hours=hours) / 2
        triggered: list[str] = []
        schedules = {name: schedule for name, (schedule, interval) in SCHEDULES.items() if interval <= HOUR}
        scheduler = Scheduler(schedules, ROME, clocks, Silent(), triggered.append)
        scheduler.start()
        triggered.clear()
        clocks.wall += timedelta(hours=hours)
        scheduler.check()
        assert sorted(triggered) == sorted(schedules)
        scheduler.check()
        scheduler.stop()
        assert len(triggered) == len(schedules)
