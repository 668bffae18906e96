"""`run`: the service."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import click

from easytracking_sync.app import serve
from easytracking_sync.cli.exits import INTERRUPTED, TERMINATED
from easytracking_sync.cli.invocation import Invocation
from easytracking_sync.cli.session import begin_with, open_log
from easytracking_sync.settings import Settings, load_settings


@click.command(
    "run",
    epilog="""\b
It logs to stderr, at the level info unless told. SIGTERM ends it within 10 seconds in any state, and nothing is
lost; a second SIGTERM ends it at once. One account's trouble never ends it: `status` shows that account's.

\b
Examples:
  easytracking-sync run
  easytracking-sync --config acme.toml --log-format json run

\b
Exit codes:
  0    it was told to end (SIGTERM)
  2    the configuration is wrong
  5    another instance works on this archive
  74   the storage failed
  130  interrupted (Ctrl-C)""",
)
@click.pass_obj
def run(invocation: Invocation) -> int:
    """The service: list every account by its schedule and bring home what is new, until it is told to end."""

    def load() -> Settings:
        return load_settings(invocation.config, os.environ)

    session = begin_with(load(), open_log(invocation, unless_told="info"))
    stop = _Stop()
    with stop.listening():
        serve(session.settings, session.observer, stop.event, reload=load, effects=session.effects)
    return INTERRUPTED if stop.signal == signal.SIGINT else 0


class _Stop:
    """Signals, as an event: the first asks to end in order, the second ends the process there and then."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear SIGTERM and SIGINT while the block runs."""
        former = {number: signal.signal(number, self._hear) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None:
            os._exit(TERMINATED)
        self.signal = number
        self.event.set()
