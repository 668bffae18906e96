"""Takes listings in: finds what is new, changed, returned, or listed again although acknowledged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import Outdated
from easytracking_sync.list_element import means_the_same, says_no_less
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import (
    MOST_IDS_PER_CALL,
    WAITING_STATES,
    BatchState,
    Document,
    DocumentState,
    KnownDocument,
    ListedWindow,
    OnRelist,
    Purpose,
    chunked,
)
from easytracking_sync.transition import DocumentMove, NewBatch, Transition

T = TypeVar("T")

LONGEST_LISTING = timedelta(days=1)

DOCUMENTS_AT_ONCE = 500
"""Elements of a list that one transaction takes in."""

MOST_TRIES = 100
"""Each failed attempt means that another worker's change was committed; more never compete for one account."""


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """How many documents of a listing were new or changed."""

    listed: int = 0
    discovered: int = 0
    changed: int = 0  # known id, other list fields
    relisted: int = 0  # acknowledged here, but listed as unmarked

    def __add__(self, other: IntakeCounts) -> IntakeCounts:
        return IntakeCounts(
            self.listed + other.listed,
            self.discovered + other.discovered,
            self.changed + other.changed,
            self.relisted + other.relisted,
        )


@dataclass(frozen=True, slots=True)
class ReceivedList:
    """A list as the service gave it: when the call began, and whether it lists unmarked documents."""

    account_id: int
    documents: Sequence[ListedDocument]
    begun_at: datetime
    unmarked: bool
    on_relist: OnRelist = OnRelist.ACKNOWLEDGE
    acknowledges: bool = True


@dataclass(frozen=True, slots=True)
class Differences:
    """How a listing differs from what the archive knows: new elements, and events of known documents."""

    new: tuple[ListedDocument, ...] = ()
    happened: Mapping[int, tuple[DocumentHappened, KnownDocument, ListedDocument]] = field(default_factory=dict)
    restated: Mapping[int, ListedDocument] = field(default_factory=dict)  # same meaning, other notation

    def __bool__(self) -> bool:
        return bool(self.new or self.happened or self.restated)


def differences(listed: ReceivedList, known: Mapping[int, KnownDocument], raw: Mapping[int, bytes]) -> Differences:
    """Compare a listing with the known documents of its docIds. Held documents are ignored.

    `raw` holds, by row id, the stored elements of documents whose fingerprint differs. An element with the same
    meaning in another notation, or with a field that was not known before, is not a change.
    """
    new = tuple(element for element in listed.documents if element.doc_id not in known)
    happened = {}
    restated = {}
    for element in listed.documents:
        document = known.get(element.doc_id)
        if document is None or document.held:
            continue
        if document.fingerprint != element.fingerprint:
            if not means_the_same(raw[document.id], element):
                happened[document.id] = (DocumentHappened.CHANGED, document, element)
                continue
            if says_no_less(raw[document.id], element):
                restated[document.id] = element
        if (what := _what_happened(document, listed)) is not None:
            happened[document.id] = (what, document, element)
    return Differences(new, happened, restated)


def _what_happened(known: KnownDocument, listed: ReceivedList) -> DocumentHappened | None:
    if known.state is DocumentState.WITHDRAWN:
        return DocumentHappened.RETURNED
    if not _is_relisted(known, listed):
        return None
    return DocumentHappened.REFETCHED if listed.on_relist is OnRelist.REFETCH else DocumentHappened.RELISTED


def _is_relisted(known: KnownDocument, listed: ReceivedList) -> bool:
    return (
        listed.unmarked
        and listed.acknowledges
        and known.state is DocumentState.ACKNOWLEDGED
        and (known.acknowledged_at is None or not _was_just_told(known.acknowledged_at, listed.begun_at))
    )


def _was_just_told(acknowledged_at: datetime, begun_at: datetime) -> bool:
    """Whether the listing may have begun before the acknowledgement. One a day later was dated by a wrong clock."""
    return begun_at <= acknowledged_at <= begun_at + LONGEST_LISTING


