"""`run`: the service."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType

import click

from easytracking_sync.app import Station, serve
from easytracking_sync.app.lookout import Lookout
from easytracking_sync.app.pulse import Pulse
from easytracking_sync.app.pulse import Several as Pulses
from easytracking_sync.cli.exits import INTERRUPTED, TERMINATED
from easytracking_sync.cli.invocation import Invocation
from easytracking_sync.cli.session import begin_with, open_log, secrets_of
from easytracking_sync.cli.stillness import Stillness
from easytracking_sync.host.systemd import Systemd
from easytracking_sync.observe.several import Several
from easytracking_sync.settings import Settings, load_settings


@click.command(
    "run",
    epilog="""\b
It logs to stderr, at the level info unless told. SIGTERM ends it within 10 seconds in any state, and nothing is
lost; a second SIGTERM ends it at once. One account's trouble never ends it: `status` shows that account's.
SIGHUP reads the configuration again; a wrong one is logged, and the old one goes on.

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
@click.option("--hang-after", type=click.FloatRange(min=0), hidden=True, help="For tests of a watchdog.")
@click.pass_obj
def run(invocation: Invocation, hang_after: float | None) -> int:
    """The service: list every account by its schedule and bring home what is new, until it is told to end."""

    log = open_log(invocation, unless_told="info")

    def load() -> Settings:
        settings = load_settings(invocation.config, os.environ)
        log.redactor.learn(secrets_of(settings))
        return settings

    session = begin_with(load(), log)
    effects = session.effects
    if hang_after is not None:
        session.observer.note("hang.awaited", level="warning", seconds=hang_after)
        effects = replace(effects, clock=Stillness(effects.clock, hang_after))
    systemd = Systemd(os.environ, effects.clock)
    lookout = Lookout(session.settings, effects)
    observer = Several(session.observer, lookout.metrics)

    @contextlib.contextmanager
    def watch(at_work: Station) -> Iterator[Pulse]:
        with lookout.watch(at_work, observer) as beat:
            yield Pulses(beat, systemd)

    signals = _Signals()
    with signals.listening():
        systemd.preparing()
        serve(
            session.settings,
            observer,
            signals.stop,
            reload=load,
            effects=effects,
            watch=watch,
            told_to_reload=signals.reload,
            patience_seconds=systemd.patience_seconds,
        )
    return INTERRUPTED if signals.number == signal.SIGINT else 0


class _Signals:
    """Signals, as events: SIGHUP asks for a reload; the first of the others asks to end in order, the second ends the
    process there and then."""

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
