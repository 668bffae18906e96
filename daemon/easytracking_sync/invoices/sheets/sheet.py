"""The neutral sheet: an invoice as blocks of plain text in the reader's language. Printers know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias


class Language(StrEnum):
    """Of the sheet's words."""

    ITALIAN = "it"
    ENGLISH = "en"

    @property
    def column(self) -> int:
        """Where its words stand in tables of labels."""
        return 0 if self is Language.ITALIAN else 1


class Tone(StrEnum):
    """How a badge looks."""

    NEUTRAL = "neutral"
    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Badge:
    """A few words that stand out."""

    text: str
    tone: Tone = Tone.NEUTRAL


@dataclass(frozen=True, slots=True)
class Fact:
    """One value under its label; a value may have several lines."""

    label: str
    value: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A party: heading, name, facts."""

    heading: str
    name: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Parties:
    """Boxes side by side."""

    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Highlights:
    """The few values everybody looks for first."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and values under a heading."""

    heading: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: numbers stand to the right, wide ones take what is left."""

    label: str
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many texts as there are columns; `note` stands below, where it is not empty."""

    heading: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """Paragraphs under a heading."""

    heading: str
    lines: tuple[str, ...]
    tone: Tone = Tone.NEUTRAL


Block: TypeAlias = Parties | Highlights | Facts | Table | Notes


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that is printed, in order."""

    language: Language
    title: str
    subtitle: str
    badges: tuple[Badge, ...]
    blocks: tuple[Block, ...]
    footer: tuple[str, ...] = ()


def texts_of(sheet: Sheet) -> Iterator[str]:
    """Every text of the sheet, for those who want to know whether a printer lost one."""
    yield from (sheet.title, sheet.subtitle, *(badge.text for badge in sheet.badges))
    for block in sheet.blocks:
        yield from _texts(block)
    yield from sheet.footer


def _texts(block: Block) -> Iterator[str]:
    match block:
        case Parties(boxes):
            for box in boxes:
                yield from (box.heading, box.name, *_of_facts(box.facts))
        case Highlights(facts):
            yield from _of_facts(facts)
        case Facts(heading, facts):
            yield from (heading, *_of_facts(facts))
        case Table(heading, columns, rows, note):
            yield from (heading, *(column.label for column in columns), note)
            for row in rows:
                yield from row
        case Notes(heading, lines, _):
            yield from (heading, *lines)


def _of_facts(facts: tuple[Fact, ...]) -> Iterator[str]:
    for fact in facts:
        yield from (fact.label, fact.value)


def mapped(sheet: Sheet, change: Callable[[str], str]) -> Sheet:
    """The sheet with every text changed."""
    return replace(
        sheet,
        title=change(sheet.title),
        subtitle=change(sheet.subtitle),
        badges=tuple(replace(badge, text=change(badge.text)) for badge in sheet.badges),
        blocks=tuple(_mapped(block, change) for block in sheet.blocks),
        footer=tuple(map(change, sheet.footer)),
    )


def _mapped(block: Block, change: Callable[[str], str]) -> Block:
    match block:
        case Parties(boxes):
            return Parties(
                tuple(Box(change(box.heading), change(box.name), _facts(box.facts, change)) for box in boxes)
            )
        case Highlights(facts):
            return Highlights(_facts(facts, change))
        case Facts(heading, facts):
            return Facts(change(heading), _facts(facts, change))
        case Table(heading, columns, rows, note):
            changed = tuple(tuple(map(change, row)) for row in rows)
            named = tuple(replace(column, label=change(column.label)) for column in columns)
            return Table(change(heading), named, changed, change(note))
        case Notes(heading, lines, tone):
            return Notes(change(heading), tuple(map(change, lines)), tone)


def _facts(facts: tuple[Fact, ...], change: Callable[[str], str]) -> tuple[Fact, ...]:
    return tuple(replace(fact, label=change(fact.label), value=change(fact.value)) for fact in facts)
