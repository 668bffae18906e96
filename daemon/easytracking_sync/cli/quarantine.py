"""`quarantine`: list, retry or accept documents that cannot be fetched or acknowledged."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import click

from easytracking_sync.app.documents import accept_document, list_troubled, retry_troubled
from easytracking_sync.archive.document_entries import DocumentEntry
from easytracking_sync.cli import options, output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count
from easytracking_sync.terms import DocumentState

HEADS = ("DOCUMENT", "PROBLEM", "ATTEMPTS", "SINCE", "NEXT ATTEMPT", "REASON")


@click.group()
def quarantine() -> None:
    """Handle documents that cannot be fetched or acknowledged. They are retried daily."""


@quarantine.command(
    "list",
    epilog="""\b
Example:
  easytracking-sync quarantine list

Exit codes: 0 there are none, 3 there are some, 2 wrong configuration.""",
)
@pass_runtime
def list_quarantine(runtime: Runtime) -> int:
    """List documents that cannot be fetched or acknowledged."""
    with runtime.archive() as archive:
        troubled = list_troubled(archive)
    if not troubled:
        click.echo("No document is in quarantine.")
        return DONE
    output.show_table(HEADS, [_row(entry, runtime.settings.timezone) for entry in troubled], numbers={2})
    click.echo(f"Retry now: {NAME} quarantine retry DOC   Close for good: {NAME} quarantine accept DOC --reason R")
    return FINDINGS


@quarantine.command(
    short_help="Retry documents now instead of tomorrow.",
    epilog="""\b
Examples:
  easytracking-sync quarantine retry                 all documents
  easytracking-sync quarantine retry acme/4574622    one document
  easytracking-sync catch-up                         then fetch them at once

Exit codes: 0 they are due now, 2 a DOC is unknown or not in quarantine.""",
)
@click.argument("documents", metavar="[DOC]...", nargs=-1)
@pass_runtime
def retry(runtime: Runtime, documents: tuple[str, ...]) -> None:
    """Make documents due now instead of tomorrow: those named, or all.

    The running service retries them at once, otherwise the next catch-up does.
    """
    with runtime.archive() as archive:
        retried = retry_troubled(archive, documents, runtime.effects.clock.now())
    if not retried.documents:
        click.echo("No document is in quarantine.")
        return
    due = ((retried.fetches, "fetched"), (retried.acknowledgements, "acknowledged"))
    parts = [f"{count(number, 'document')} due to be {what} now" for number, what in due if number]
    click.echo("; ".join(parts) or "All of them are being retried already.")


@quarantine.command(
    epilog="""\b
Example:
  easytracking-sync quarantine accept acme/4574622 --reason "sent again as 4574700"

Exit codes: 0 closed, 2 unknown, or not in quarantine, 75 it is being worked on; try again.""",
)
@options.DOCUMENT
@click.option("--reason", metavar="R", required=True, help="Why the document is not needed; kept in the archive.")
@pass_runtime
def accept(runtime: Runtime, document: str, reason: str) -> None:
    """Close a document for good, with a reason. Files that were fetched stay in the archive."""
    if not reason.strip():
        raise click.UsageError("--reason is empty; give one, since it is kept with the document")
    with runtime.archive() as archive:
        accepted = accept_document(archive, document, reason, runtime.effects.clock.now())
    click.echo(f"{accepted.shown_id} is accepted and will not be fetched again.")


def _row(entry: DocumentEntry, zone: ZoneInfo) -> tuple[str, ...]:
    quarantined = entry.state is DocumentState.QUARANTINED
    return (
        entry.shown_id,
        "quarantined" if quarantined else "unacknowledgeable",
        str(entry.attempts) if quarantined else "-",
        output.moment(entry.failed_at, zone),
        output.moment(entry.next_attempt_at, zone) if quarantined else "daily",
        entry.reason or "-",
    )
