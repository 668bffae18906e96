"""What the archive says of itself, for whoever asks often: looked at now and then, and never waited for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from easytracking_sync.alarm_terms import AccountCondition
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.effects import Clock
from easytracking_sync.errors import SyncError

FRESH_SECONDS = 10.0
"""So long a reading counts as new, however many ask."""

PATIENCE_SECONDS = 3.0
"""So long an answer is waited for; scrapes are given up after ten seconds or so."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How things stood when they were last looked at; `trouble` says why that could not be done just now."""

    overviews: tuple[AccountOverview, ...] = ()
    conditions: tuple[AccountCondition, ...] = ()
    free_bytes: Mapping[str, int] = field(default_factory=dict)  # by place
    trouble: str = ""


class Readings:
    """Looks in a thread of its own, one at a time. All methods may be called from any thread; none raises."""

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
        """At most ten seconds old; where the archive does not answer, the last one that came, and the trouble."""
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
        except Exception as bug:  # noqa: BLE001  whatever it is: the numbers are missing, and nothing else stops
            reading = replace(reading, trouble=type(bug).__name__)
        finally:
            with self._lock:
                self._reading, self._read_at, self._looking = reading, self._clock.monotonic(), None
            ended.set()