class Intake:
    """Takes listings into the archive. Safe beside a running engine and other instances, and safe to repeat."""

    def __init__(self, archive: Archive, policy: Policy) -> None:
        self._archive = archive
        self._policy = policy

    def take_in(self, listed: ReceivedList, now: datetime) -> IntakeCounts:
        """Insert new documents, record changes, and acknowledge again what is listed as unmarked.

        One transaction per chunk, and none if the chunk contains nothing new.
        """
        absorbed = IntakeCounts(listed=len(listed.documents))
        for chunk in chunked(listed.documents, DOCUMENTS_AT_ONCE):
            part = replace(listed, documents=chunk)
            absorbed += retry_while_outdated(partial(self._take_in_chunk, part, now))
        return absorbed

    def withdraw(self, listed: ListedWindow) -> int:
        """Withdraw the documents that a complete listing no longer has and that were never stored; how many.

        A document that is listed again later returns.
        """
        candidates = self._archive.documents.never_stored(listed)
        gone = [document_id for document_id, doc_id in candidates if doc_id not in listed.present]
        return sum(
            retry_while_outdated(partial(self._withdraw, listed.account_id, some, listed.begun_at))
            for some in chunked(gone, DOCUMENTS_AT_ONCE)
        )

    def _take_in_chunk(self, listed: ReceivedList, now: datetime) -> IntakeCounts:
        doc_ids = [element.doc_id for element in listed.documents]
        known = self._archive.documents.known(listed.account_id, doc_ids)
        pairs = ((known[one.doc_id], one) for one in listed.documents if one.doc_id in known)
        other = [document.id for document, one in pairs if document.fingerprint != one.fingerprint]
        raw = self._archive.documents.raw(other)
        found = differences(listed, known, raw)
        if not found:
            return IntakeCounts()
        documents = self._archive.documents.of({*found.happened, *found.restated})
        transition = _transition(listed.account_id, found, raw, documents, now, self._policy)
        self._archive.transitions.apply(transition, now)
        happened = [what for what, _, _ in found.happened.values()]
        relisted = happened.count(DocumentHappened.RELISTED) + happened.count(DocumentHappened.REFETCHED)
        return IntakeCounts(0, len(found.new), happened.count(DocumentHappened.CHANGED), relisted)

    def _withdraw(self, account_id: int, ids: Sequence[int], now: datetime) -> int:
        documents = self._archive.documents.of(ids)
        still = [one for one in documents if one.stored_at is None and one.state in WAITING_STATES]
        event = DocumentEvent(DocumentHappened.WITHDRAWN)
        moves = tuple(moved(document, event, now, self._policy) for document in still)
        if moves:
            self._archive.transitions.apply(Transition(account_id, documents=moves), now)
        return len(moves)


def _transition(
    account_id: int,
    found: Differences,
    raw: Mapping[int, bytes],
    documents: Iterable[Document],
    now: datetime,
    policy: Policy,
) -> Transition:
    moves: list[DocumentMove] = []
    relisted: dict[int, int] = {}
    for document in documents:
        if document.id not in found.happened:
            moves.append(DocumentMove(document, document, None, listed=found.restated[document.id]))
            continue
        what, known, element = found.happened[document.id]
        if not _is_as_known(document, known):
            raise Outdated(f"document {document.id} has moved since it was compared")
        move = moved(document, DocumentEvent(what), now, policy)
        if what is DocumentHappened.CHANGED:
            before = {"before": raw[document.id].decode("utf-8", "replace")}
            move = replace(move, listed=element, detail=before)
        elif document.id in found.restated:
            move = replace(move, listed=element)
        if what is DocumentHappened.RELISTED:
            relisted[document.id] = document.version
        moves.append(move)
    return Transition(
        account_id,
        documents=tuple(moves),
        discovered=found.new,
        new_batches=tuple(
            NewBatch(BatchState.STORED, Purpose.RELISTED, dict(some))
            for some in chunked(tuple(relisted.items()), MOST_IDS_PER_CALL)
        ),
    )


def _is_as_known(document: Document, known: KnownDocument) -> bool:
    return all(
        getattr(document, name) == getattr(known, name) for name in ("state", "version", "held", "acknowledged_at")
    )


def retry_while_outdated(attempt: Callable[[], T]) -> T:
    """Repeat the attempt while another worker was faster; raises Outdated after MOST_TRIES."""
    for _ in range(MOST_TRIES - 1):
        with contextlib.suppress(Outdated):
            return attempt()
    return attempt()
