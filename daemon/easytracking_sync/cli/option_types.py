"""Types of option values, and the messages for wrong ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from easytracking_sync.effects import Clock
from easytracking_sync.errors import UsageError
from easytracking_sync.terms import DocumentState

FIRST_YEAR = 2000

T = TypeVar("T")


class Value(click.ParamType[T]):
    """What `read` makes of the text; its ValueError says what is wrong."""

    def __init__(self, name: str, read: Callable[[str], T]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):  # a default
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Place(click.Path):
    """The path of a file or folder. An empty path is refused, since it would mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(value, param, ctx) if value else self.fail("is empty; give a path", param, ctx)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!a} is not a day; write it like 2026-05-31") from None
    if day.year < FIRST_YEAR:
        raise ValueError(f"{day} is before {FIRST_YEAR}, when there were no electronic invoices")
    return day


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!a} is not a number of seconds above 0")
    return seconds


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    if not words:
        raise ValueError("is empty; give one or more values, separated by commas")
    return words


def _text(text: str) -> str:
    """An empty variable of a script is refused, since it would select everything."""
    if not text.strip():
        raise ValueError("is empty; leave the option out, or give a value")
    return text


def _label(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]{1,64}", text.lower()):
        raise ValueError(f"{text!a} is not a label: use 1 to 64 letters, digits, - and _")
    return text.lower()


DAY = Value("day", _day)
LABEL = Value("label", _label)
SECONDS = Value("seconds", _seconds)
WORDS = Value("list", _words)  # with commas between, in upper case: TD01,TD04
PLACE = Place(path_type=Path)
TEXT = Value("text", _text)
STATE = click.Choice([state.value for state in DocumentState])


def require_past(first: date | None, clock: Clock) -> None:
    """Refuse a `--from` in the future, when nothing can have been received; another time zone's today is allowed."""
    if first is not None and first > (clock.now() + timedelta(days=1)).date():
        raise UsageError(f"--from: {first} is in the future; no document can have been received then")


def require_order(first: date | None, last: date | None, names: str) -> None:
    """Refuse a range that ends before it begins; `names` are the two options."""
    if first is not None and last is not None and last < first:
        raise click.UsageError(f"{names}: {last} is before {first}")
