"""`scrub`: check that stored files have not changed."""

from __future__ import annotations

import click

from easytracking_sync.app.accounts import account_ids_of
from easytracking_sync.app.scrub import ScrubOutcome
from easytracking_sync.app.scrub import scrub as scrub_archive
from easytracking_sync.archive.scrub import RottenFile
from easytracking_sync.cli import options, output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS, STORAGE
from easytracking_sync.cli.progress import progress_of_steps
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count, size

HEADS = ("DOCUMENT", "TYPE", "SHA256", "ACTION")


@click.command(
    epilog="""\b
It changes nothing except for damaged files: their documents are fetched again by the running service
or the next catch-up. It may run while the service runs, and be interrupted.

\b
Examples:
  easytracking-sync scrub
  easytracking-sync scrub --account acme

\b
Exit codes: 0 everything is undamaged, 2 unknown account, 3 something was damaged, 74 more than half
the files are missing or damaged (is the disk mounted?), 75 database unavailable.""",
)
@options.ACCOUNTS
@click.option(
    "--refetch-all", is_flag=True, help="Fetch again even if more than half the files are missing or damaged."
)
@pass_runtime
def scrub(runtime: Runtime, accounts: tuple[str, ...], *, refetch_all: bool) -> int:
    """Read and hash every stored file, and have damaged ones fetched again."""
    clock = runtime.effects.clock
    with runtime.archive() as archive, progress_of_steps(clock) as shown:
        ids = account_ids_of(runtime.settings, archive, accounts)
        extent = archive.scrubber.total(ids)

        def show(so_far: ScrubOutcome) -> None:
            doing = f"{so_far.files} of {count(extent.files, 'file')}, {size(so_far.bytes)} read"
            shown(doing, so_far.bytes, extent.bytes)

        outcome = scrub_archive(
            archive, ids, clock=clock, observer=runtime.observer, refetch_all=refetch_all, on_step=show
        )
        unreferenced = archive.scrubber.unreferenced()
    return _report(outcome, unreferenced)


def _report(outcome: ScrubOutcome, unreferenced: int) -> int:
    """Print what was found; the exit code."""
    read = f"{count(outcome.files, 'file')}, {size(outcome.bytes)} read"
    if outcome.shown:
        output.show_table(HEADS, [_row(one, outcome) for one in outcome.shown])
        hidden = outcome.rotten - len(outcome.shown)
        if hidden:
            click.echo(f"… and {hidden} more; see the log")
    if outcome.suspicious:
        click.echo(f"{read}, {outcome.rotten} of them missing or damaged. None of them will be fetched again.")
        output.warn("more than half the files are missing or damaged: check that storage.path is mounted")
        return STORAGE
    if unreferenced:
        click.echo(f"{count(unreferenced, 'blob')} stored without a document (left by an interrupted run; harmless)")
    if not outcome.rotten:
        click.echo(f"{read}: no damage found.")
        return DONE
    lost = f", {outcome.lost} older versions are lost" if outcome.lost else ""
    click.echo(f"{read}: {outcome.rotten} damaged; {count(outcome.refetched, 'document')} to be fetched again{lost}")
    return FINDINGS


def _row(one: RottenFile, outcome: ScrubOutcome) -> tuple[str, ...]:
    fetched = "fetched again" if one.current else "an older version: lost"
    return f"{one.account}/{one.doc_id}", one.type, one.sha256, "-" if outcome.suspicious else fetched
