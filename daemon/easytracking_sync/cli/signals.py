"""Signals to the service, as events. Imports next to nothing, so that they are heard from the very beginning."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from easytracking_sync.cli.exits import TERMINATED


class Signals:
    """SIGHUP asks for a reload; the first of the others asks to end in order, the second ends the process there and
    then.

    A handler interrupts the main thread wherever it is, in the middle of an event's own lock perhaps: it may put
    something into this queue, and nothing else. A thread sets the events.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()
        self.number: int | None = None
        self._heard: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear SIGTERM, SIGINT and SIGHUP while the block runs."""
        threading.Thread(target=self._tell, name="signals", daemon=True).start()
        heard = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        former = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            self._heard.put(None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number != signal.SIGHUP:
            if self.number is not None:
                os._exit(TERMINATED)
            self.number = number
        self._heard.put(number)

    def _tell(self) -> None:
        while (number := self._heard.get()) is not None:
            (self.reload if number == signal.SIGHUP else self.stop).set()
