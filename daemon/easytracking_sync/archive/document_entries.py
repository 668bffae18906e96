"""What the catalogue gives out: documents, files, backlog and history as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from easytracking_sync.terms import BatchState, DocumentState, ListedFields, PauseReason


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents are meant; everything that is given must hold. Days are inclusive at both ends."""

    accounts: tuple[str, ...] = ()  # labels; none means all
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
    """One file of a document; several of one type are versions, the first ordinal the oldest."""

    ordinal: int
    type: str
    name: str  # as the service gave it: never to be trusted as a path
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
    held: bool  # its phase was cleared through us: left alone until it is set again
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
        """How a command line names it: ACCOUNT/ID."""
        return f"{self.account}/{self.doc_id}"

    @property
    def in_trouble(self) -> bool:
        """Whether `quarantine list` shows it."""
        stuck = self.state is DocumentState.STORED and self.unacknowledgeable
        return stuck or self.state is DocumentState.QUARANTINED


@dataclass(frozen=True, slots=True)
class AccountOverview:
    """Where one account stands."""

    account: str
    by_state: Mapping[DocumentState, int] = field(default_factory=dict)
    unacknowledgeable: int = 0
    incomplete: int = 0
    unreadable: int = 0  # list elements without an id, in the last cycle that found any change
    oldest_waiting_at: datetime | None = None  # since when the oldest document that is not home is wanted
    last_success_at: datetime | None = None
    next_attempt_at: datetime | None = None
    pause_reason: PauseReason | None = None
    paused_until: datetime | None = None
    pause_message: str | None = None
    next_run_at: datetime | None = None  # when the service means to list it again; None where none does
    trouble: str | None = None  # why its list did not come last
    identity: tuple[str, str] = ("", "")  # base URL and user name, which no relabelling changes

    def count(self, *states: DocumentState) -> int:
        """Documents in these states."""
        return sum(self.by_state.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class StoredAmount:
    """How much came home in some time."""

    documents: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a document's history, its own or of a batch that carried it."""

    at: datetime
    name: str
    batch: int | None
    detail: Mapping[str, object]
    left: bool = False  # the batch went on without this document


@dataclass(frozen=True, slots=True)
class CarryingBatch:
    """The batch that carries a document now."""

    batch: int
    state: BatchState
    size: int
    next_attempt_at: datetime
    deadline_at: datetime | None
    losses: int
    failures: int


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What `check` tells about the database itself."""

    engine: str
    version: str
    journal: str | None  # SQLite's journal mode, and how it syncs
