"""What a catch-up is asked for, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.terms import DocumentState

NO_PROGRESS_SECONDS = 900.0
"""Without a deadline, a catch-up ends after this long without progress."""


@dataclass(frozen=True, slots=True)
class CatchUpRequest:
    """What a catch-up is asked for."""

    accounts: tuple[str, ...] = ()  # labels; all if empty
    start: date | None = None  # first and last day of reception
    end: date | None = None
    new_only: bool = False  # only unmarked documents
    dry_run: bool = False  # count documents, change nothing
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AccountCount:
    """How many documents of an account are in which state."""

    label: str
    waiting: int = 0  # discovered, on their way or to be acknowledged
    stored: int = 0  # of them, to be acknowledged
    acknowledged: int = 0
    quarantined: int = 0
    unacknowledgeable: int = 0
    incomplete: int = 0
    paused: str | None = None  # why the account is paused


@dataclass(frozen=True, slots=True)
class CatchUpOutcome:
    """How a catch-up ended; the exit code is derived from it."""

    counts: tuple[AccountCount, ...] = ()
    documents: int = 0  # stored in this run
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    would_fetch: Mapping[str, int] = field(default_factory=dict)  # in a dry run: documents by account
    refused_accounts: tuple[str, ...] = ()  # credentials refused
    unreadable: int = 0  # list elements without an id
    storage_failure: str | None = None
    bugs: int = 0
    finished: bool = True  # every list is complete and nothing waits
    why_unfinished: str = ""


class Progress(Protocol):
    """Shows the progress of a catch-up; called by one thread."""

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None: ...


def count_of(overview: AccountOverview) -> AccountCount:
    """The counts of an account."""
    stored = overview.count(DocumentState.STORED) - overview.unacknowledgeable
    return AccountCount(
        label=overview.account,
        waiting=overview.count(DocumentState.DISCOVERED, DocumentState.BATCHED) + stored,
        stored=stored,
        acknowledged=overview.count(DocumentState.ACKNOWLEDGED),
        quarantined=overview.count(DocumentState.QUARANTINED),
        unacknowledgeable=overview.unacknowledgeable,
        incomplete=overview.incomplete,
        paused=overview.pause_message,
    )
