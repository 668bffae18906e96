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
        """[start, m] and [m + grain, end], which share nothing and miss nothing; None at a single grain."""
        steps = (self.end - self.start) // self.grain
        if steps < 1:
            return None
        middle = self.start + self.grain * (steps // 2)
        return Window(self.kind, self.start, middle), Window(self.kind, middle + self.grain, self.end)

    def holds(self, moment: datetime) -> bool:
        """Whether a naive local moment lies inside, both ends included."""
        return self.start <= moment <= self.end
