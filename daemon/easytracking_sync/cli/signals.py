"""Signals to the service, as events. Imports next to nothing, so that they are heard from the very beginning."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from easytracking_sync.cli.exits import TERMINATED


class Signals:
    """SIGHUP asks for a reload; the first of the others asks to end in order, the second ends the process there and
    then."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()
        self.number: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear SIGTERM, SIGINT and SIGHUP while the block runs."""
        heard = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        former = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGHUP:
            self.reload.set()
            return
        if self.number is not None:
            os._exit(TERMINATED)
        self.number = number
        self.stop.set()
