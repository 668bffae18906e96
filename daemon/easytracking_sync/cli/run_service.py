"""What `run` runs: the service with systemd, metrics and the HTTP pages. Importing it takes a second."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from easytracking_sync.app import Instance, serve
from easytracking_sync.app.http_pages import HttpPages
from easytracking_sync.app.supervision import Supervisor, Supervisors
from easytracking_sync.cli.global_options import GlobalOptions
from easytracking_sync.cli.runtime import open_log, start_with
from easytracking_sync.cli.signals import Signals
from easytracking_sync.effects import Clock
from easytracking_sync.events import EventName
from easytracking_sync.host.systemd import Systemd
from easytracking_sync.observe.observers import Observers
from easytracking_sync.settings import Settings, load_settings

DISPATCHER: Final = "dispatch"
"""The thread that hands work out; see machine.engine_threads."""


def work(given: GlobalOptions, signals: Signals, *, hang_after: float | None = None) -> None:
    """Serve until `signals.stop` is set; if a signal has come already, open nothing.

    With `hang_after`, the engine hangs after so many seconds, so that a watchdog can be tested.
    """
    log = open_log(given, default_level="info")

    def load() -> Settings:
        settings = load_settings(given.config, os.environ)
        log.redactor.learn(settings.secrets)
        return settings

    runtime = start_with(load(), log)
    if signals.number is not None:
        return
    effects = runtime.effects
    if hang_after is not None:
        runtime.observer.note(EventName.HANG_AWAITED, seconds=hang_after)
        effects = replace(effects, clock=HangingClock(effects.clock, hang_after))
    systemd = Systemd(os.environ, effects.clock)
    pages = HttpPages(runtime.settings, effects)
    observer = Observers(runtime.observer, pages.metrics)

    @contextlib.contextmanager
    def supervise(instance: Instance) -> Iterator[Supervisor]:
        with pages.serve(instance, observer) as liveness:
            yield Supervisors(liveness, systemd)

    serve(
        runtime.settings,
        observer,
        signals.stop,
        reload=load,
        effects=effects,
        supervise=supervise,
        reload_requested=signals.reload,
        hang_seconds=systemd.watchdog_seconds,
        preparing=systemd.preparing,
    )


class HangingClock:
    """The time of `clock`, until `seconds` have passed: then the engine's dispatcher waits for ever."""

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
