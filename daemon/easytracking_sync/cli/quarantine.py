"""`quarantine`: documents that gave up, and the ways out."""

from __future__ import annotations

import contextlib

import click

from easytracking_sync.archive.entries import DocumentEntry
from easytracking_sync.archive.remedies import BusyDocument, Remedies
from easytracking_sync.archive.store import Archive, alone
from easytracking_sync.cli import output
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.errors import LockHeld, UsageError
from easytracking_sync.terms import DocumentState

HEADS = ("DOCUMENT", "TROUBLE", "ATTEMPTS", "SINCE", "NEXT TRY", "REASON")


@click.group()
def quarantine() -> None:
    """Documents that could not be fetched, or are stored and cannot be acknowledged. They are tried again daily."""


@quarantine.command(
    "list",
    epilog="""\b
Example:
  easytracking-sync quarantine list

Exit codes: 0 there is none, 3 there are some, 2 wrong configuration.""",
)
@click.pass_obj
def list_quarantine(invocation: Invocation) -> int:
    """Show what is in trouble, why, and when it is tried next."""
    session = begin(invocation)
    with session.archive() as archive:
        rows = [_row(session, entry) for entry in archive.catalogue.troubled()]
    if not rows:
        click.echo("Nothing is in quarantine.")
        return 0
    output.show_table(HEADS, rows, numbers={2})
    click.echo(
        f"Try again now: {NAME} quarantine retry DOC   Close for good: {NAME} quarantine accept DOC --reason R"
    )
    return 3


@quarantine.command(
    short_help="Make documents due now instead of tomorrow.",
    epilog="""\b
Examples:
  easytracking-sync quarantine retry                 everything
  easytracking-sync quarantine retry acme/4574622    one document
  easytracking-sync catch-up                         and fetch it at once

Exit codes: 0 they are due now, 2 a DOC is unknown or not in trouble.""",
)
@click.argument("documents", metavar="[DOC]...", nargs=-1)
@click.pass_obj
def retry(invocation: Invocation, documents: tuple[str, ...]) -> None:
    """Make documents due now instead of tomorrow; all that are in trouble, where none is named.

    The running service takes them at once; else the next catch-up does.
    """
    session = begin(invocation)
    with session.archive() as archive:
        entries = _named(archive, documents) if documents else list(archive.catalogue.troubled())
        hastened = Remedies(archive.database).retry(entries, session.effects.clock.now())
    if not entries:
        click.echo("Nothing is in quarantine.")
        return
    parts = [
        f"{output.count(number, 'document')} due to be {what} now"
        for number, what in ((hastened.fetches, "fetched"), (hastened.acknowledgements, "acknowledged"))
        if number
    ]
    click.echo("; ".join(parts) or "What was in trouble is on its way already")


@quarantine.command(
    epilog="""\b
Example:
  easytracking-sync quarantine accept acme/4574622 --reason "sent again as 4574700"

Exit codes: 0 closed, 2 unknown or not in trouble, 75 a worker holds it at this moment.""",
)
@click.argument("document", metavar="DOC")
@click.option("--reason", metavar="R", required=True, help="Why this document is not wanted any more; it is kept.")
@click.pass_obj
def accept(invocation: Invocation, document: str, reason: str) -> None:
    """Close a document in trouble for good, with a reason. Whatever files came stay in the archive."""
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why, for whoever asks in ten years")
    session = begin(invocation)
    with session.archive() as archive:
        (entry,) = _named(archive, (document,))
        _accept(session, archive, entry, reason.encode("utf-8", "replace").decode("utf-8").strip())
    click.echo(f"{entry.shown_id} is accepted; it is not asked for again")


def _accept(session: Session, archive: Archive, entry: DocumentEntry, reason: str) -> None:
    remedies = Remedies(archive.database)
    try:
        remedies.accept(entry, reason, session.effects.clock.now())
    except BusyDocument:
        # A run that was killed leaves its leases behind; where nobody holds the archive, they mean nothing.
        with contextlib.suppress(LockHeld), alone(archive.database, {"command": "quarantine accept"}):
            archive.batches.release_all()
        remedies.accept(entry, reason, session.effects.clock.now())


def _named(archive: Archive, documents: tuple[str, ...]) -> list[DocumentEntry]:
    entries = [archive.catalogue.find(document) for document in documents]
    for entry in entries:
        if not entry.in_trouble:
            raise UsageError(f"{entry.shown_id} is {entry.state}, not in quarantine")
    return entries


def _row(session: Session, entry: DocumentEntry) -> tuple[str, ...]:
    zone = session.settings.timezone
    quarantined = entry.state is DocumentState.QUARANTINED
    return (
        entry.shown_id,
        "quarantined" if quarantined else "unacknowledgeable",
        str(entry.attempts) if quarantined else "-",
        output.moment(entry.failed_at, zone),
        output.moment(entry.next_attempt_at, zone) if quarantined else "daily",
        entry.reason or "-",
    )
