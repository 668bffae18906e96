"""`invoices`: what the archive holds, for people and for scripts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack
from zoneinfo import ZoneInfo

import click

from easytracking_sync.app import json_objects
from easytracking_sync.app.export import Export, Exported, exclusively
from easytracking_sync.archive.entries import DocumentEntry, Happening
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS, STORAGE, worst
from easytracking_sync.cli.filters import Given, filtering, filters_of
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.option_types import DAY, LISTED, PLACE
from easytracking_sync.cli.runtime import begin
from easytracking_sync.safe_text import visible
from easytracking_sync.terms import LIST_FIELDS, ListField

HEADS = ("DOCUMENT", "RECEIVED", "STATE", "TYPE", "DATE", "NUMBER", "SENDER", "FILES")


@click.group()
def invoices() -> None:
    """List, show and export what the archive holds. Needs no service, and works while another process writes."""


@invoices.command(
    "list",
    short_help="List documents, or print them as JSON.",
    epilog="""\b
Examples:
  easytracking-sync invoices list --from 2026-05-01 --until 2026-05-31
  easytracking-sync invoices list --state quarantined
  easytracking-sync invoices list --json --account acme | jq .number

Exit codes: 0 listed, 2 wrong configuration or option, 75 database out of reach.""",
)
@filtering
@click.option("--to", "day_to", metavar="DAY", type=DAY, help="The same as --until.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with every field and file.")
@click.pass_obj
def list_invoices(invocation: Invocation, *, as_json: bool, day_to: object, **given: Unpack[Given]) -> None:
    """List documents account by account, in the order of their reception."""
    if day_to is not None and given["received_to"] is not None:
        raise click.UsageError("--to and --until are the same: give one of the two")
    given["received_to"] = given["received_to"] or day_to  # type: ignore[typeddict-item]
    session = begin(invocation)
    zone = session.settings.timezone
    with session.archive() as archive:
        entries = archive.catalogue.documents(filters_of(session.settings, archive, **given))
        if as_json:
            for entry in entries:
                click.echo(json_objects.line(json_objects.document_fields(entry, zone)))
        else:
            output.stream_table(HEADS, (_row(entry) for entry in entries))


@invoices.command(
    short_help="Show one document, its files and its history.",
    epilog="""\b
Example:
  easytracking-sync invoices show acme/4574622

Exit codes: 0 shown, 2 unknown or ambiguous document.""",
)
@click.argument("document", metavar="DOC")
@click.pass_obj
def show(invocation: Invocation, document: str) -> None:
    """Show one document: its fields, every version of its files, and what happened to it.

    DOC is ACCOUNT/ID, or ID alone where one account only has it.
    """
    session = begin(invocation)
    zone = session.settings.timezone
    with session.archive() as archive:
        entry = archive.catalogue.find(document)
        happenings = archive.catalogue.happenings(entry)
    output.show_facts(facts_of(entry, zone))
    if entry.files:
        click.echo()
        files = [(part.type, part.name, output.size(part.size), part.sha256) for part in entry.files]
        output.show_table(("TYPE", "NAME", "SIZE", "SHA256"), files, numbers={2})
    if happenings:
        click.echo()
        lines = [(output.moment(one.at, zone), one.name, _told(one)) for one in happenings]
        output.show_table(("WHEN", "WHAT", "DETAIL"), lines)


@invoices.command(
    short_help="Write documents' files into a folder.",
    epilog="""\b
Files lie in DIR/ACCOUNT/YYYY-MM/ID/, by month of reception. What is there already is compared
and never overwritten: repeat an export and it writes only what is new.

\b
Examples:
  easytracking-sync invoices export --to /srv/invoices
  easytracking-sync invoices export --to may --from 2026-05-01 --until 2026-05-31 --types FA

\b
Exit codes: 0 all there, 2 wrong option, 3 files of that name with other bytes are in the way,
5 another export writes there, 74 disk full, or the archive's own copy is damaged.""",
)
@click.option("--to", "folder", metavar="DIR", type=PLACE, required=True, help="The folder.")
@click.option("--types", metavar="FA,MT,…", type=LISTED, default=(), help="Only these types of file.")
@filtering
@click.pass_obj
def export(invocation: Invocation, folder: Path, types: tuple[str, ...], **given: Unpack[Given]) -> int:
    """Write documents' files into a folder, each whole or not at all, byte for byte as they were received."""
    session = begin(invocation)
    with session.archive() as archive:
        filters = filters_of(session.settings, archive, **given)
        with exclusively(folder, session.effects.files):
            work = Export(folder, archive.blobs, session.effects.files, types=types)
            for entry in archive.catalogue.documents(filters):
                work.add(entry)
    return report(work.done, folder)


def report(done: Exported, folder: Path) -> int:
    """Say what an export did; its exit code."""
    for path in done.differing:
        click.echo(f"{NAME}: {visible(str(path))} holds other bytes than the archive; left as it is", err=True)
    for problem in done.rotten:
        click.echo(f"{NAME}: {visible(problem)}", err=True)
    parts = [f"{output.count(done.written, 'file')} written ({output.size(done.bytes)})"]
    parts += [f"{done.skipped} there already"] if done.skipped else []
    parts += [f"{len(done.differing)} differing"] if done.differing else []
    parts += [f"{len(done.rotten)} damaged in the archive"] if done.rotten else []
    click.echo(f"{output.count(done.documents, 'document')}: {', '.join(parts)}, in {folder}")
    return worst(FINDINGS if done.differing else DONE, STORAGE if done.rotten else DONE)


def _row(entry: DocumentEntry) -> tuple[str, ...]:
    types = " ".join(dict.fromkeys(part.type for part in entry.files))
    lacking = f" (no {', '.join(entry.missing_types)})" if entry.missing_types else ""
    return (
        entry.shown_id,
        entry.received.strftime("%Y-%m-%d %H:%M") if entry.received else "-",
        "unacknowledgeable" if entry.in_trouble and entry.unacknowledgeable else entry.state.value,
        entry.document_type or "-",
        str(entry.document_date or "-"),
        _short(entry.number or "-"),
        entry.sender_piva or entry.sender_cf or "-",
        (types or "-") + lacking,
    )


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def facts_of(entry: DocumentEntry, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    yield "document", entry.shown_id
    yield "state", entry.state.value + (" (cannot be acknowledged)" if entry.unacknowledgeable else "")
    yield "reason", entry.reason or ""
    yield "attempts", str(entry.attempts or "")
    yield "next attempt", output.moment(entry.next_attempt_at, zone, never="")
    yield "missing", ", ".join(entry.missing_types)
    for heading, fields in itertools.groupby(LIST_FIELDS, key=lambda field: field.heading):
        yield heading, " / ".join(filter(None, (_shown(field, getattr(entry, field.name)) for field in fields)))
    yield "discovered", output.moment(entry.discovered_at, zone)
    yield "stored", output.moment(entry.stored_at, zone, never="")
    yield "acknowledged", output.moment(entry.acknowledged_at, zone, never="")


def _shown(field: ListField, value: object) -> str:
    return "" if value is None or not field.heading else field.words.get(value, str(value))


def _told(happening: Happening) -> str:
    facts = [f"batch {happening.batch}"] if happening.batch else []
    return ", ".join(facts + [f"{name}: {value}" for name, value in happening.detail.items() if value])
