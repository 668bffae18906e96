"""Options and arguments that several commands share."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.cli.option_types import DAY, STATE, TEXT, WORDS, require_order
from easytracking_sync.settings import DEFAULT_CONFIG
from easytracking_sync.settings.sources import CONFIG_VARIABLE
from easytracking_sync.terms import DocumentState

C = TypeVar("C", bound=Callable[..., Any])


def account_labels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For a shell's completion: the labels in the configuration file that begin so; none where it cannot be read."""
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
    """What was asked for, from the values of FILTERS; a usage error for a range that is none."""
    require_order(given["received_from"], given["received_to"], "--from and --until")
    require_order(given["document_date_from"], given["document_date_to"], "--document-date-from and -to")
    given["accounts"] = tuple(label.lower() for label in given["accounts"])
    given["states"] = tuple(map(DocumentState, given["states"]))
    return DocumentFilter(**given)
