"""Pauses a sink that fails, so that thousands of pending deliveries do not all call it. Pure.

Each attempt still takes the next delivery, so that one that always fails does not hold up the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from easytracking_sync.deliver.delivery import DAY_SECONDS, DeliveryEvent, DeliveryHappened, Patience


@dataclass(frozen=True, slots=True)
class SinkPause:
    """Failures of a sink in a row, whichever deliveries they were; no attempt before `until`."""

    failures: int = 0
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the sink may be tried."""
        return self.until is None or self.until <= now


@dataclass(frozen=True, slots=True)
class Paused:
    """The pause afterwards, and whether all pending deliveries of the sink are due now (SINK_BACK)."""

    pause: SinkPause
    is_back: bool = False


def after_attempt(pause: SinkPause, event: DeliveryEvent, now: datetime, patience: Patience) -> Paused:
    """What an attempt shows about its sink. After 410, the sink is tried once a day."""
    if event.happened is DeliveryHappened.UNAVAILABLE:
        failures = pause.failures + 1
        seconds = patience.pause(failures, event.retry_after, patience.sink_longest_seconds)
        return Paused(SinkPause(failures, now + timedelta(seconds=seconds)))
    if event.happened is DeliveryHappened.GONE:
        return Paused(SinkPause(pause.failures + 1, now + timedelta(seconds=DAY_SECONDS)))
    if event.happened is DeliveryHappened.ACCEPTED:
        return Paused(SinkPause(), is_back=pause.failures > 0)
    return Paused(pause)
