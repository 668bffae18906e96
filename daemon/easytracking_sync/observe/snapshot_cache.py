"""The archive's state for the metrics and health pages: read at most every ten seconds, and never waited for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from easytracking_sync.alarm_terms import AccountCondition
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.effects import Clock
from easytracking_sync.errors import SyncError

FRESH_SECONDS = 10.0
"""A reading is used for this long."""

PATIENCE_SECONDS = 3.0
"""The longest wait for the archive; Prometheus gives up a scrape after about ten seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state when it was last read; `trouble` says why the latest attempt failed."""

    overviews: tuple[AccountOverview, ...] = ()
    conditions: tuple[AccountCondition, ...] = ()
    free_bytes: Mapping[str, int] = field(default_factory=dict)  # by place
    trouble: str = ""


class Readings:
    """Reads in its own thread, one reading at a time. Any thread may call any method; none raises."""

    def __init__(
        self,
        archive: Callable[[], tuple[tuple[AccountOverview, ...], tuple[AccountCondition, ...]]],
        free_bytes: Callable[[], Mapping[str, int]],
        clock: Clock,
    ) -> None:
        self._ask_archive = archive
        self._ask_free_bytes = free_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._reading = Reading()
        self._read_at: float | None = None
        self._looking: threading.Event | None = None

    def latest(self) -> Reading:
        """A reading at most ten seconds old; if the archive does not answer, the last one, with the trouble."""
        with self._lock:
            if self._looking is None and self._is_old():
                self._looking = threading.Event()
                threading.Thread(target=self._look, args=(self._looking,), name="readings", daemon=True).start()
            looking = self._looking
        if looking is not None and not self._clock.wait(looking, PATIENCE_SECONDS):
            return replace(self._reading, trouble=f"no answer within {PATIENCE_SECONDS:g} seconds")
        return self._reading

    def _is_old(self) -> bool:
        return self._read_at is None or self._clock.monotonic() - self._read_at >= FRESH_SECONDS

    def _look(self, ended: threading.Event) -> None:
        reading = self._reading
        try:
            reading = replace(reading, free_bytes=self._ask_free_bytes(), trouble="")
            overviews, conditions = self._ask_archive()
            reading = replace(reading, overviews=overviews, conditions=conditions)
        except SyncError as trouble:
            reading = replace(reading, trouble=str(trouble))
        except Exception as bug:  # noqa: BLE001  any error only makes the numbers old
            reading = replace(reading, trouble=type(bug).__name__)
        finally:
            with self._lock:
                self._reading, self._read_at, self._looking = reading, self._clock.monotonic(), None
            ended.set()
