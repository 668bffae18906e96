"""The options that say which documents are meant, shared by `invoices list` and `invoices export`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypedDict, TypeVar, Unpack

import click

from easytracking_sync.archive.entries import Filters
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli import options
from easytracking_sync.cli.option_types import DAY, LISTED, STATE, TEXT, require_order
from easytracking_sync.cli.runtime import known_accounts
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState

C = TypeVar("C", bound=Callable[..., Any])


class Given(TypedDict):
    """What click hands over, by option."""

    accounts: tuple[str, ...]
    states: tuple[str, ...]
    received_from: date | None
    received_to: date | None
    document_date_from: date | None
    document_date_to: date | None
    sender: str | None
    receiver: str | None
    number: str | None
    document_types: tuple[str, ...]
    incomplete: bool
    limit: int | None


OPTIONS = (
    options.ACCOUNTS,
    click.option("--state", "states", type=STATE, multiple=True, help="Only in this state; may be repeated."),
    click.option("--from", "received_from", metavar="DAY", type=DAY, help="Received on this day or later."),
    click.option("--until", "received_to", metavar="DAY", type=DAY, help="Received on this day or earlier."),
    click.option("--document-date-from", metavar="DAY", type=DAY, help="Dated on this day or later."),
    click.option("--document-date-to", metavar="DAY", type=DAY, help="Dated on this day or earlier."),
    click.option("--sender", metavar="CODE", type=TEXT, help="The sender's VAT number or tax code."),
    click.option("--receiver", metavar="CODE", type=TEXT, help="The receiver's VAT number or tax code."),
    click.option("--number", metavar="N", type=TEXT, help="The invoice's number, exactly."),
    click.option("--type", "document_types", metavar="TD01,…", type=LISTED, default=(), help="Document types."),
    click.option("--incomplete", is_flag=True, help="Only documents that lack a file which was asked for."),
    click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many."),
)


def filtering(command: C) -> C:
    """Give a command all of these options."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def filters_of(settings: Settings, archive: Archive, **given: Unpack[Given]) -> Filters:
    """What was asked for; UsageError for an account that does not exist or a range that is none."""
    require_order(given["received_from"], given["received_to"], "--from and --until")
    require_order(given["document_date_from"], given["document_date_to"], "--document-date-from and -to")
    return Filters(
        accounts=known_accounts(settings, archive, given["accounts"]),
        states=tuple(DocumentState(state) for state in given["states"]),
        received_from=given["received_from"],
        received_to=given["received_to"],
        document_date_from=given["document_date_from"],
        document_date_to=given["document_date_to"],
        sender=given["sender"],
        receiver=given["receiver"],
        number=given["number"],
        document_types=given["document_types"],
        incomplete=given["incomplete"],
        limit=given["limit"],
    )
