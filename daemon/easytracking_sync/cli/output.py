"""How results look: tables on a terminal, aligned plain text elsewhere, and nothing foreign that steers either."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import click
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from easytracking_sync.safe_text import visible

MEASURED_ROWS: Final = 200
"""A long list is aligned by its first rows and then streamed."""

UNBROKEN: Final = 20
"""A column whose cells are no longer than this is never broken: half a moment or half a word is hard to read."""

GAP: Final = 2
_UNITS = ("B", "kB", "MB", "GB", "TB")


def show_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[int] = (), title: str = ""
) -> None:
    """A short table: drawn on a terminal, aligned text elsewhere and where the terminal is too narrow for it.

    `numbers` are the columns set to the right.
    """
    console = Console(highlight=False)
    widths = [max(len(visible(cell)) for cell in column) for column in zip(heads, *rows, strict=True)]
    least = sum(min(width, UNBROKEN) for width in widths) + GAP * (len(widths) - 1)
    if not console.is_terminal or least > console.width:
        if title:
            click.echo(title)
        stream_table(heads, rows, numbers=numbers)
        return
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        title_style="bold",
        show_edge=False,
        padding=(0, GAP - 1, 0, 0),
        pad_edge=False,
    )
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


def size(count: int) -> str:
    """Bytes for a person."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def moment(at: datetime | None, zone: ZoneInfo, *, never: str = "-") -> str:
    """An instant on the wall clock of the configured time zone, to the minute."""
    return never if at is None else at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def span(seconds: float) -> str:
    """A duration for a person."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join([f"{value} {unit}" for value, unit in parts if value][:2])


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: Collection[int]) -> str:
    cells = (
        cell.rjust(width) if position in numbers else cell.ljust(width)
        for position, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _style(cell: str) -> str:
    return "dim" if cell in {"0", "-"} else ""
