"""The words of this field as frozen values: what every room may speak of, and nothing else.

Standard library only. Instants (`*_at`) are aware UTC datetimes; reception times are naive, local to the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, get_args, get_type_hints

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
class ListField:
    """One field of the service's list (section 4): what it is called, and how it is read and shown."""

    wire: str  # its name in the list
    heading: str  # for a person; fields with one heading share a line
    json: str | None = None  # in `invoices list --json`: its name here unless given; "" is not shown
    words: Mapping[object, str] = field(default_factory=dict)  # values that a person is shown a word for
    verbatim: bool = False  # the text of a field that is also read as something else
    name: str = ""
    type: type = str  # str, int, date or datetime (naive, local to the service, to the second)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFields:
    """The fields of the list but for `id`, in the order in which they are shown.

    Every place that names them all follows from this table: how the list is read and compared, the columns, JSON and
    pages. A new field is a line here and a migration that adds its column.
    """

    number: Annotated[str | None, ListField("number", "number")] = None
    document_date: Annotated[date | None, ListField("data", "document date")] = None
    document_type: Annotated[str | None, ListField("documentType", "document type")] = None
    sender_piva: Annotated[str | None, ListField("senderPIVA", "sender")] = None
    sender_cf: Annotated[str | None, ListField("senderCF", "sender")] = None
    receiver_piva: Annotated[str | None, ListField("receiverPIVA", "receiver")] = None
    receiver_cf: Annotated[str | None, ListField("receiverCF", "receiver")] = None
    sdi_id: Annotated[str | None, ListField("sdiId", "SDI id")] = None
    received: Annotated[datetime | None, ListField("dataRicezione", "received", json="received_at")] = None
    received_text: Annotated[str | None, ListField("dataRicezione", "", json="", verbatim=True)] = None
    file_name: Annotated[str | None, ListField("fileName", "file name")] = None
    annual_progressive: Annotated[int | None, ListField("progressivoAnnualeCaricamento", "annual number")] = None
    country_channel: Annotated[
        int | None, ListField("countryChannel", "channel", words={0: "Italy", 1: "Romania"})
    ] = None


def _fields_of(table: type) -> tuple[ListField, ...]:
    hints = {name: get_args(hint) for name, hint in get_type_hints(table, include_extras=True).items()}
    return tuple(
        replace(given, name=name, type=get_args(optional)[0], json=name if given.json is None else given.json)
        for name, (optional, given) in hints.items()
    )


LIST_FIELDS = _fields_of(ListedFields)


@dataclass(frozen=True, slots=True)
class ListedDocument(ListedFields):
    """One element of the list: its fields, of which only `doc_id` is indispensable.

    `raw` is the element as the service sent it. Equal fingerprints mean that no field has changed; where they differ,
    `list_element.means_the_same` tells.
    """

    doc_id: int
    raw: bytes
    fingerprint: str


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
