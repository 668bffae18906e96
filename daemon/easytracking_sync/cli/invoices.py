"""`invoices`: list, show and export what the archive holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from easytracking_sync.app.documents import list_documents
from easytracking_sync.app.explain import explain_document
from easytracking_sync.app.export import Exported, export_documents
from easytracking_sync.app.json_objects import document_json
from easytracking_sync.archive.document_entries import DocumentEntry, HistoryEntry
from easytracking_sync.cli import options, output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS, STORAGE, worst
from easytracking_sync.cli.options import DAY, PLACE, WORDS
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count, size

HEADS = ("DOCUMENT", "RECEIVED", "STATE", "TYPE", "DATE", "NUMBER", "SENDER", "FILES")


@click.group()
def invoices() -> None:
    """List, show and export what the archive holds. Works without the service, and while it is running."""


@invoices.command(
    "list",
    short_help="List documents as a table or as JSON.",
    epilog="""\b
Examples:
  easytracking-sync invoices list --from 2026-05-01 --until 2026-05-31
  easytracking-sync invoices list --state quarantined
  easytracking-sync invoices list --json --account acme | jq .number

Exit codes: 0 listed, 2 wrong configuration or option, 75 database unavailable.""",
)
@options.filtering
@click.option("--to", "day_to", metavar="DAY", type=DAY, help="The same as --until.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, with all fields and files.")
@pass_runtime
def list_invoices(runtime: Runtime, /, *, as_json: bool, day_to: object, **filters: Any) -> None:
    """List documents account by account, in the order of reception."""
    if day_to is not None and filters["received_to"] is not None:
        raise click.UsageError("--to and --until are the same option; give only one of them")
    wanted = options.filters_of(**filters | {"received_to": filters["received_to"] or day_to})
    with runtime.archive() as archive:
        entries = list_documents(archive, runtime.settings, wanted)
        if as_json:
            for entry in entries:
                click.echo(output.json_line(document_json(entry, runtime.settings.timezone)))
        else:
            output.stream_table(HEADS, map(_row, entries))


@invoices.command(
    short_help="Show one document, its files and its history.",
    epilog="""\b
Example:
  easytracking-sync invoices show acme/4574622

Exit codes: 0 shown, 2 unknown or ambiguous document.""",
)
@options.DOCUMENT
@pass_runtime
def show(runtime: Runtime, document: str) -> None:
    """Show one document: its fields, its files in every version, and its history as it was recorded.

    DOC is ACCOUNT/ID, or ID alone if only one account has it. `explain` shows the history in words.
    """
    zone = runtime.settings.timezone
    with runtime.archive() as archive:
        told = explain_document(archive, runtime.settings, document, runtime.effects.clock.now())
    output.show_facts(output.document_facts(told.document, zone))
    if told.document.files:
        click.echo()
        files = [(part.type, part.name, size(part.size), part.sha256) for part in told.document.files]
        output.show_table(("TYPE", "NAME", "SIZE", "SHA256"), files, numbers={2})
    if told.history:
        click.echo()
        lines = [(output.moment(one.at, zone), one.name, _detail(one)) for one in told.history]
        output.show_table(("WHEN", "EVENT", "DETAIL"), lines)


@invoices.command(
    short_help="Export documents' files to a folder.",
    epilog="""\b
Files are written to DIR/ACCOUNT/YYYY-MM/ID/, by month of reception. Files that exist are compared
and never overwritten: repeat an export to write only what is new.

\b
Examples:
  easytracking-sync invoices export --to /srv/invoices
  easytracking-sync invoices export --to may --from 2026-05-01 --until 2026-05-31 --types FA

\b
Exit codes: 0 everything is exported, 2 wrong option, 3 files with these names and other bytes exist,
5 another export writes there, 74 disk full, or the archive's own copy is damaged.""",
)
@click.option("--to", "folder", metavar="DIR", type=PLACE, required=True, help="The folder to write to.")
@click.option("--types", metavar="FA,MT,…", type=WORDS, default=(), help="Only these types of file.")
@options.filtering
@pass_runtime
def export(runtime: Runtime, /, folder: Path, types: tuple[str, ...], **filters: Any) -> int:
    """Export documents' files to a folder, each complete or not at all, byte for byte as they were received."""
    wanted = options.filters_of(**filters)
    with runtime.archive() as archive:
        exported = export_documents(archive, runtime.settings, wanted, folder, runtime.effects.files, types=types)
    return _report(exported, folder)


def _report(done: Exported, folder: Path) -> int:
    """Print what an export did; its exit code."""
    for path in done.differing:
        output.warn(f"{path} has other bytes than the archive; left as it is")
    for problem in done.rotten:
        output.warn(problem)
    parts = [f"{count(done.written, 'file')} written ({size(done.bytes)})"]
    parts += [f"{done.skipped} already there"] if done.skipped else []
    parts += [f"{len(done.differing)} different"] if done.differing else []
    parts += [f"{len(done.rotten)} damaged in the archive"] if done.rotten else []
    click.echo(f"{count(done.documents, 'document')}: {', '.join(parts)}, in {folder}")
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


def _detail(happening: HistoryEntry) -> str:
    facts = [f"batch {happening.batch}"] if happening.batch else []
    return ", ".join(facts + [f"{name}: {value}" for name, value in happening.detail.items() if value])
