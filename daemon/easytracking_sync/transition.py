"""What one transaction changes, as values: decided by the machine, applied by the archive as a whole or not at all.

Every move contains what it was decided on (`before`). If that has changed meanwhile, the archive applies nothing and
raises `Outdated`: read again and decide again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from easytracking_sync.events import EventName
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.terms import (
    Batch,
    BatchState,
    Document,
    Due,
    KnownFile,
    ParcelFile,
    PauseStatus,
    Purpose,
)

Detail = Mapping[str, str | int | float | bool | None]
"""Details of a journal event: flat, and never a secret or a document's content."""


@dataclass(frozen=True, slots=True)
class DocumentMove:
    """One document's change. `listed` replaces its list fields; without a name there is no journal row."""

    before: Document
    after: Document
    name: EventName | None
    detail: Detail = field(default_factory=dict)
    batch_id: int | None = None  # its batch; the archive fills in a batch that is made with it
    listed: ListedDocument | None = None


@dataclass(frozen=True, slots=True)
class BatchMove:
    """One batch's change. The decider holds it (`claimed`); otherwise no worker may hold it."""

    before: Batch
    after: Batch
    name: EventName | None  # None for a job that is not ready: neither log nor journal has it
    detail: Detail = field(default_factory=dict)
    claimed: bool = True
    leaving: tuple[int, ...] = ()  # documents (row ids) that leave it


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to insert; `root_id` is the first batch that it was split from."""

    state: BatchState
    purpose: Purpose
    versions: Mapping[int, int]  # document (row id) → the version it is planned for
    root_id: int | None = None


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file row to insert; its bytes are stored already."""

    document_id: int
    ordinal: int
    file: ParcelFile
    version: int


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A stored file that was fetched again for this version of its document."""

    file: KnownFile
    version: int


@dataclass(frozen=True, slots=True)
class AccountMove:
    """One account's change; without a `name` there is no journal row."""

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
    planned_on: Due | None = None  # the due documents and loading batches that `new_batches` were planned on
