"""The words of this field as frozen values: what every room may speak of, and nothing else.

Standard library only. Instants (`*_at`) are aware UTC datetimes; reception times are naive, local to the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, TypeVar, get_args, get_type_hints

T = TypeVar("T")

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
class Document:
    """Where one docId stands: the row that `machine.document.TABLE` moves.

    `version` counts what the list said of it: it grows when its fields change, and when its bytes are wanted anew.
    """

    id: int
    account_id: int
    doc_id: int
    state: DocumentState
    version: int = 1
    wanted_at: datetime | None = None  # when this version was first wanted
    next_attempt_at: datetime | None = None  # only while it waits in the pool or in quarantine
    attempts: int = 0
    asks: int = 0  # how often its missing types were asked for
    suspect: bool = False  # it failed before: it never travels with fresh documents
    alone: bool = False  # its names collide with other documents': it travels alone
    held: bool = False  # its phase was cleared through us: left alone until it is set again
    unacknowledgeable: bool = False  # stored, but the service refuses to mark it
    missing_types: tuple[str, ...] = ()  # asked for in vain
    reason: str | None = None  # why it failed last, or why it was accepted
    failed_at: datetime | None = None
    stored_at: datetime | None = None
    acknowledged_at: datetime | None = None


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
    reserved_at: datetime | None = None  # when the service last accepted it
    deadline_at: datetime | None = None
    parcel: str | None = None  # the spool's name for the zip

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST_IDS_PER_CALL:
            raise ValueError(f"a batch carries 1 to {MOST_IDS_PER_CALL} documents, not {self.size}")


@dataclass(frozen=True, slots=True)
class CarriedDocument:
    """A document inside a batch, and the version of it that the batch was planned or reserved for."""

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
    """A batch that one worker holds, with what it carries: the epoch in it is the fence around every commit."""

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
    """Whether an account is paused, and what its last refusals say of its permission."""

    id: int
    refused_in_row: int = 0  # single fresh documents refused one after the other, with no success between
    refused_since: datetime | None = None
    pause_reason: PauseReason | None = None
    paused_until: datetime | None = None
    pause_message: str | None = None
    slow_pauses: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class Due:
    """What of one account is due to travel, each kind in the order it is to travel.

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
    """What a listing is compared with: a document of the archive, in short."""

    id: int
    state: DocumentState
    version: int
    fingerprint: str
    held: bool
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class ParcelFile:
    """One file of a document, as a parcel gave it and a blob holds it."""

    type: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file row of the archive: these bytes belong to `version` of the document, and maybe to earlier ones."""

    id: int
    type: str
    sha256: str
    version: int


def chunked(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items in order, so many at a time."""
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
