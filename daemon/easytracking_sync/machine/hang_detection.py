"""Detects threads that hang: each thread reports its steps, and a watcher asks which take too long."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from easytracking_sync.effects import Clock

HANG_SECONDS = 300.0
"""A few database statements finish within this time, however slow the disk or the server is."""


@dataclass(frozen=True, slots=True)
class _Step:
    begun_at: float  # monotonic
    most_seconds: float


class HangDetector:
    """The current step of each thread of a group. `hang_seconds` limits the steps without a limit of their own."""

    def __init__(self, clock: Clock, *, hang_seconds: float = HANG_SECONDS) -> None:
        self._clock = clock
        self._hang_seconds = hang_seconds
        self._lock = threading.Lock()
        self._steps: dict[threading.Thread, _Step | None] = {}

    def begin(self, most_seconds: float | None = None) -> None:
        """The calling thread begins a step. If the step takes longer than the limit, the thread hangs."""
        step = _Step(self._clock.monotonic(), self._hang_seconds if most_seconds is None else most_seconds)
        with self._lock:
            self._steps[threading.current_thread()] = step

    def pause(self) -> None:
        """The calling thread waits intentionally, for any length of time."""
        with self._lock:
            self._steps[threading.current_thread()] = None

    def end(self) -> None:
        """The calling thread ends normally."""
        with self._lock:
            self._steps.pop(threading.current_thread(), None)

    def hung(self) -> tuple[str, ...]:
        """The names of threads whose step takes too long or that died without calling `end`."""
        now = self._clock.monotonic()
        with self._lock:
            return tuple(
                sorted(
                    thread.name
                    for thread, step in self._steps.items()
                    if not thread.is_alive() or (step is not None and now - step.begun_at > step.most_seconds)
                )
            )
