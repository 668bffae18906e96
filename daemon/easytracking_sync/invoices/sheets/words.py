"""Numbers, dates, codes and labels in the reader's language. A * behind a value: this program computed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from easytracking_sync.invoices.invoice import Field
from easytracking_sync.invoices.scalars import Day, Number
from easytracking_sync.invoices.sheets.codes_fatturapa import FIELDS, Labels
from easytracking_sync.invoices.sheets.element_names import path_name
from easytracking_sync.invoices.sheets.sheet import Column, Fact, Language, Table

MARK: Final = " *"
_SWAPPED: Final = str.maketrans(",.", ".,")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: Language

    def __call__(self, italian: str, english: str) -> str:
        """The one of the two that is wanted."""
        return italian if self.language is Language.ITALIAN else english

    def decimal(self, value: Decimal, least: int = 0) -> str:
        """All decimals but zeros at the end, and at least so many."""
        whole, _, decimals = f"{value:,f}".partition(".")
        decimals = decimals.rstrip("0").ljust(least, "0")
        text = f"{whole}.{decimals}" if decimals else whole
        return text.translate(_SWAPPED) if self.language is Language.ITALIAN else text

    def number(self, number: Number | None) -> str:
        """A quantity; its text where it is no number; empty where there is none."""
        return self._shown(number, 0)

    def amount(self, number: Number | None) -> str:
        """An amount of money without its currency."""
        return self._shown(number, 2)

    def money(self, number: Number | None, currency: str) -> str:
        """An amount with its currency."""
        text = self._shown(number, 2)
        if not text or not currency:
            return text
        return f"€ {text}" if currency == "EUR" else f"{text} {currency}"

    def percent(self, number: Number | None) -> str:
        """A rate."""
        text = self._shown(number, 0)
        return f"{text}%" if text and number and number.value is not None else text

    def day(self, day: Day | None) -> str:
        """A date; its text where there is no such day."""
        if day is None:
            return ""
        if day.value is None:
            return day.text
        return self.date(day.value) + (MARK if day.computed else "")

    def date(self, value: date) -> str:
        """A date as this language writes it."""
        if self.language is Language.ITALIAN:
            return f"{value.day:02}/{value.month:02}/{value.year:04}"
        return value.isoformat()

    def moment(self, value: datetime) -> str:
        """A date and a time, with its zone."""
        return f"{self.date(value.date())} {value:%H:%M} {value:%Z}".rstrip()

    def coded(self, code: str, labels: Labels) -> str:
        """The label with its code behind; an unknown code as it is."""
        known = labels.get(code)
        return f"{known[self.language.column]} ({code})" if known else code

    def label(self, code: str, labels: Labels) -> str:
        """The label alone; an unknown code as it is."""
        known = labels.get(code)
        return known[self.language.column] if known else code

    def facts(self, found: Sequence[Field]) -> tuple[Fact, ...]:
        """Fields of less weight under their names in words; a tax number's country and code are one value."""
        whole: list[Field] = []
        for one in found:
            parent, _, name = one.path.rpartition("/")
            if parent and name == "IdCodice" and whole and whole[-1].path == f"{parent}/IdPaese":
                whole[-1] = Field(parent, whole[-1].text + one.text)
            else:
                whole.append(one)
        return tuple(map(self._fact, whole))

    def _fact(self, found: Field) -> Fact:
        codes: Mapping[str, tuple[str, str]] = FIELDS.get(found.path.rpartition("/")[2], {})
        return Fact(path_name(found.path, self.language.column), self.coded(found.text, codes))

    def fields(self, found: Sequence[Field]) -> str:
        """Fields of less weight; those of one element on one line."""
        groups: list[dict[str, str]] = []
        within = ""
        for one in found:
            parent = one.path.rpartition("/")[0]
            fact = self._fact(one)
            if not parent or parent != within or fact.label in groups[-1]:
                groups.append({})
            groups[-1][fact.label] = fact.value
            within = parent
        return "\n".join("; ".join(f"{label}: {text}" for label, text in group.items()) for group in groups)

    def _shown(self, number: Number | None, least: int) -> str:
        if number is None:
            return ""
        if number.value is None:
            return number.text
        return self.decimal(number.value, least) + (MARK if number.computed else "")


def facts(*pairs: tuple[str, str]) -> tuple[Fact, ...]:
    """Those of the labels that have a value."""
    return tuple(Fact(label, value) for label, value in pairs if value)


def table(heading: str, columns: Sequence[Column], rows: Sequence[tuple[str, ...]], note: str = "") -> Table | None:
    """A table without the columns in which no row has anything; None where nothing is left."""
    used = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    if not used:
        return None
    return Table(
        heading,
        tuple(columns[number] for number in used),
        tuple(tuple(row[number] for number in used) for row in rows),
        note,
    )


def lines(*texts: str) -> str:
    """Those that have anything, each on a line of its own."""
    return "\n".join(text for text in texts if text)
