"""`demo`: fetch everything from two simulated services on this machine, and prove that it was fetched."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from easytracking_sync.app import CatchUpRequest
from easytracking_sync.app import demo as steps
from easytracking_sync.app.bundled_simulator import simulated_services
from easytracking_sync.cli import output
from easytracking_sync.cli.catch_up import run_catch_up, show_outcome, warn_of_problems
from easytracking_sync.cli.exit_codes import DONE, FINDINGS, exit_code
from easytracking_sync.cli.global_options import NAME, GlobalOptions
from easytracking_sync.cli.options import PLACE
from easytracking_sync.cli.runtime import open_log, start_with
from easytracking_sync.settings import load_settings


@click.command(
    epilog="""\b
It needs no account, no network and no configuration. The folder is created anew each time; a folder
that the demo did not create is never touched.

\b
Example:
  easytracking-sync demo --dir /tmp/demo

Exit codes: 0 everything was fetched and proven, 2 the folder is not the demo's, 3 a proof failed.""",
)
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=PLACE,
    default=Path("demo"),
    show_default=True,
    help="The folder to write to.",
)
@click.pass_obj
def demo(given: GlobalOptions, folder: Path) -> int:
    """Fetch 300 invoices of two companies from two simulated services, over real sockets, and prove it."""
    steps.prepare_folder(folder)
    with simulated_services(steps.DOCUMENTS, steps.SEED) as services:
        output.show_title("Two Easy Tracking services run here, one Italian (FatturaPA, signed), one Romanian (UBL):")
        for label, service in services.items():
            click.echo(
                f"  {label:<13} {service.login.base_url}   {steps.DOCUMENTS[label]} invoices, none fetched yet"
            )
        config = steps.write_configuration(folder, services)
        runtime = start_with(load_settings(config, {}), open_log(given, default_level="error"))
        faults = sum(service.misbehave() for service in services.values())
        output.show_title(f"Fetching everything ({faults} calls are made to fail, to show that it recovers):")
        outcome = run_catch_up(runtime, CatchUpRequest())
        code = exit_code(outcome)
        if code != DONE:
            warn_of_problems(outcome)
            return code
        show_outcome(outcome, runtime.settings)
        output.show_title("The proof:")
        proof = steps.prove(runtime.settings, runtime.effects, runtime.observer, services, folder)
        _show_proof(proof)
    _suggest(config, folder)
    return DONE if proof.holds else FINDINGS


def _show_proof(proof: steps.Proof) -> None:
    for holds, what in (
        (
            proof.files_are_the_services_own,
            f"{proof.files} exported files are identical to the service's (sha256 compared)",
        ),
        (proof.second_run_fetches_nothing, "a second run fetches nothing"),
        (proof.all_are_acknowledged, f"all {proof.documents} documents carry phase 1 at their service"),
    ):
        mark = click.style("proven", fg="green") if holds else click.style("FAILED", fg="red", bold=True)
        click.echo(f"  {mark}  {what}")


def _suggest(config: Path, folder: Path) -> None:
    program = Path(sys.argv[0])
    as_typed = str(program) if program.name == NAME and shutil.which(NAME) is None else NAME
    command = f"{as_typed} --config {config}"
    output.show_title("What to try next (the services are stopped, the archive stays):")
    click.echo(f"  {command} status")
    click.echo(f"  {command} invoices list --account acme-romania --limit 10")
    click.echo(f"  find {folder / steps.EXPORT} -name '*.p7m' | head")
