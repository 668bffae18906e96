"""What `run` runs: the service under the eyes of systemd, the metrics and the pages. Takes its time to import."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

from easytracking_sync.app import Instance, serve
from easytracking_sync.app.http_pages import HttpPages
from easytracking_sync.app.supervision import Supervisor, Supervisors
from easytracking_sync.cli.invocation import Invocation
from easytracking_sync.cli.session import begin_with, open_log, secrets_of
from easytracking_sync.cli.signals import Signals
from easytracking_sync.cli.stillness import Stillness
from easytracking_sync.host.systemd import Systemd
from easytracking_sync.observe.several import Several
from easytracking_sync.settings import Settings, load_settings


def work(invocation: Invocation, signals: Signals, *, hang_after: float | None = None) -> None:
    """Serve until `signals.stop` is set; where it is set already, nothing is opened."""
    log = open_log(invocation, unless_told="info")

    def load() -> Settings:
        settings = load_settings(invocation.config, os.environ)
        log.redactor.learn(secrets_of(settings))
        return settings

    session = begin_with(load(), log)
    if signals.number is not None:
        return
    effects = session.effects
    if hang_after is not None:
        session.observer.note("hang.awaited", level="warning", seconds=hang_after)
        effects = replace(effects, clock=Stillness(effects.clock, hang_after))
    systemd = Systemd(os.environ, effects.clock)
    pages = HttpPages(session.settings, effects)
    observer = Several(session.observer, pages.metrics)

    @contextlib.contextmanager
    def supervise(instance: Instance) -> Iterator[Supervisor]:
        with pages.serve(instance, observer) as liveness:
            yield Supervisors(liveness, systemd)

    systemd.preparing()
    serve(
        session.settings,
        observer,
        signals.stop,
        reload=load,
        effects=effects,
        supervise=supervise,
        reload_requested=signals.reload,
        hang_seconds=systemd.watchdog_seconds,
    )
