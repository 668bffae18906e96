"""The alarm clock: it says when a cycle is due, and nothing else. APScheduler keeps the calendar.

A calendar that lives by the wall clock goes wrong when that clock is set: back, and a quarter-hourly cycle idles for
a day; far forward, and every missed run is enumerated; and an exception inside a trigger ends its thread without a
word. So `tend`, called by the service's own loop, watches from the monotonic clock, and gets another calendar when
the two clocks part or a cycle is overdue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.background import BackgroundScheduler

from easytracking_sync.app.calendar import longest_gap, trigger_of
from easytracking_sync.effects import Clock
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Schedule

JUMP_SECONDS = 30.0
"""The wall clock was set, or the machine slept, if it went so much further or less than the monotonic clock."""

PATIENCE = 1.5
"""A cycle that has not come after so many of its longest gaps is overdue."""

LEAST_PATIENCE_SECONDS = 5.0


@dataclass(slots=True)
class _Watch:
    schedule: Schedule
    gap_seconds: float
    rang_at: float  # monotonic


@dataclass(slots=True)
class _Calendar:
    """One scheduler; what a retired one still says is not heard."""

    scheduler: BackgroundScheduler
    retired: bool = False


@dataclass(slots=True)
class _Clocks:
    wall: datetime
    monotonic: float = field(default=0.0)


class AlarmClock:
    """Calls `ring(label)`, from any thread, whenever an account's cycle is due; `ring` must not block or raise."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        zone: ZoneInfo,
        clock: Clock,
        observer: Observer,
        ring: Callable[[str], object],
    ) -> None:
        self._zone = zone
        self._clock = clock
        self._observer = observer
        self._ring = ring
        self._lock = threading.Lock()
        now = clock.monotonic()
        self._watches = {
            label: _Watch(schedule, longest_gap(schedule, zone, clock.now()).total_seconds(), now)
            for label, schedule in schedules.items()
        }
        self._calendar: _Calendar | None = None
        self._due: dict[str, datetime] = {}
        self._seen = _Clocks(clock.now(), now)

    def start(self) -> None:
        """Ring for every account at once, then by the calendar."""
        self._new_calendar()
        for label in self._watches:
            self._rang(label)

    def stop(self) -> None:
        """Ring no more."""
        self._retire()

    def reschedule(self, schedules: Mapping[str, Schedule]) -> None:
        """From now on, ring for these accounts at other times; from the loop that calls `tend`."""
        now = self._clock.now()
        for label, schedule in schedules.items():
            watch = self._watches[label]
            watch.schedule = schedule
            watch.gap_seconds = longest_gap(schedule, self._zone, now).total_seconds()
        self._new_calendar()

    def tend(self) -> None:
        """To be called every second or so: notice a clock that was set, and a cycle that did not come."""
        wall, now = self._clock.now(), self._clock.monotonic()
        apart = (wall - self._seen.wall).total_seconds() - (now - self._seen.monotonic)
        self._seen = _Clocks(wall, now)
        if abs(apart) > JUMP_SECONDS:
            self._observer.note("clock.jumped", level="warning", seconds=round(apart, 1))
            self._new_calendar()
            if apart > 0:  # a machine that slept has missed what was due meanwhile
                self._ring_where(lambda watch: apart + now - watch.rang_at >= watch.gap_seconds)
        overdue = self._ring_where(
            lambda watch: now - watch.rang_at > max(PATIENCE * watch.gap_seconds, LEAST_PATIENCE_SECONDS)
        )
        if overdue:
            self._observer.note("schedule.stalled", level="error", accounts=", ".join(overdue))
            self._new_calendar()

    @property
    def due(self) -> Mapping[str, datetime]:
        """Label → when it is to be rung for next, as it was announced last; waits for nobody's lock."""
        with self._lock:
            return dict(self._due)

    def next_run(self, label: str) -> datetime | None:
        """When the calendar means to ring for this account."""
        with self._lock:
            calendar = self._calendar
        job = calendar.scheduler.get_job(label) if calendar is not None else None
        return job.next_run_time if job is not None else None

    def _ring_where(self, is_due: Callable[[_Watch], bool]) -> list[str]:
        due = [label for label, watch in self._watches.items() if is_due(watch)]
        for label in due:
            self._rang(label)
        return due

    def _rang(self, label: str) -> None:
        self._watches[label].rang_at = self._clock.monotonic()
        self._ring(label)

    def _new_calendar(self) -> None:
        self._retire()
        scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        calendar = _Calendar(scheduler)
        scheduler.add_listener(self._listen, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        now = self._clock.now()
        for label, watch in self._watches.items():
            trigger = trigger_of(watch.schedule, self._zone, now)
            scheduler.add_job(self._called, trigger, args=(calendar, label), id=label)
        scheduler.start()
        with self._lock:
            self._calendar = calendar
        for label in self._watches:
            self._announce(label)

    def _retire(self) -> None:
        """A scheduler may be deep in years of missed runs, holding its own lock: it is left to end by itself."""
        with self._lock:
            calendar, self._calendar = self._calendar, None
        if calendar is not None:
            calendar.retired = True
            ending = threading.Thread(target=calendar.scheduler.shutdown, kwargs={"wait": False}, daemon=True)
            ending.start()

    def _called(self, calendar: _Calendar, label: str) -> None:
        if not calendar.retired:
            self._rang(label)
            self._announce(label)

    def _announce(self, label: str) -> None:
        at, gap = self.next_run(label), self._watches[label].gap_seconds
        if at is not None:
            with self._lock:
                self._due[label] = at
        self._observer.note("cycle.scheduled", level="debug", account=label, at=at, longest_seconds=gap)

    def _listen(self, event: JobEvent) -> None:
        self._observer.note("schedule.troubled", level="warning", account=event.job_id, code=event.code)
