"""The documents of the archive: list, find, retry and accept them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher

from easytracking_sync.app.accounts import known_accounts
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import LockHeld, UsageError
from easytracking_sync.invoices.sheets import codes_fatturapa, codes_ubl
from easytracking_sync.machine.corrections import BusyDocument, Corrections
from easytracking_sync.settings import Settings
from easytracking_sync.terms import FileType

KNOWN_DOCUMENT_TYPES = (*codes_fatturapa.DOCUMENT, *codes_ubl.DOCUMENT)
LEAST_LIKENESS = 0.5
"""Below this, a known type is no likely reading of a misspelled one (1 means equal)."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What a retry made due: how many fetches and acknowledgements of these `documents`."""

    documents: int
    fetches: int = 0
    acknowledgements: int = 0


def list_documents(archive: Archive, settings: Settings, filters: DocumentFilter) -> Iterator[DocumentEntry]:
    """The documents that match, account by account, in the order of reception, in bounded memory.

    UsageError for an unknown account or document type.
    """
    known_accounts(settings, archive, filters.accounts)
    _require_types(filters.document_types, KNOWN_DOCUMENT_TYPES, archive.document_search.has_document_type)
    return archive.document_search.documents(filters)


def require_file_types(archive: Archive, given: Iterable[str]) -> None:
    """UsageError for a type of file that is neither in the vendor's document nor in the archive."""
    _require_types(given, tuple(FileType), archive.document_search.has_file_type)


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


def _require_types(given: Iterable[str], known: Collection[str], is_stored: Callable[[str], bool]) -> None:
    """UsageError, with the most similar known type, for one that cannot match."""
    for value in given:
        if value not in known and not is_stored(value):
            likeness = {code: SequenceMatcher(None, value, code).ratio() for code in known}
            nearest = max(likeness, key=likeness.__getitem__)  # the first of equals: TD1 is rather TD01 than TD21
            hint = f"did you mean {nearest}?" if likeness[nearest] >= LEAST_LIKENESS else f"use {', '.join(known)}"
            raise UsageError(f"the type {value!a} is unknown, and nothing in the archive has it; {hint}")


def _find_troubled(archive: Archive, named: Iterable[str]) -> list[DocumentEntry]:
    documents = find_documents(archive, named)
    for document in documents:
        if not document.in_trouble:
            raise UsageError(f"{document.shown_id} is {document.state}, not in quarantine")
    return documents
