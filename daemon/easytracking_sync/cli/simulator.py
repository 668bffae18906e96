"""`simulator`: run a simulated Easy Tracking service on this machine, for practice."""

from __future__ import annotations

from typing import Any

import click

from easytracking_sync.app.bundled_simulator import DEFAULT_HOST, DEFAULT_PORT, run_simulator


@click.command(
    epilog="""\b
The simulator answers all calls of the vendor's document with generated invoices; no data leaves
this machine. It prints the configuration to stdout and everything else to stderr:

\b
  easytracking-sync simulator --documents 5000 > practice.toml
and in another shell
  easytracking-sync --config practice.toml catch-up

\b
Examples:
  easytracking-sync simulator --accounts 3 --arriving 20 --faults 0.05

\b
Exit codes: 0 stopped with Ctrl-C or SIGTERM, 2 invalid option, or port in use.""",
)
@click.option(
    "--documents",
    type=click.IntRange(0, 1_000_000),
    default=200,
    show_default=True,
    help="Number of documents in all accounts together.",
)
@click.option(
    "--accounts",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Number of accounts: demo1, demo2, …",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same invoices.")
@click.option(
    "--host",
    default=DEFAULT_HOST,
    show_default=True,
    help="A loopback address: other machines must not reach the simulator.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 selects a free port."
)
@click.option(
    "--arriving",
    "arrivals_per_minute",
    type=click.FloatRange(min=0, max=60_000),
    default=0.0,
    help="New documents per minute.",
)
@click.option("--job-seconds", type=click.FloatRange(min=0, max=86_400), default=2.0, help="Duration of a job.")
@click.option(
    "--faults",
    "fault_rate",
    metavar="RATE",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    help="Share of calls that fail.",
)
def simulator(**given: Any) -> None:
    """Run a simulated Easy Tracking service until stopped, and print a configuration for it."""
    run_simulator(**given, announce=lambda line: click.echo(line, err=True), publish=click.echo)
