"""How results are printed: tables, facts and JSON, with every control character escaped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import click
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from easytracking_sync.archive.document_entries import DocumentEntry
from easytracking_sync.list_fields import LIST_FIELDS, ListField
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Settings

MEASURED_ROWS: Final = 200
"""Column widths are measured on the first rows only, so that long lists can be streamed."""

UNBROKEN: Final = 20
"""Never wrap a column whose cells are at most this long: a wrapped date or word is hard to read."""

GAP: Final = 2


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[int] = ()) -> None:
    """A short table: drawn on a terminal, aligned text elsewhere or if the terminal is too narrow.

    `numbers` are the right-aligned columns.
    """
    console = Console(highlight=False)
    widths = [max(len(visible(cell)) for cell in column) for column in zip(heads, *rows, strict=True)]
    least = sum(min(width, UNBROKEN) for width in widths) + GAP * (len(widths) - 1)
    if not console.is_terminal or least > console.width:
        stream_table(heads, rows, numbers=numbers)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)
    for position, (head, width) in enumerate(zip(heads, widths, strict=True)):
        side: JustifyMethod = "right" if position in numbers else "left"
        table.add_column(head, justify=side, overflow="fold", no_wrap=width <= UNBROKEN)
    for row in rows:
        table.add_row(*(Text(visible(cell), style=_style(cell)) for cell in row))
    console.print(table)


def stream_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int] = ()) -> None:
    """A table of any length, line by line, in bounded memory."""
    remaining = iter(rows)
    first = [[visible(cell) for cell in row] for row in itertools.islice(remaining, MEASURED_ROWS)]
    widths = [max(map(len, column)) for column in zip(heads, *first, strict=True)]
    click.echo(click.style(_aligned(heads, widths, numbers), bold=True))
    for row in itertools.chain(first, ([visible(cell) for cell in row] for row in remaining)):
        click.echo(_aligned(row, widths, numbers))


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line, aligned; empty values are left out."""
    shown = [(name, visible(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def json_line(fields: Mapping[str, object]) -> str:
    """One JSON object on one line, in ASCII, so that surrogates, NUL and control characters are escaped."""
    return json.dumps(fields, ensure_ascii=True, allow_nan=False)


def show_title(text: str) -> None:
    """A heading after an empty line."""
    click.echo()
    click.echo(click.style(text, bold=True))


def show_archive(settings: Settings) -> None:
    """Where the archive is: the file's path, or the database's address without its password."""
    path = settings.database.sqlite_path
    click.echo(f"Archive: {settings.redacted()['database']['url'] if path is None else path.absolute()}")


def show_configuration(lines: Iterable[str]) -> None:
    """What to change in the configuration."""
    click.echo("Now change the configuration, then start the service again:")
    for line in lines:
        click.echo(f"  {line}")


def warn(text: str) -> None:
    """One line on stderr, under the program's name."""
    click.echo(f"easytracking-sync: {visible(text)}", err=True)


def document_facts(entry: DocumentEntry, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """A document's fields as `show_facts` prints them."""
    yield "document", entry.shown_id
    yield "state", entry.state.value + (" (cannot be acknowledged)" if entry.unacknowledgeable else "")
    yield "reason", entry.reason or ""
    yield "attempts", str(entry.attempts or "")
    yield "next attempt", moment(entry.next_attempt_at, zone, never="")
    yield "missing", ", ".join(entry.missing_types)
    for heading, fields in itertools.groupby(LIST_FIELDS, key=lambda field: field.heading):
        yield heading, " / ".join(filter(None, (_shown(field, getattr(entry, field.name)) for field in fields)))
    yield "discovered", moment(entry.discovered_at, zone)
    yield "stored", moment(entry.stored_at, zone, never="")
    yield "acknowledged", moment(entry.acknowledged_at, zone, never="")


def moment(at: datetime | None, zone: ZoneInfo, *, never: str = "-") -> str:
    """An instant on the wall clock of the configured time zone, to the minute."""
    return never if at is None else at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _shown(field: ListField, value: object) -> str:
    return "" if value is None or not field.heading else field.words.get(value, str(value))


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: Collection[int]) -> str:
    cells = (
        cell.rjust(width) if position in numbers else cell.ljust(width)
        for position, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _style(cell: str) -> str:
    return "dim" if cell in {"0", "-"} else ""
