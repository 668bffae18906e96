"""`scrub`: is what is stored still what was stored?"""

from __future__ import annotations

import click

from easytracking_sync.app.scrub import ScrubOutcome
from easytracking_sync.app.scrub import scrub as scrub_archive
from easytracking_sync.archive.integrity import Rotten
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli import options, output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS, STORAGE
from easytracking_sync.cli.gauge import gauge
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.runtime import Session, account_ids_of, begin

HEADS = ("DOCUMENT", "TYPE", "SHA256", "WHAT NOW")


@click.command(
    epilog="""\b
It changes nothing but for what has rotten: those documents are fetched again, by the running
service or the next catch-up. It may run beside the service, and be interrupted.

\b
Examples:
  easytracking-sync scrub
  easytracking-sync scrub --account acme

\b
Exit codes: 0 everything is whole, 2 unknown account, 3 something had rotten, 74 most of it is
gone (is the disk mounted?), 75 database out of reach.""",
)
@options.ACCOUNTS
@click.option("--refetch-all", is_flag=True, help="Fetch again even where more is gone than is left.")
@click.pass_obj
def scrub(invocation: Invocation, accounts: tuple[str, ...], *, refetch_all: bool) -> int:
    """Read and hash everything that is stored, and have what has rotten fetched again."""
    session = begin(invocation)
    with session.archive() as archive:
        ids = account_ids_of(session.settings, archive, accounts)
        outcome = _scrub(session, archive, ids, refetch_all=refetch_all)
        unreferenced = archive.integrity.unreferenced()
    return _report(outcome, unreferenced)


def _scrub(session: Session, archive: Archive, ids: tuple[int, ...] | None, *, refetch_all: bool) -> ScrubOutcome:
    extent = archive.integrity.extent(ids)
    clock = session.effects.clock
    with gauge(clock) as shown:

        def show(so_far: ScrubOutcome) -> None:
            doing = f"{so_far.files} of {output.count(extent.files, 'file')}, {output.size(so_far.bytes)} read"
            shown(doing, so_far.bytes, extent.bytes)

        return scrub_archive(
            archive, ids, clock=clock, observer=session.observer, refetch_all=refetch_all, on_step=show
        )


def _report(outcome: ScrubOutcome, unreferenced: int) -> int:
    """Say what was found; the exit code."""
    read = f"{output.count(outcome.files, 'file')}, {output.size(outcome.bytes)} read"
    if outcome.shown:
        output.show_table(HEADS, [_row(one, outcome) for one in outcome.shown])
        hidden = outcome.rotten - len(outcome.shown)
        if hidden:
            click.echo(f"… and {hidden} more, which the log names")
    if outcome.suspicious:
        click.echo(f"{read}, {outcome.rotten} of them gone or rotten. Nothing was sent to be fetched again.")
        click.echo(f"{NAME}: more is gone than is left: see that storage.path is mounted, then repeat", err=True)
        return STORAGE
    if unreferenced:
        click.echo(f"{output.count(unreferenced, 'blob')} stored that no document names (left by a kill; harmless)")
    if not outcome.rotten:
        click.echo(f"{read}: everything is whole.")
        return DONE
    click.echo(
        f"{read}: {outcome.rotten} rotten; {output.count(outcome.refetched, 'document')} to be fetched again"
        + (f", {outcome.lost} older versions are lost" if outcome.lost else "")
    )
    return FINDINGS


def _row(one: Rotten, outcome: ScrubOutcome) -> tuple[str, ...]:
    fetched = "fetched again" if one.current else "an older version: lost"
    return f"{one.account}/{one.doc_id}", one.type, one.sha256, "-" if outcome.suspicious else fetched
