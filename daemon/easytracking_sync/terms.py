"""The words of this field as frozen values: what every room may speak of, and nothing else.

Standard library only. Instants (`*_at`) are aware UTC datetimes; reception times are naive, local to the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

MOST_IDS_PER_CALL = 100
"""Reserve and the phase calls take 1 to 100 ids (vendor's document, sections 5, 6, 8 to 11)."""

MOST_LISTED = 100_000
"""The list's `top` is at most 100000 (section 4)."""


class FileType(StrEnum):
    """The four kinds of file a document has (section 7); a parcel may name others, which are kept as text."""

    FA = "FA"  # the original invoice as SDI delivered it, xml or p7m
    MT = "MT"  # SDI's metadata file
    FU = "FU"  # the invoice without its signature
    FI = "FI"  # the intermediary's copy


class DocumentState(StrEnum):
    """Where one docId stands. BATCHED means a live batch carries it; waiting is `next_attempt_at`, not a state."""

    DISCOVERED = "discovered"  # in the pool
    BATCHED = "batched"  # carried by exactly one live batch
    STORED = "stored"  # its files are committed, the service not told yet
    ACKNOWLEDGED = "acknowledged"  # committed, read back, and the service told
    QUARANTINED = "quarantined"  # gave up after max_attempts; visible, retried daily and alone
    WITHDRAWN = "withdrawn"  # a complete listing no longer has it
    ACCEPTED = "accepted"  # the operator closed it, with a reason


class BatchState(StrEnum):
    """Which effect comes next; see `machine.batch.TABLE`."""

    PLANNED = "planned"  # → reserve
    RESERVED = "reserved"  # → fetch
    FETCHED = "fetched"  # → store
    STORED = "stored"  # → acknowledge
    ACKNOWLEDGED = "acknowledged"  # done
    SPLIT = "split"  # done: two halves go on in its place
    ABANDONED = "abandoned"  # done: its documents are back in the pool


STORED_STATES = (DocumentState.STORED, DocumentState.ACKNOWLEDGED)
"""Of a document: its files are stored here."""

LIVE_STATES = (BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED, BatchState.STORED)


class Purpose(StrEnum):
    """Why a batch exists; documents of different purposes never travel together."""

    FRESH = "fresh"
    SUSPECT = "suspect"  # documents that failed before
    ALONE = "alone"  # one document: quarantined, or its names collide with others'
    RELISTED = "relisted"  # stored long ago, listed again: only to be acknowledged


class AcknowledgeWith(StrEnum):
    """How the service is told that a document is home."""

    PHASE1 = "phase1"
    PHASE2 = "phase2"
    NONE = "none"  # a trial that leaves no trace


class OnRelist(StrEnum):
    """What an acknowledged document that is listed again, unchanged, gets."""

    ACKNOWLEDGE = "acknowledge"
    REFETCH = "refetch"


class PauseReason(StrEnum):
    """Why an account is left alone for a while."""

    CREDENTIALS = "credentials"  # the login is refused
    PERMISSION = "permission"  # everything it reserves is refused
    UNREACHABLE = "unreachable"  # its address is dead: no connection comes about, or no list


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """One element of the list (section 4): thirteen fields, of which only `doc_id` is indispensable.

    `raw` is the element as the service sent it. `fingerprint` changes exactly when one of the thirteen does.
    """

    doc_id: int
    raw: bytes
    fingerprint: str
    sender_piva: str | None = None
    sender_cf: str | None = None
    receiver_piva: str | None = None
    receiver_cf: str | None = None
    document_date: date | None = None
    number: str | None = None
    document_type: str | None = None
    sdi_id: str | None = None
    received: datetime | None = None  # naive, local to the service
    received_text: str | None = None  # dataRicezione verbatim
    file_name: str | None = None
    annual_progressive: int | None = None
    country_channel: int | None = None


class WindowKind(StrEnum):
    """Which of the list's two ranges is asked for; never both (section 4)."""

    RECEIVED = "received"
    DOCUMENT_DATE = "document_date"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A closed range [start, end] of naive local time; whole days for document dates, whole seconds else."""

    kind: WindowKind
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a window ends before it begins: {self.start} > {self.end}")

    @property
    def grain(self) -> timedelta:
        """The least step of this kind of range."""
        return timedelta(seconds=1) if self.kind is WindowKind.RECEIVED else timedelta(days=1)

    def halves(self) -> tuple[Window, Window] | None:
        """Two windows that miss nothing; None at a single grain.

        Halves of reception time touch: the service may keep fractions of a second that its list does not show, and a
        document at m.4 must lie in one of them. Two neighbouring seconds, and days, are told apart.
        """
        steps = (self.end - self.start) // self.grain
        if steps < 1:
            return None
        middle = self.start + self.grain * (steps // 2)
        touching = self.kind is WindowKind.RECEIVED and steps > 1
        return Window(self.kind, self.start, middle), Window(
            self.kind, middle if touching else middle + self.grain, self.end
        )

    def holds(self, moment: datetime) -> bool:
        """Whether a naive local moment lies inside, both ends included."""
        return self.start <= moment <= self.end


@dataclass(frozen=True, slots=True)
class Batch:
    """One to a hundred documents of one account on their way home; `epoch` grows with every claim."""

    id: int
    account_id: int
    root_id: int  # the batch this one was split from, all the way up; itself where it was not split
    state: BatchState
    purpose: Purpose
    size: int
    next_attempt_at: datetime
    epoch: int = 0
    failures: int = 0  # transient failures in a row
    losses: int = 0  # jobs that were lost
    polls: int = 0
    job_id: str | None = None
    reserved_at: datetime | None = None  # the newest version known when the service last accepted it
    deadline_at: datetime | None = None
    parcel: str | None = None  # the spool's name for the zip

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST_IDS_PER_CALL:
            raise ValueError(f"a batch carries 1 to {MOST_IDS_PER_CALL} documents, not {self.size}")


@dataclass(frozen=True, slots=True)
class CarriedDocument:
    """A document inside a batch: the archive's row id and the service's docId."""

    document_id: int
    doc_id: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that one worker holds, with what it carries: the epoch in it is the fence around every commit."""

    batch: Batch
    documents: tuple[CarriedDocument, ...]
    known_at: datetime | None = None  # the newest of its documents' versions that was known when it was claimed

    @property
    def doc_ids(self) -> tuple[int, ...]:
        """The service's ids, in the batch's order."""
        return tuple(document.doc_id for document in self.documents)


class Fate(StrEnum):
    """What becomes of a batch's documents in the transaction that moves the batch."""

    CARRIED = "carried"  # they stay with the batch (or with its halves)
    LANDED = "landed"  # each came out of the parcel its own way: see Landing
    ACKNOWLEDGED = "acknowledged"
    SUSPECTED = "suspected"  # back to the pool, an attempt more; they travel apart from now on
    CLOSED = "closed"  # the operator accepted them


class Landing(StrEnum):
    """How one document came out of a parcel. Whatever files came are stored in every case."""

    WHOLE = "whole"  # goes on to be acknowledged
    INCOMPLETE = "incomplete"  # asked often enough: goes on, the missing types are recorded
    ASK_AGAIN = "ask_again"  # a requested type is missing, or the list says there is a newer version
    APART = "apart"  # its names collide with another document's: fetched alone
    FAILED = "failed"  # without its original: an attempt more


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a document, as a parcel gave it and a blob holds it."""

    type: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Landed:
    """A carried document's outcome."""

    document: CarriedDocument
    landing: Landing
    files: tuple[StoredFile, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""
