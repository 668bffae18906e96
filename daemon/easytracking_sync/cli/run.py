"""`run`: the service. What it needs is imported while signals are heard already: that takes a second or more."""

from __future__ import annotations

import importlib
import signal

import click

from easytracking_sync.cli.exit_codes import DONE, INTERRUPTED
from easytracking_sync.cli.global_options import Invocation
from easytracking_sync.cli.signals import Signals


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
  75   the database is out of reach
  130  interrupted (Ctrl-C)""",
)
@click.option("--hang-after", type=click.FloatRange(min=0), hidden=True, help="For tests of a watchdog.")
@click.pass_obj
def run(invocation: Invocation, hang_after: float | None) -> int:
    """The service: list every account by its schedule and bring home what is new, until it is told to end."""
    signals = Signals()
    with signals.listening():
        service = importlib.import_module("easytracking_sync.cli.run_service")
        service.work(invocation, signals, hang_after=hang_after)
    return INTERRUPTED if signals.number == signal.SIGINT else DONE
