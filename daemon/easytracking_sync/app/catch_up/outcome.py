"""What a one-shot is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from easytracking_sync.archive.entries import Standing
from easytracking_sync.terms import DocumentState


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What a one-shot was asked for."""

    accounts: tuple[str, ...] = ()  # labels; none means all
    start: date | None = None  # reception days, both included
    end: date | None = None
    new_only: bool = False  # only what nobody marked
    dry_run: bool = False  # list and count, change nothing anywhere
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AccountCount:
    """Where an account's documents stand."""

    label: str
    waiting: int = 0  # discovered or on their way
    stored: int = 0  # committed, to be acknowledged
    acknowledged: int = 0
    quarantined: int = 0
    unacknowledgeable: int = 0
    incomplete: int = 0
    withdrawn: int = 0
    accepted: int = 0
    paused: str | None = None  # why, for a person


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a one-shot ended; the exit code follows from it alone."""

    counts: tuple[AccountCount, ...] = ()
    documents: int = 0  # archived in this run
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    would_fetch: Mapping[str, int] = field(default_factory=dict)  # dry run: account → documents
    refused_accounts: tuple[str, ...] = ()  # credentials refused
    unreadable: int = 0  # list elements without an id
    storage_failure: str | None = None
    bugs: int = 0
    finished: bool = True  # every listing complete and nothing waiting
    why_unfinished: str = ""


class Progress(Protocol):
    """Told now and then, from one thread, how far a one-shot is."""

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None: ...


def count_of(standing: Standing) -> AccountCount:
    """A standing, in the numbers a one-shot tells."""
    stored = standing.count(DocumentState.STORED) - standing.unacknowledgeable
    return AccountCount(
        label=standing.account,
        waiting=standing.count(DocumentState.DISCOVERED, DocumentState.BATCHED) + stored,
        stored=stored,
        acknowledged=standing.count(DocumentState.ACKNOWLEDGED),
        quarantined=standing.count(DocumentState.QUARANTINED),
        unacknowledgeable=standing.unacknowledgeable,
        incomplete=standing.incomplete,
        withdrawn=standing.count(DocumentState.WITHDRAWN),
        accepted=standing.count(DocumentState.ACCEPTED),
        paused=standing.pause_message,
    )
