"""Numbers and dates of an invoice: what is written stays visible as text, beside a value where it has one.

All sums are exact: Decimal in a context that is wider than any number that is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from easytracking_sync.invoices.limits import MOST_NUMBER_SIGNS

CENT: Final = Decimal("0.01")
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2100
MOST_DAYS: Final = 3_660
_EXACT: Final = Context(prec=200)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written. `value` is None where the text is none; `computed` where the file does not have it."""

    text: str
    value: Decimal | None
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """A date as written. `value` is None where there is no such day; `computed` where the file does not have it."""

    text: str
    value: date | None
    computed: bool = False

    @property
    def odd(self) -> bool:
        """A year that no electronic invoice has."""
        return self.value is not None and not FIRST_YEAR <= self.value.year <= LAST_YEAR


def read_number(text: str) -> Number | None:
    """The number of the text, with all its decimals; None where there is no text."""
    if not text:
        return None
    if len(text) > MOST_NUMBER_SIGNS or not _NUMBER.fullmatch(text):
        return Number(text, None)
    return Number(text, Decimal(text))


def read_day(text: str) -> Day | None:
    """The day of the text's first ten characters: a time and a zone behind it say nothing about an invoice's date."""
    if not text:
        return None
    found = _DAY.match(text)
    try:
        return Day(text, date(int(found[1]), int(found[2]), int(found[3])) if found else None)
    except ValueError:
        return Day(text, None)


def computed(value: Decimal) -> Number:
    """A number that does not stand in the file."""
    return Number(f"{value:f}", value, computed=True)


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    result = Decimal(0)
    for value in values:
        result = _EXACT.add(result, value)
    return result


def sum_of(numbers: Iterable[Number | None]) -> Decimal | None:
    """The exact sum; None where one is missing or no number, or where there is none at all."""
    values = [number.value if number else None for number in numbers]
    known = [value for value in values if value is not None]
    return total(known) if known and len(known) == len(values) else None


def product(*values: Decimal) -> Decimal:
    """The exact product."""
    result = Decimal(1)
    for value in values:
        result = _EXACT.multiply(result, value)
    return result


def divided(value: Decimal, by: Decimal) -> Decimal:
    """The quotient to 200 digits; `by` is not 0."""
    return _EXACT.divide(value, by)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount x part / whole, in cents; whole is not 0."""
    return rounded(divided(product(amount, part), whole))


def rounded(value: Decimal) -> Decimal:
    """In cents, half up, as the invoices' makers do it."""
    return value.quantize(CENT, ROUND_HALF_UP, _EXACT)


def day_after(start: Day | None, days: Number | None) -> Day | None:
    """So many days later, marked computed; None where either is not known or the days are beyond reason."""
    if start is None or start.value is None or days is None or days.value is None:
        return None
    if days.value != int(days.value) or not 0 <= days.value <= MOST_DAYS:
        return None
    try:
        later = start.value + timedelta(days=int(days.value))
    except OverflowError:
        return None
    return Day(later.isoformat(), later, computed=True)
