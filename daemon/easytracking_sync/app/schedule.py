"""The schedule: when each account's cycle is due.

APScheduler triggers the cycles. It waits by the wall clock, so a changed clock could stop an account for a day or
trigger years of missed runs, and an exception in a trigger ends its thread silently. Therefore `Scheduler.check`,
called by the service's loop, watches by the monotonic clock, and starts a new APScheduler when the clocks drift apart
or a cycle is overdue.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.effects import Clock
from easytracking_sync.errors import SyncError
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Schedule, cron_numbers

MOST_JITTER_SECONDS = 30.0
# cron counts weekdays from Sunday, APScheduler from Monday; names are unambiguous
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

JUMP_SECONDS = 30.0
"""If the two clocks differ by more, the wall clock was set or the machine slept."""

OVERDUE_GAPS = 1.5
"""A cycle is overdue after this many of its longest gaps."""

LEAST_OVERDUE_SECONDS = 5.0

WITHDRAW_SECONDS = 1.0
"""At shutdown, wait no longer for a database that does not answer."""


def trigger_of(schedule: Schedule, zone: ZoneInfo, start: datetime) -> BaseTrigger:
    """The trigger of a schedule. An interval counts elapsed time from `start`, with a jitter of a tenth."""
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
    """The interval; for cron, the longest time between two of the next dozen runs."""
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
    """When the n-th run (n = `runs`) after `after` is due; the latest possible time if there are fewer."""
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
    """The next run, in UTC: in the repeated hour a trigger returns the time it was given, and differences of local
    times ignore clock changes."""
    following: datetime | None = trigger.get_next_fire_time(None, after.astimezone(UTC) + timedelta(seconds=1))
    return None if following is None else following.astimezone(UTC)


def _listed(numbers: Sequence[int], whole: int) -> str:
    """The numbers as APScheduler accepts them; it lacks some steps and ranges of crontabs."""
    return "*" if len(numbers) == whole else ",".join(map(str, numbers))


@dataclass(slots=True)
class _Entry:
    schedule: Schedule
    gap_seconds: float
    triggered_at: float  # monotonic


@dataclass(slots=True)
class _Jobs:
    """One APScheduler; the triggers of a retired one are ignored."""

    scheduler: BackgroundScheduler
    retired: bool = False


class Scheduler:
    """Calls `trigger(label)`, from any thread, when an account's cycle is due. It must neither block nor raise."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        zone: ZoneInfo,
        clock: Clock,
        observer: Observer,
        trigger: Callable[[str], object],
    ) -> None:
        self._zone = zone
        self._clock = clock
        self._observer = observer
        self._trigger = trigger
        self._lock = threading.Lock()
        now = clock.monotonic()
        self._entries = {
            label: _Entry(schedule, longest_gap(schedule, zone, clock.now()).total_seconds(), now)
            for label, schedule in schedules.items()
        }
        self._jobs: _Jobs | None = None
        self._due: dict[str, datetime] = {}
        self._seen = clock.now(), now  # wall clock, monotonic clock

    def start(self) -> None:
        """Trigger every account at once, then by its schedule."""
        self._restart()
        for label in self._entries:
            self._trigger_now(label)

    def stop(self) -> None:
        """Trigger no more."""
        self._retire()

    def reschedule(self, schedules: Mapping[str, Schedule]) -> None:
        """Change the schedules of these accounts; called by the loop that calls `check`."""
        now = self._clock.now()
        for label, schedule in schedules.items():
            entry = self._entries[label]
            entry.schedule = schedule
            entry.gap_seconds = longest_gap(schedule, self._zone, now).total_seconds()
        self._restart()

    def check(self) -> None:
        """Detect a changed clock and overdue cycles; called about once a second."""
        wall, now = self._clock.now(), self._clock.monotonic()
        apart = (wall - self._seen[0]).total_seconds() - (now - self._seen[1])
        self._seen = wall, now
        if abs(apart) > JUMP_SECONDS:
            self._observer.note(EventName.CLOCK_JUMPED, seconds=round(apart, 1))
            self._restart()
            if apart > 0:  # a machine that slept has missed runs
                self._trigger_where(lambda entry: apart + now - entry.triggered_at >= entry.gap_seconds)
        overdue = self._trigger_where(
            lambda entry: now - entry.triggered_at > max(OVERDUE_GAPS * entry.gap_seconds, LEAST_OVERDUE_SECONDS)
        )
        if overdue:
            self._observer.note(EventName.SCHEDULE_STALLED, accounts=", ".join(overdue))
            self._restart()

    @property
    def due(self) -> Mapping[str, datetime]:
        """The next run of each label, as last noted; never waits for APScheduler."""
        with self._lock:
            return dict(self._due)

    def next_run(self, label: str) -> datetime | None:
        """The next run of this account; None if there is none."""
        with self._lock:
            jobs = self._jobs
        job = jobs.scheduler.get_job(label) if jobs is not None else None
        return job.next_run_time if job is not None else None

    def _trigger_where(self, is_due: Callable[[_Entry], bool]) -> list[str]:
        due = [label for label, entry in self._entries.items() if is_due(entry)]
        for label in due:
            self._trigger_now(label)
        return due

    def _trigger_now(self, label: str) -> None:
        self._entries[label].triggered_at = self._clock.monotonic()
        self._trigger(label)

    def _restart(self) -> None:
        self._retire()
        scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        jobs = _Jobs(scheduler)
        scheduler.add_listener(self._on_trouble, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        now = self._clock.now()
        for label, entry in self._entries.items():
            trigger = trigger_of(entry.schedule, self._zone, now)
            scheduler.add_job(self._on_due, trigger, args=(jobs, label), id=label)
        scheduler.start()
        with self._lock:
            self._jobs = jobs
        for label in self._entries:
            self._announce(label)

    def _retire(self) -> None:
        """Let the scheduler end in its own time: it may hold its lock while it counts years of missed runs."""
        with self._lock:
            jobs, self._jobs = self._jobs, None
        if jobs is not None:
            jobs.retired = True
            ending = threading.Thread(target=jobs.scheduler.shutdown, kwargs={"wait": False}, daemon=True)
            ending.start()

    def _on_due(self, jobs: _Jobs, label: str) -> None:
        if not jobs.retired:
            self._trigger_now(label)
            self._announce(label)

    def _announce(self, label: str) -> None:
        at, gap = self.next_run(label), self._entries[label].gap_seconds
        if at is not None:
            with self._lock:
                self._due[label] = at
        self._observer.note(EventName.CYCLE_SCHEDULED, account=label, at=at, longest_seconds=gap)

    def _on_trouble(self, event: JobEvent) -> None:
        self._observer.note(EventName.SCHEDULE_TROUBLED, account=event.job_id, code=event.code)


class PublishedSchedule:
    """Writes the next run of each account to the archive, for `status`. Used by the service's loop alone."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock
        self._published: dict[int, datetime] = {}

    def publish(self, runs: Mapping[int, datetime]) -> None:
        """Write the next runs that have changed, by account id. Raises DatabaseUnavailable and StorageFault."""
        changed = {account_id: at for account_id, at in runs.items() if self._published.get(account_id) != at}
        if changed:
            self._accounts.note_next_runs(changed)
            self._published |= changed

    def withdraw(self) -> None:
        """Remove these next runs when the service stops, except those that another instance has changed."""
        ended = threading.Event()

        def work() -> None:
            with contextlib.suppress(SyncError):
                self._accounts.forget_next_runs(self._published)
            ended.set()

        threading.Thread(target=work, name="next-runs", daemon=True).start()
        self._clock.wait(ended, WITHDRAW_SECONDS)
