"""The sheet as text for a terminal: every value made visible, so that no supplier steers the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from easytracking_sync.invoices.sheets.sheet import (
    Block,
    Box,
    Column,
    Fact,
    Facts,
    Highlights,
    Notes,
    Parties,
    Sheet,
    Table,
    mapped,
)
from easytracking_sync.safe_text import visible

WIDTH: Final = 100
LEAST_WIDTH: Final = 40
_LEAST_WIDE: Final = 20
_GAP: Final = "  "


def print_text(sheet: Sheet, width: int = WIDTH) -> str:
    """Lines of at most `width` columns, where words allow it; the last ends with a line feed."""
    width = max(width, LEAST_WIDTH)
    clean = mapped(sheet, lambda text: "\n".join(visible(line) for line in text.split("\n")))
    badges = "".join(f"[{badge.text}] " for badge in clean.badges).rstrip()
    parts = [line for line in (clean.title, clean.subtitle, badges) if line]
    lines = [piece for part in parts for piece in _wrapped(part, width)]
    for block in clean.blocks:
        lines += ["", *_block(block, width)]
    lines += ["", *(piece for line in clean.footer for piece in _wrapped(line, width))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _block(block: Block, width: int) -> Iterator[str]:
    match block:
        case Parties(boxes):
            for number, box in enumerate(boxes):
                yield from [""] if number else []
                yield from _box(box, width)
        case Highlights(facts):
            yield from _facts(facts, width)
        case Facts(heading, facts):
            yield _heading(heading)
            yield from _facts(facts, width)
        case Notes(heading, lines, _):
            yield _heading(heading)
            for line in lines:
                yield from _wrapped(line, width)
        case Table():
            yield _heading(block.heading)
            yield from _table(block, width)
            yield from _wrapped(block.note, width) if block.note else []


def _box(box: Box, width: int) -> Iterator[str]:
    yield _heading(box.heading)
    yield from _wrapped(box.name, width) if box.name else []
    yield from _facts(box.facts, width)


def _heading(text: str) -> str:
    return text.upper()


def _facts(facts: Sequence[Fact], width: int) -> Iterator[str]:
    label_width = min(max((len(fact.label) for fact in facts), default=0), width // 2)
    for fact in facts:
        if not label_width:
            yield from _wrapped(fact.value, width)
            continue
        label = _wrapped(fact.label, label_width)
        value = _wrapped(fact.value, width - label_width - len(_GAP))
        for number in range(max(len(label), len(value))):
            left = label[number] if number < len(label) else ""
            right = value[number] if number < len(value) else ""
            yield f"{left:<{label_width}}{_GAP}{right}"


def _table(block: Table, width: int) -> Iterator[str]:
    """In columns where they fit; else each row as labels and values."""
    widths = _widths(block, width)
    if widths is None:
        for number, row in enumerate(block.rows):
            if number:
                yield ""
            named = zip(block.columns, row, strict=True)
            yield from _facts([Fact(column.label, text) for column, text in named if text], width)
        return
    labels = tuple(column.label for column in block.columns)
    yield from _row(labels, block.columns, widths)
    yield _GAP.join("-" * one for one in widths)
    for row in block.rows:
        yield from _row(row, block.columns, widths)


def _widths(block: Table, width: int) -> list[int] | None:
    """Of each column: as wide as its widest text; the wide ones share what is left. None where that is too little."""
    natural = [
        max(len(column.label), *(len(line) for row in block.rows for line in row[number].split("\n")), 1)
        for number, column in enumerate(block.columns)
    ]
    left = width - len(_GAP) * (len(natural) - 1) - sum(natural)
    if left >= 0:
        return natural
    wide = [number for number, column in enumerate(block.columns) if column.wide and natural[number] > _LEAST_WIDE]
    room = left + sum(natural[number] for number in wide)
    if not wide or room < _LEAST_WIDE * len(wide):
        return None
    for rank, number in enumerate(sorted(wide, key=lambda one: natural[one])):
        natural[number] = min(natural[number], room // (len(wide) - rank))
        room -= natural[number]
    return natural


def _row(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    cells = [_wrapped(text, width) for text, width in zip(texts, widths, strict=True)]
    for number in range(max(len(cell) for cell in cells)):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        yield _GAP.join(
            f"{part:>{width}}" if column.numeric else f"{part:<{width}}"
            for part, column, width in zip(parts, columns, widths, strict=True)
        )


def _wrapped(text: str, width: int) -> list[str]:
    pieces: list[str] = []
    for line in text.split("\n"):
        pieces += textwrap.wrap(line, width, replace_whitespace=False, drop_whitespace=True) or [""]
    return pieces
