"""Types of option values, and the messages for wrong ones."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from easytracking_sync.effects import Clock
from easytracking_sync.errors import UsageError
from easytracking_sync.terms import DocumentState

FIRST_YEAR = 2000


class Day(click.ParamType[date]):
    """A calendar day."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!a} is not a day; write it like 2026-05-31", param, ctx)
        if day.year < FIRST_YEAR:
            self.fail(f"{day} is before {FIRST_YEAR}, when there were no electronic invoices", param, ctx)
        return day


class Seconds(click.ParamType[float]):
    """A duration above zero."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"{value!a} is not a number of seconds above 0", param, ctx)
        return seconds


class Words(click.ParamType[tuple[str, ...]]):
    """Several words with commas between, in upper case: TD01,TD04."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip().upper() for word in str(value).split(",") if word.strip())
        if not words:
            self.fail("is empty; give one or more values, separated by commas", param, ctx)
        return words


class Text(click.ParamType[str]):
    """Text that is not blank: an empty variable of a script is refused, since it would select everything."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail("is empty; leave the option out, or give a value", param, ctx)
        return text


class Place(click.Path):
    """The path of a file or folder. An empty path is refused, since it would mean the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("is empty; give a path", param, ctx)
        return super().convert(value, param, ctx)


class Label(click.ParamType[str]):
    """An account's label, in lower case."""

    name = "label"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        label = str(value).lower()
        if not re.fullmatch(r"[a-z0-9_-]{1,64}", label):
            self.fail(f"{value!a} is not a label: use 1 to 64 letters, digits, - and _", param, ctx)
        return label


DAY = Day()
LABEL = Label()
SECONDS = Seconds()
WORDS = Words()
PLACE = Place()
TEXT = Text()
STATE = click.Choice([state.value for state in DocumentState])


def require_past(first: date | None, clock: Clock) -> None:
    """Refuse a `--from` in the future, when nothing can have been received; another time zone's today is allowed."""
    if first is not None and first > (clock.now() + timedelta(days=1)).date():
        raise UsageError(f"--from: {first} is in the future; no document can have been received then")


def require_order(first: date | None, last: date | None, names: str) -> None:
    """Refuse a range that ends before it begins; `names` are the two options."""
    if first is not None and last is not None and last < first:
        raise click.UsageError(f"{names}: {last} is before {first}")
