"""`check`: print what is wrong with this installation, and how to repair it."""

from __future__ import annotations

from collections.abc import Iterable

import click

from easytracking_sync.app.check import Finding, run_checks
from easytracking_sync.cli.exit_codes import DONE, code_of_kind, worst
from easytracking_sync.cli.global_options import GlobalOptions
from easytracking_sync.cli.runtime import start
from easytracking_sync.errors import UsageError
from easytracking_sync.quantities import count
from easytracking_sync.safe_text import visible

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    epilog="""\b
It logs in once per account and asks for one list element; nothing is fetched or acknowledged.
A line marked warn should be repaired, but works and does not count in the exit code.

\b
Example:
  easytracking-sync --config acme.toml check

Exit codes: 0 all checks passed, 2 configuration, 3 other users can read the archive, or the clock is wrong,
4 credentials refused, 74 storage, 75 service or database unavailable. If several apply: the first of
2, 4, 74, 75, 3.""",
)
@click.option("--offline", is_flag=True, help="Check this machine only; do not contact the service.")
@click.pass_obj
def check(given: GlobalOptions, *, offline: bool) -> int:
    """Check configuration, folders, disk, database, alerts and every account, and say how to repair what is wrong."""
    try:
        runtime = start(given)
    except UsageError as error:
        return _print([Finding(f"configuration: {line}", UsageError) for line in str(error).splitlines()])[0]
    code, warnings = _print(run_checks(runtime.settings, runtime.effects, offline=offline))
    if code != DONE:
        click.echo("Repair the lines marked fail, then check again.")
    elif warnings:
        click.echo(f"It works; {count(warnings, 'line')} marked warn should be repaired.")
    else:
        click.echo("All checks passed.")
    return code


def _print(findings: Iterable[Finding]) -> tuple[int, int]:
    """Print findings as they come; the exit code, and how many were warnings."""
    code, warnings = DONE, 0
    for finding in findings:
        mark = click.style(finding.severity.ljust(4), fg=COLOURS[finding.severity])
        click.echo(f"{mark}  {visible(finding.what)}")
        if finding.repair:
            click.echo(f"      → {visible(finding.repair)}")
        code = worst(code, DONE if finding.fault is None else code_of_kind(finding.fault))
        warnings += finding.severity == "warn"
    return code, warnings
