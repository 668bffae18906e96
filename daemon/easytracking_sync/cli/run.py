"""`run`: the service. What it needs is imported after signals are handled, since that takes a second or more."""

from __future__ import annotations

import importlib
import signal

import click

from easytracking_sync.cli.exit_codes import DONE, INTERRUPTED
from easytracking_sync.cli.global_options import GlobalOptions
from easytracking_sync.cli.signals import Signals


@click.command(
    "run",
    epilog="""\b
It logs to stderr, at the level info by default. SIGTERM stops it within 10 seconds, whatever it is doing,
and nothing is lost; a second SIGTERM stops it at once. Problems of one account never stop it; `status` shows
them. SIGHUP reloads the configuration; if the new one is wrong, that is logged and the old one stays in force.

\b
Examples:
  easytracking-sync run
  easytracking-sync --config acme.toml --log-format json run

\b
Exit codes: 0 stopped by SIGTERM, 2 wrong configuration, 5 another instance works on this archive,
74 storage failed, 75 database unavailable, 130 interrupted (Ctrl-C).""",
)
@click.option(
    "--hang-after", type=click.FloatRange(min=0), hidden=True, help="Hang after these seconds, to test a watchdog."
)
@click.pass_obj
def run(given: GlobalOptions, hang_after: float | None) -> int:
    """Run the service: fetch new invoices on a schedule until stopped."""
    signals = Signals()
    with signals.listening():
        service = importlib.import_module("easytracking_sync.cli.run_service")
        service.work(given, signals, hang_after=hang_after)
    return INTERRUPTED if signals.number == signal.SIGINT else DONE
