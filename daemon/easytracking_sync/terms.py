"""The terms of this field as frozen values that every package may use.

Standard library only. Instants (`*_at`) are aware UTC datetimes; reception times are naive, local to the service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

MOST_IDS_PER_CALL = 100
"""Reserve and the phase calls take 1 to 100 ids (vendor's document, sections 5, 6, 8 to 11)."""

MOST_LISTED = 100_000
"""The list's `top` is at most 100000 (section 4)."""


class FileType(StrEnum):
    """The four types of a document's files (section 7); a parcel may contain others, which are stored as text."""

    FA = "FA"  # the original invoice as SDI delivered it, xml or p7m
    MT = "MT"  # SDI's metadata file
    FU = "FU"  # the invoice without its signature
    FI = "FI"  # the intermediary's copy


class DocumentState(StrEnum):
    """The state of one docId. Waiting is not a state but `next_attempt_at`."""

    DISCOVERED = "discovered"  # in the pool
    BATCHED = "batched"  # carried by exactly one live batch
    STORED = "stored"  # its files are committed; not acknowledged yet
    ACKNOWLEDGED = "acknowledged"  # committed, read back, and acknowledged at the service
    QUARANTINED = "quarantined"  # failed max_attempts times; retried daily and alone
    WITHDRAWN = "withdrawn"  # absent from a complete listing
    ACCEPTED = "accepted"  # the operator closed it, with a reason


class BatchState(StrEnum):
    """The state of a batch, which determines the next effect; see `machine.batch.TABLE`."""

    PLANNED = "planned"  # → reserve
    RESERVED = "reserved"  # → fetch
    FETCHED = "fetched"  # → store
    STORED = "stored"  # → acknowledge
    ACKNOWLEDGED = "acknowledged"  # done
    SPLIT = "split"  # done: two halves replace it
    ABANDONED = "abandoned"  # done: its documents are back in the pool


STORED_STATES = (DocumentState.STORED, DocumentState.ACKNOWLEDGED)
"""Of a document: its files are stored."""

WAITING_STATES = (DocumentState.DISCOVERED, DocumentState.QUARANTINED)
"""Of a document: no batch carries it; it waits until `next_attempt_at`."""

LIVE_STATES = (BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED, BatchState.STORED)


class Purpose(StrEnum):
    """Why a batch exists; a batch carries documents of one purpose only."""

    FRESH = "fresh"
    SUSPECT = "suspect"  # documents that failed before
    ALONE = "alone"  # one document: quarantined, or its file names collide with another's
    RELISTED = "relisted"  # stored earlier and listed again: only acknowledged


class AcknowledgeWith(StrEnum):
    """The call that acknowledges a document at the service."""

    PHASE1 = "phase1"
    PHASE2 = "phase2"
    NONE = "none"  # a trial that leaves no trace


class OnRelist(StrEnum):
    """What to do with an acknowledged document that is listed again unchanged."""

    ACKNOWLEDGE = "acknowledge"
    REFETCH = "refetch"


class PauseReason(StrEnum):
    """Why an account is paused."""

    CREDENTIALS = "credentials"  # the login is refused
    PERMISSION = "permission"  # every reservation is refused
    UNREACHABLE = "unreachable"  # no connection to its address, or no list from it


class WindowKind(StrEnum):
    """Which of the list's two date ranges a request uses; never both (section 4)."""

    RECEIVED = "received"
    DOCUMENT_DATE = "document_date"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A closed range [start, end] of naive local time: whole days for document dates, otherwise whole seconds."""

    kind: WindowKind
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a window ends before it begins: {self.start} > {self.end}")

    @property
    def grain(self) -> timedelta:
        """The smallest step of this kind of range."""
        return timedelta(seconds=1) if self.kind is WindowKind.RECEIVED else timedelta(days=1)

    def halves(self) -> tuple[Window, Window] | None:
        """Two windows that together cover this one; None for a single grain.

        Halves of reception times overlap in one second: the service may keep fractions of a second that the list
        omits, and a document at m.4 must be in one of the halves. Adjacent seconds and days do not overlap.
        """
        steps = (self.end - self.start) // self.grain
        if steps < 1:
            return None
        middle = self.start + self.grain * (steps // 2)
        touching = self.kind is WindowKind.RECEIVED and steps > 1
        return Window(self.kind, self.start, middle), Window(
            self.kind, middle if touching else middle + self.grain, self.end
        )

    def contains(self, other: Window) -> bool:
        """Whether the other window is of the same kind and lies inside."""
        return self.kind is other.kind and self.start <= other.start and other.end <= self.end

    def around(self, holes: Iterable[Window]) -> tuple[Window, ...]:
        """What is left of it without these windows inside, newest first; neighbours do not touch the holes."""
        parts, end = [], self.end
        for hole in sorted(holes, reverse=True):
            if hole.end + self.grain <= end:
                parts.append(Window(self.kind, hole.end + self.grain, end))
            end = min(end, hole.start - self.grain)
        return (*parts, Window(self.kind, self.start, end)) if end >= self.start else tuple(parts)

    def holds(self, moment: datetime) -> bool:
        """Whether a naive local moment is in the window, both ends included."""
        return self.start <= moment <= self.end


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """A window that the service does not list, as narrow as it could be made."""

    window: Window
    marked: bool  # in the list of marked documents
    reason: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class ListedWindow:
    """The docIds that complete lists of both phases have, for the receiver if one is named, and when they began."""

    account_id: int
    window: Window
    present: Collection[int]
    begun_at: datetime
    receiver_piva: str | None = None
    receiver_cf: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One docId and its state, as moved by `machine.document.TABLE`.

    `version` grows when its listed fields change, and when its files are to be fetched again.
    """

    id: int
    account_id: int
    doc_id: int
    state: DocumentState
    version: int = 1
    wanted_at: datetime | None = None  # when this version was first wanted
    next_attempt_at: datetime | None = None  # only in the pool and in quarantine
    attempts: int = 0
    asks: int = 0  # how often its missing types were requested
    suspect: bool = False  # it failed before: never in a batch with fresh documents
    alone: bool = False  # its file names collide with another document's: it gets its own batch
    held: bool = False  # the operator cleared its phase: ignored until it is set again
    unacknowledgeable: bool = False  # stored, but the service refuses to mark it
    missing_types: tuple[str, ...] = ()  # requested, but never received
    reason: str | None = None  # of the last failure, or of its acceptance
    failed_at: datetime | None = None
    stored_at: datetime | None = None
    acknowledged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """1 to 100 documents of one account that are fetched together; `epoch` grows with every claim."""

    id: int
    account_id: int
    root_id: int  # the first batch of which this one is a part; its own id if never split
    state: BatchState
    purpose: Purpose
    size: int
    next_attempt_at: datetime
    epoch: int = 0
    failures: int = 0  # transient failures in a row
    losses: int = 0  # jobs that were lost
    polls: int = 0
    job_id: str | None = None
    reserved_at: datetime | None = None  # when the service last accepted it
    deadline_at: datetime | None = None
    parcel: str | None = None  # the spool's name for the zip

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST_IDS_PER_CALL:
            raise ValueError(f"a batch carries 1 to {MOST_IDS_PER_CALL} documents, not {self.size}")


@dataclass(frozen=True, slots=True)
class CarriedDocument:
    """A document in a batch, and the version for which the batch was planned or reserved."""

    document: Document
    version: int

    @property
    def document_id(self) -> int:
        """The archive's row id."""
        return self.document.id

    @property
    def doc_id(self) -> int:
        """The service's id."""
        return self.document.doc_id


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that one worker holds, with its documents; its epoch fences every commit."""

    batch: Batch
    documents: tuple[CarriedDocument, ...]

    @property
    def doc_ids(self) -> tuple[int, ...]:
        """The service's ids, in the batch's order."""
        return tuple(carried.doc_id for carried in self.documents)

    @property
    def document_ids(self) -> tuple[int, ...]:
        """The archive's row ids, in the same order."""
        return tuple(carried.document_id for carried in self.documents)


@dataclass(frozen=True, slots=True)
class PauseStatus:
    """Whether an account is paused, and its refusals in a row, which show a lost permission."""

    id: int
    refused_in_row: int = 0  # single fresh documents refused one after the other, with no success between
    refused_since: datetime | None = None
    pause_reason: PauseReason | None = None
    paused_until: datetime | None = None
    pause_message: str | None = None
    slow_pauses: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class Due:
    """The due documents of one account, by purpose, each in the order in which they are to be fetched.

    `loading` are the purposes of its batches that are planned, reserved or fetched. While the account is `probing`,
    because everything it reserved was refused, `fresh` begins with the newest document.
    """

    account_id: int
    loading: tuple[Purpose, ...] = ()
    probing: bool = False
    fresh: tuple[Document, ...] = ()
    suspects: tuple[Document, ...] = ()
    alone: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """What the archive knows of a document, for comparison with a listing."""

    id: int
    state: DocumentState
    version: int
    fingerprint: str
    held: bool
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class ParcelFile:
    """One file of a document, from a parcel, stored as a blob."""

    type: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file row of the archive; `version` is the newest version of the document with these bytes."""

    id: int
    type: str
    sha256: str
    version: int


def chunked(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items in order, `size` at a time."""
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
