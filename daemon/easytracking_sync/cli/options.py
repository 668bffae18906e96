"""Options and arguments that several commands share, and the types of their values."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.effects import Clock
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import DEFAULT_CONFIG
from easytracking_sync.settings.sources import CONFIG_VARIABLE
from easytracking_sync.terms import DocumentState

FIRST_YEAR = 2000

T = TypeVar("T")


class Value(click.ParamType[T]):
    """A value converted by `read`, whose ValueError says what is wrong."""

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


C = TypeVar("C", bound=Callable[..., Any])


def account_labels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For shell completion: matching labels of the configuration file; none if it cannot be read."""
    del param
    given = ctx.find_root().params.get("config") or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG
    try:
        accounts = tomllib.loads(Path(given).read_text(encoding="utf-8-sig")).get("accounts")
    except (OSError, ValueError, TypeError):
        return []
    labels = [label.lower() for label in accounts] if isinstance(accounts, dict) else []
    return [label for label in labels if label.startswith(incomplete.lower())]


ACCOUNTS = click.option(
    "--account",
    "accounts",
    metavar="A",
    multiple=True,
    help="Only this account; may be repeated.",
    shell_complete=account_labels,
)

DOCUMENT = click.argument("document", metavar="DOC")

FROM = click.option(
    "--from", "start_day", metavar="DAY", type=DAY, help="Only what was received on this day or later."
)
TO = click.option("--to", "end_day", metavar="DAY", type=DAY, help="Only what was received on this day or earlier.")

FILTERS = (
    ACCOUNTS,
    click.option("--state", "states", type=STATE, multiple=True, help="Only in this state; may be repeated."),
    click.option("--from", "received_from", metavar="DAY", type=DAY, help="Received on this day or later."),
    click.option("--until", "received_to", metavar="DAY", type=DAY, help="Received on this day or earlier."),
    click.option("--document-date-from", metavar="DAY", type=DAY, help="Dated on this day or later."),
    click.option("--document-date-to", metavar="DAY", type=DAY, help="Dated on this day or earlier."),
    click.option("--sender", metavar="CODE", type=TEXT, help="The sender's VAT number or tax code."),
    click.option("--receiver", metavar="CODE", type=TEXT, help="The receiver's VAT number or tax code."),
    click.option("--number", metavar="N", type=TEXT, help="The invoice's number, exactly."),
    click.option(
        "--type", "document_types", metavar="TD01,…", type=WORDS, default=(), help="Only these document types."
    ),
    click.option("--incomplete", is_flag=True, help="Only documents that lack a requested file."),
    click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most N documents."),
)
"""Which documents are meant: each is called as in `archive.entries.DocumentFilter`."""


def filtering(command: C) -> C:
    """Give a command all of FILTERS."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def filters_of(**given: Any) -> DocumentFilter:
    """The filter from the values of FILTERS; a usage error for a range that ends before it begins."""
    require_order(given["received_from"], given["received_to"], "--from and --until")
    require_order(given["document_date_from"], given["document_date_to"], "--document-date-from and -to")
    given["accounts"] = tuple(label.lower() for label in given["accounts"])
    given["states"] = tuple(map(DocumentState, given["states"]))
    return DocumentFilter(**given)
