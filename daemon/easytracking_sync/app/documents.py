"""The documents of the archive: list, find, retry and accept them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from easytracking_sync.app.accounts import known_accounts
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import LockHeld, UsageError
from easytracking_sync.machine.corrections import BusyDocument, Corrections
from easytracking_sync.settings import Settings


@dataclass(frozen=True, slots=True)
class Retry:
    """What a retry made due: how many fetches and acknowledgements of these `documents`."""

    documents: int
    fetches: int = 0
    acknowledgements: int = 0


def list_documents(archive: Archive, settings: Settings, filters: DocumentFilter) -> Iterator[DocumentEntry]:
    """The documents that match, account by account, in the order of reception, in bounded memory.

    UsageError for an unknown account.
    """
    known_accounts(settings, archive, filters.accounts)
    return archive.document_search.documents(filters)


def find_documents(archive: Archive, named: Iterable[str]) -> list[DocumentEntry]:
    """The documents that these `[ACCOUNT/]ID` name; UsageError for one that is unknown or ambiguous."""
    return [archive.document_search.find(one) for one in dict.fromkeys(named)]


def list_troubled(archive: Archive) -> tuple[DocumentEntry, ...]:
    """Documents in quarantine, and stored ones whose acknowledgement the service refuses."""
    return tuple(archive.document_search.troubled())


def retry_troubled(archive: Archive, named: Sequence[str], now: datetime) -> Retry:
    """Make these documents due now, or all in quarantine or unacknowledgeable if none is named. Safe to repeat.

    UsageError for one that is unknown, ambiguous or neither.
    """
    documents = _find_troubled(archive, named) if named else archive.document_search.troubled()
    due = Corrections(archive).retry(found := list(documents), now)
    return Retry(len(found), due.fetches, due.acknowledgements)


def accept_document(archive: Archive, named: str, reason: str, now: datetime) -> DocumentEntry:
    """Close a quarantined or unacknowledgeable document for good, with a reason; returns it as it was before.

    Its files stay. UsageError if it is unknown, ambiguous or neither, or the reason is empty; Transient if a worker
    holds it.
    """
    reason = reason.encode("utf-8", "replace").decode("utf-8").strip()
    if not reason:
        raise UsageError("the reason is empty; give one, since it is kept with the document")
    (document,) = _find_troubled(archive, [named])
    try:
        Corrections(archive).accept(document, reason, now)
    except BusyDocument:
        # A killed run leaves its leases behind; if no instance holds the archive, they are void.
        with contextlib.suppress(LockHeld), instance_lock(archive.database, {"command": "quarantine accept"}):
            archive.batches.release_all()
        Corrections(archive).accept(document, reason, now)
    return document


def _find_troubled(archive: Archive, named: Iterable[str]) -> list[DocumentEntry]:
    documents = find_documents(archive, named)
    for document in documents:
        if not document.in_trouble:
            raise UsageError(f"{document.shown_id} is {document.state}, not in quarantine")
    return documents
