"""A clock that makes the engine hang, so that a test can see what a watchdog does about it."""

from __future__ import annotations

import threading
from datetime import datetime

from easytracking_sync.effects import Clock

DISPATCHER = "dispatch"


class Stillness:
    """Tells the time as `clock` does, until `seconds` have passed: then the engine's dispatcher waits for ever."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._until = clock.monotonic() + seconds

    def now(self) -> datetime:
        if threading.current_thread().name == DISPATCHER and self._clock.monotonic() >= self._until:
            threading.Event().wait()
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return self._clock.wait(wake, seconds)
