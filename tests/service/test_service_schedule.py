"""The schedule: whatever happens to the wall clock, the next cycle is triggered within two intervals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.app.schedule import Scheduler, longest_gap, trigger_of
from easytracking_sync.machine.observer import Silent
from easytracking_sync.settings import Schedule

ROME = ZoneInfo("Europe/Rome")
QUARTER = Schedule(timedelta(minutes=15), "")
HOURLY = Schedule(timedelta(0), "0 * * * *")


class TwoClocks:
    """A wall clock that tests may set, and a monotonic one. APScheduler's own thread uses the real clock."""

    def __init__(self) -> None:
        self.wall = datetime.now(UTC)
        self.elapsed = 0.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.elapsed

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.go(seconds)
        return wake.is_set()

    def go(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.elapsed += seconds


class Bench:
    """A scheduler whose APScheduler triggers nothing during the test: only `check` can."""

    def __init__(self, schedule: Schedule) -> None:
        self.clocks = TwoClocks()
        self.triggered: list[float] = []
        self.scheduler = Scheduler(
            {"acme": schedule}, ROME, self.clocks, Silent(), lambda _: self.triggered.append(self.clocks.elapsed)
        )

    def check_for(self, seconds: float, step: float = 10.0) -> None:
        until = self.clocks.elapsed + seconds
        while self.clocks.elapsed < until:
            self.clocks.go(step)
            self.scheduler.check()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(QUARTER)
    bench.scheduler.start()
    yield bench
    bench.scheduler.stop()


def test_every_account_is_triggered_at_the_start(bench: Bench) -> None:
    assert bench.triggered == [0.0]


def test_row_20_a_scheduler_that_died_is_replaced_within_two_intervals(bench: Bench) -> None:
    """NO-SILENT-DEATH: an exception in a trigger ends APScheduler's thread while it still reports that it runs."""
    bench.check_for(2 * 15 * 60)
    assert len(bench.triggered) == 2
    assert bench.triggered[1] <= 2 * 15 * 60


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=-3650), timedelta(seconds=-90)], ids=str)
def test_row_20_a_clock_set_back_delays_no_cycle_beyond_two_intervals(bench: Bench, jump: timedelta) -> None:
    bench.check_for(60)
    bench.clocks.wall += jump
    bench.check_for(2 * 15 * 60)
    assert len(bench.triggered) >= 2


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=3653), timedelta(hours=2)], ids=str)
def test_row_20_after_a_clock_set_forward_or_a_sleep_missed_runs_are_triggered_once(
    bench: Bench, jump: timedelta
) -> None:
    """CLOCK-SAFE: years of missed runs trigger one cycle."""
    bench.check_for(60)
    bench.clocks.wall += jump
    bench.check_for(10)
    assert len(bench.triggered) == 2


def test_row_20_a_run_that_is_late_is_not_dropped(bench: Bench) -> None:
    """By default APScheduler drops runs that are a second late, as on a busy machine."""
    jobs = bench.scheduler._jobs
    assert jobs is not None
    job = jobs.scheduler.get_job("acme")
    assert (job.misfire_grace_time, job.coalesce) == (None, True)


def test_a_small_correction_of_the_clock_changes_nothing(bench: Bench) -> None:
    bench.check_for(60)
    bench.clocks.wall += timedelta(seconds=20)
    bench.check_for(60)
    assert len(bench.triggered) == 1


def test_nothing_is_triggered_after_the_stop() -> None:
    """A retired APScheduler is ignored, even if its thread still runs."""
    bench = Bench(Schedule(timedelta(seconds=1), ""))
    bench.scheduler.start()
    bench.scheduler.stop()
    threading.Event().wait(0.01)
    assert bench.triggered == [0.0]
    assert bench.scheduler.next_run("acme") is None


def test_the_next_run_is_known(bench: Bench) -> None:
    """Within the interval and its jitter of a tenth, at most half a minute."""
    due = bench.scheduler.next_run("acme")
    assert due is not None
    assert timedelta(minutes=14) < due - bench.clocks.now() < timedelta(minutes=16)


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 8 * * 0", {6}),
        ("0 8 * * 7", {6}),
        ("0 8 * * 1", {0}),
        ("0 8 * * 1-5", {0, 1, 2, 3, 4}),
        ("0 8 * * mon,fri", {0, 4}),
        ("0 8 * * */2", {6, 1, 3, 5}),
        ("0 8 * * 5-7", {4, 5, 6}),
        ("0 8 * * fri-sun", {4, 5, 6}),
        ("0 8 * * *", set(range(7))),
    ],
)
def test_cron_counts_its_weekdays_from_sunday(cron: str, days: set[int]) -> None:
    """Python and APScheduler count weekdays from Monday."""
    trigger = trigger_of(Schedule(timedelta(0), cron), ROME, datetime(2026, 1, 1, tzinfo=UTC))
    moment, met = datetime(2026, 1, 1, tzinfo=UTC), set()
    for _ in range(14):
        moment = trigger.get_next_fire_time(None, moment)
        met.add(moment.astimezone(ROME).weekday())
        moment += timedelta(seconds=1)
    assert met == days


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("*/90 * * * *", ["12:00", "13:00"]),
        ("50/45 * * * *", ["11:50", "12:50"]),
        ("10-20/15 */99 * * *", ["00:10", "00:10"]),
        ("0 8 */31 * *", ["08:00", "08:00"]),
    ],
)
def test_a_step_may_lead_beyond_the_end_of_its_range(cron: str, times: list[str]) -> None:
    """Crontabs accept it and use the first number of the range. APScheduler alone would raise an error."""
    trigger = trigger_of(Schedule(timedelta(0), cron), ROME, datetime(2026, 11, 22, 10, 30, tzinfo=UTC))
    moment, met = datetime(2026, 11, 22, 10, 30, tzinfo=UTC), []
    for _ in times:
        moment = trigger.get_next_fire_time(None, moment)
        met.append(f"{moment.astimezone(ROME):%H:%M}")
        moment += timedelta(seconds=1)
    assert met == times


@given(st.integers(min_value=2026, max_value=2045), st.sampled_from([3, 10]))
def test_an_hourly_cron_is_never_apart_by_more_than_two_hours_across_a_clock_change(year: int, month: int) -> None:
    last_sunday = max(
        day for day in (datetime(year, month, n, tzinfo=UTC) for n in range(25, 32)) if day.weekday() == 6
    )
    trigger = trigger_of(HOURLY, ROME, last_sunday)
    moment = last_sunday - timedelta(hours=3)
    for _ in range(12):
        following = trigger.get_next_fire_time(None, moment + timedelta(seconds=1))
        assert following - moment <= timedelta(hours=2)
        moment = following


def test_the_longest_gap_of_a_schedule_may_be_a_night() -> None:
    gap = longest_gap(Schedule(timedelta(0), "0 8,20 * * *"), ROME, datetime(2026, 6, 1, tzinfo=UTC))
    assert gap == timedelta(hours=12)


def test_the_next_runs_are_known_without_waiting_for_apscheduler() -> None:
    """APScheduler holds its lock while it counts missed runs; nothing may wait for that."""
    bench = Bench(QUARTER)
    assert bench.scheduler.due == {}
    bench.scheduler.start()
    try:
        due = bench.scheduler.due["acme"]
        assert due == bench.scheduler.next_run("acme")
        bench.scheduler.reschedule({"acme": HOURLY})
        assert bench.scheduler.due["acme"] != due
    finally:
        bench.scheduler.stop()
    assert set(bench.scheduler.due) == {"acme"}
