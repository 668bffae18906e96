"""How long to wait, how often to try, and which windows to list: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from easytracking_sync.terms import Window, WindowKind

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3_600.0

LONGEST_WINDOW = timedelta(days=364)
"""The document does not define how "365 days" are counted (section 4); one day less is safe."""

NEWEST_WINDOW_AHEAD = timedelta(days=2)
"""The newest window ends in the future, so that no skew between the clocks hides a document."""

LONGEST_DEADLINE_SECONDS = 23 * HOUR_SECONDS
"""A job lives 24 hours (section 5); waiting longer is useless."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits and durations (in seconds) that decisions depend on.

    `jitter` is a random number in [0, 1) drawn for this decision by the caller, so that `advance` stays pure.
    """

    retry_base_seconds: float = 1.0
    retry_cap_seconds: float = 300.0
    poll_first_seconds: float = 2.0
    poll_cap_seconds: float = 30.0
    job_deadline_seconds: float = 3_600.0
    max_attempts: int = 8
    most_losses: int = 3
    most_asks: int = 3
    refusals_to_pause: int = 8
    permission_pause_seconds: float = HOUR_SECONDS
    list_patience_seconds: float = 900.0
    slow_pauses: tuple[float, ...] = (HOUR_SECONDS, 6 * HOUR_SECONDS, DAY_SECONDS)
    quarantine_retry_seconds: float = DAY_SECONDS
    unacknowledgeable_retry_seconds: float = DAY_SECONDS
    failures_to_single_out: int = 3
    unproven_pause_seconds: float = 60.0
    probe_pause_seconds: float = 5.0
    jitter: float = 1.0

    def backoff(self, attempts: int, retry_after: float | None = None) -> float:
        """Seconds to wait after the `attempts`-th failure in a row (1, 2, …): full jitter, doubled, capped.

        A Retry-After is respected up to the cap or an hour, whichever is more.
        """
        doubled = self.retry_base_seconds * 2.0 ** min(max(attempts, 1) - 1, 32)
        pause = self.jitter * min(self.retry_cap_seconds, doubled)
        return pause if retry_after is None else max(pause, self.respected(retry_after))

    @property
    def longest_pause(self) -> float:
        """Seconds to wait if another attempt is expensive: the cap with jitter."""
        return self.jitter * self.retry_cap_seconds

    def respected(self, retry_after: float) -> float:
        """How many of the seconds that the service asks for to wait."""
        return min(retry_after, max(self.retry_cap_seconds, HOUR_SECONDS))

    def poll(self, polls: int) -> float:
        """Seconds until a pending job is polled again, after `polls` answers of "in progress"."""
        return min(self.poll_cap_seconds, self.poll_first_seconds * 1.5 ** min(polls, 32))

    def deadline(self, losses: int) -> float:
        """Seconds until a job counts as lost, doubled with each loss to allow for a slow service."""
        return min(LONGEST_DEADLINE_SECONDS, self.job_deadline_seconds * 2.0 ** min(losses, 16))

    def document_retry(self, attempts: int) -> float:
        """Seconds until a document that failed `attempts` times is fetched again; daily in quarantine."""
        if attempts >= self.max_attempts:
            return self.quarantine_retry_seconds
        return self.backoff(attempts)


def local_now(now: datetime, timezone: ZoneInfo) -> datetime:
    """The naive local time at an aware instant: as the service writes times."""
    return now.astimezone(timezone).replace(tzinfo=None, microsecond=0)


def instant(local: datetime, timezone: ZoneInfo) -> datetime:
    """The UTC instant of a naive local time (the earlier one where a clock change makes it ambiguous)."""
    return local.replace(tzinfo=timezone).astimezone(UTC)


def received_windows(first: datetime, last: datetime) -> tuple[Window, ...]:
    """Reception windows over [first, last], newest first, each within the service's bound; neighbours touch."""
    windows = []
    end = last
    while True:
        start = first if end - first <= LONGEST_WINDOW else end - LONGEST_WINDOW
        windows.append(Window(WindowKind.RECEIVED, start, end))
        if start <= first:
            return tuple(windows)
        end = start


def date_windows(first: date, last: date) -> tuple[Window, ...]:
    """Document-date windows over whole days, newest first; they find documents without a reception time."""
    start, end = (datetime.combine(day, datetime.min.time()) for day in (first, last))
    return tuple(
        Window(WindowKind.DOCUMENT_DATE, window.start, window.end) for window in received_windows(start, end)
    )


def history_windows(history_from: date, now_local: datetime) -> tuple[Window, ...]:
    """Every reception window from `history_from` to a little after now, newest first."""
    first = datetime.combine(history_from, datetime.min.time())
    return received_windows(min(first, now_local), now_local + NEWEST_WINDOW_AHEAD)
