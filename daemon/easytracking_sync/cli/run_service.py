"""What `run` runs: the service under the eyes of systemd, the metrics and the pages. Takes its time to import."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

from easytracking_sync.app import Station, serve
from easytracking_sync.app.http_pages import Lookout
from easytracking_sync.app.supervision import Pulse
from easytracking_sync.app.supervision import Several as Pulses
from easytracking_sync.cli.global_options import Invocation
from easytracking_sync.cli.runtime import begin_with, open_log, secrets_of
from easytracking_sync.cli.signals import Signals
from easytracking_sync.cli.stillness import Stillness
from easytracking_sync.host.systemd import Systemd
from easytracking_sync.observe.observers import Several
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
    lookout = Lookout(session.settings, effects)
    observer = Several(session.observer, lookout.metrics)

    @contextlib.contextmanager
    def watch(at_work: Station) -> Iterator[Pulse]:
        with lookout.watch(at_work, observer) as beat:
            yield Pulses(beat, systemd)

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
