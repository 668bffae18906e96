"""Signals: events for the service, exceptions for other commands. Imports next to nothing, to handle them early."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from easytracking_sync.cli.exit_codes import TERMINATED


class Signals:
    """SIGHUP sets `reload`; the first SIGTERM or SIGINT sets `stop`, the second ends the process at once.

    A handler interrupts the main thread anywhere, perhaps while it holds an event's lock. So it only puts the signal
    into a queue, and a thread sets the events.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()
        self.number: int | None = None
        self._heard: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGTERM, SIGINT and SIGHUP while the block runs."""
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


class Terminated(BaseException):
    """SIGTERM."""


INSIST_SECONDS = 1.0


@contextlib.contextmanager
def ending_the_command() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into exceptions, so that the block releases everything it holds.

    If SIGINT was ignored when the program started (in a shell's background), it stays ignored. Python drops an
    exception that is raised in a finaliser or in a callback of the database driver; then the signal is sent again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    ended = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        heard.put(number)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    threading.Thread(target=_insist, args=(heard, ended), name="signals", daemon=True).start()
    numbers = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) != signal.SIG_IGN]
    former = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        heard.put(None)
        ended.set()


def _insist(heard: queue.SimpleQueue[int | None], ended: threading.Event) -> None:
    number = heard.get()
    main = threading.main_thread().ident
    while number is not None and main is not None and not ended.wait(INSIST_SECONDS):
        if not _is_unwinding(main):
            signal.pthread_kill(main, number)


def _is_unwinding(thread: int) -> bool:
    """Whether that thread is unwinding because of a signal's exception, or of an error raised meanwhile."""
    current = sys._current_exceptions().get(thread)  # noqa: SLF001  documented, in spite of its name
    error = current[1] if isinstance(current, tuple) else current
    while error is not None and not isinstance(error, (KeyboardInterrupt, Terminated)):
        error = error.__context__
    return error is not None
