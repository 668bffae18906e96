"""Documents, their files and their history, as commands show them: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from easytracking_sync.list_fields import ListedFields
from easytracking_sync.terms import DocumentState


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents are wanted; all conditions given must hold. Both ends of a range of days are included."""

    accounts: tuple[str, ...] = ()  # labels; empty means all
    states: tuple[DocumentState, ...] = ()
    received_from: date | None = None
    received_to: date | None = None
    document_date_from: date | None = None
    document_date_to: date | None = None
    sender: str | None = None  # a VAT number or a tax code
    receiver: str | None = None
    number: str | None = None
    document_types: tuple[str, ...] = ()
    incomplete: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a document. Several files of one type are versions; the lowest ordinal is the oldest."""

    ordinal: int
    type: str
    name: str  # as the service sent it; never use it as a path
    size: int
    sha256: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentEntry(ListedFields):
    """A document with its files."""

    row_id: int
    account: str
    doc_id: int
    state: DocumentState
    unacknowledgeable: bool
    held: bool  # the operator cleared its phase: not listed or acknowledged until the phase is set again
    attempts: int
    reason: str | None
    failed_at: datetime | None
    next_attempt_at: datetime | None
    missing_types: tuple[str, ...]
    discovered_at: datetime
    stored_at: datetime | None
    acknowledged_at: datetime | None
    files: tuple[FileEntry, ...] = ()

    @property
    def shown_id(self) -> str:
        """ACCOUNT/ID, as on the command line."""
        return f"{self.account}/{self.doc_id}"

    @property
    def in_trouble(self) -> bool:
        """Whether `quarantine list` shows it."""
        stuck = self.state is DocumentState.STORED and self.unacknowledgeable
        return stuck or self.state is DocumentState.QUARANTINED


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event in a document's history: its own, or one of a batch that carried it."""

    at: datetime
    name: str
    batch: int | None
    detail: Mapping[str, object]
    left: bool = False  # the document left the batch after this event
