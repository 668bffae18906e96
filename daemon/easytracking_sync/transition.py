"""What one transaction changes, as values: the machine decides it, the archive applies it or nothing of it.

Standard library and the field's terms only. Every move names what it was decided on (`before`); where that is no
longer so, the archive applies nothing and says `Outdated`: read again and decide again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from easytracking_sync.events import EventName
from easytracking_sync.terms import (
    Batch,
    BatchState,
    Document,
    Due,
    KnownFile,
    ListedDocument,
    ParcelFile,
    PauseStatus,
    Purpose,
)

Detail = Mapping[str, str | int | float | bool | None]
"""What the journal keeps of an event besides its name: flat, and never a secret or a document's content."""


@dataclass(frozen=True, slots=True)
class DocumentMove:
    """One document's change. `listed`, if given, replaces its list fields; without a name the journal has no row."""

    before: Document
    after: Document
    name: EventName | None
    detail: Detail = field(default_factory=dict)
    batch_id: int | None = None  # the batch it happened in; for one that is made with it, the archive fills it in
    listed: ListedDocument | None = None


@dataclass(frozen=True, slots=True)
class BatchMove:
    """One batch's change. It is held by whoever decided it (`claimed`), or else must be held by nobody."""

    before: Batch
    after: Batch
    name: EventName | None  # None for a job that is not ready: neither log nor journal has it
    detail: Detail = field(default_factory=dict)
    claimed: bool = True
    leaving: tuple[int, ...] = ()  # documents (row ids) that it carries no longer


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to be made; `root_id` names the first of the batches that it is a half of."""

    state: BatchState
    purpose: Purpose
    versions: Mapping[int, int]  # document (row id) → the version it is planned for
    root_id: int | None = None


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file row to be made; the bytes are stored already."""

    document_id: int
    ordinal: int
    file: ParcelFile
    version: int


@dataclass(frozen=True, slots=True)
class SeenFile:
    """Bytes that are known came again, for this version of their document."""

    file: KnownFile
    version: int


@dataclass(frozen=True, slots=True)
class AccountMove:
    """One account's change; without a `name` the journal has no row of it."""

    before: PauseStatus
    after: PauseStatus
    name: EventName | None = None
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transition:
    """Everything of one account that changes together. The first of `batches` is the one it is about."""

    account_id: int
    batches: tuple[BatchMove, ...] = ()
    documents: tuple[DocumentMove, ...] = ()
    discovered: tuple[ListedDocument, ...] = ()
    new_batches: tuple[NewBatch, ...] = ()
    new_files: tuple[NewFile, ...] = ()
    seen_files: tuple[SeenFile, ...] = ()
    account: AccountMove | None = None
    planned_on: Due | None = None  # what the account had due and loading when `new_batches` were planned
