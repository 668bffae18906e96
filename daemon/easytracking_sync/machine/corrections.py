"""Changes of documents outside their batches: operator actions, and damaged files to fetch again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby

from easytracking_sync.archive.document_entries import DocumentEntry
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.scrub import RottenFile
from easytracking_sync.errors import Outdated, Transient, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.batch import BatchEvent, BatchHappened, advance
from easytracking_sync.machine.decision import unclaimed
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.intake import retry_while_outdated
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState, Document, DocumentState, chunked
from easytracking_sync.transition import Detail, Transition

DOCUMENTS_AT_ONCE = 200
DEFAULT_POLICY = Policy()

Concerns = Callable[[Document], bool]
"""Whether the change still applies to the document as it is now."""


class BusyDocument(Transient):
    """A worker holds the document's batch at this moment; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Retried:
    fetches: int = 0
    acknowledgements: int = 0


def try_now(archive: Archive, account_ids: Collection[int], now: datetime) -> None:
    """Somebody asks: end these accounts' pauses, and make due what waits after a failure. Safe to repeat.

    What is quarantined or unacknowledgeable keeps its daily attempt; `Corrections.retry` is for those.
    """
    archive.accounts.resume(account_ids)
    archive.documents.try_now(account_ids, now)
    archive.batches.try_now(account_ids, now)


class Corrections:
    """Safe beside a running service, and safe to repeat."""

    def __init__(self, archive: Archive, policy: Policy = DEFAULT_POLICY) -> None:
        self._archive = archive
        self._policy = policy

    def retry(self, entries: Iterable[DocumentEntry], now: datetime) -> Retried:
        """Make these due now: fetch quarantined documents, acknowledge unacknowledgeable ones.

        A document that is neither any more is ignored and not counted.
        """
        ids = [entry.row_id for entry in entries]
        retried = DocumentEvent(DocumentHappened.RETRIED)
        fetches = self._change(ids, retried, now, lambda document: document.state is DocumentState.QUARANTINED)
        return Retried(fetches, sum(self._acknowledge_now(document_id, now) for document_id in ids))

    def accept(self, entry: DocumentEntry, reason: str, now: datetime) -> None:
        """Close a quarantined or unacknowledgeable document for good, with a reason; fetched files stay.

        UsageError if it is neither; BusyDocument if a worker holds its batch.
        """
        (document,) = self._archive.documents.of((entry.row_id,))
        batch = self._stuck_batch(document)
        if document.state is not DocumentState.QUARANTINED and batch is None:
            raise UsageError(
                f"{entry.shown_id} is {document.state}: "
                "only quarantined and unacknowledgeable documents can be accepted"
            )
        closed = None
        if batch is not None:
            after = advance(batch, BatchEvent(BatchHappened.CLOSED, reason), now, self._policy).batch
            closed = unclaimed(batch, after, EventName.BATCH_ABANDONED, reason)
        move = moved(document, DocumentEvent(DocumentHappened.ACCEPTED, reason), now, self._policy)
        batches = (closed,) if closed is not None else ()
        try:
            self._archive.transitions.apply(Transition(document.account_id, batches=batches, documents=(move,)), now)
        except Outdated as busy:
            raise BusyDocument(f"{entry.shown_id} is being worked on right now; try again in a moment") from busy

    def hold(self, entries: Iterable[DocumentEntry], now: datetime, *, held: bool) -> None:
        """Hold these documents, whose phase an operator cleared; with `held` False, release them."""
        event = DocumentEvent(DocumentHappened.HELD if held else DocumentHappened.RELEASED)
        self._change([entry.row_id for entry in entries], event, now, lambda document: document.held is not held)

    def note(self, entries: Iterable[DocumentEntry], name: EventName, detail: Detail, now: datetime) -> None:
        """Record what an operator did to these documents at the service."""
        for some in chunked([entry.row_id for entry in entries], DOCUMENTS_AT_ONCE):
            self._archive.journal.note(some, name, detail, now)

    def fetch_rotten(self, rotten: Iterable[RottenFile], now: datetime) -> int:
        """Have documents with damaged files fetched again; how many.

        Only acknowledged documents, for their current version: the others are being fetched already, or an operator
        decided about them.
        """
        return self._fetch_again([one.document_id for one in rotten if one.current], DocumentHappened.ROTTEN, now)

    def fetch_bare(self, account_id: int, doc_ids: Collection[int], now: datetime) -> int:
        """The same for documents (docIds) that count as stored but have no file."""
        known = self._archive.documents.known(account_id, doc_ids)
        return self._fetch_again([one.id for one in known.values()], DocumentHappened.BARE, now)

    def _fetch_again(self, ids: Collection[int], what: DocumentHappened, now: datetime) -> int:
        return self._change(
            ids, DocumentEvent(what), now, lambda document: document.state is DocumentState.ACKNOWLEDGED
        )

    def _change(self, ids: Collection[int], event: DocumentEvent, now: datetime, concerns: Concerns) -> int:
        return sum(
            retry_while_outdated(partial(self._change_some, some, event, now, concerns))
            for some in chunked(sorted(set(ids)), DOCUMENTS_AT_ONCE)
        )

    def _change_some(self, ids: Collection[int], event: DocumentEvent, now: datetime, concerns: Concerns) -> int:
        documents = [document for document in self._archive.documents.of(ids) if concerns(document)]
        transitions = [
            Transition(account_id, documents=tuple(moved(one, event, now, self._policy) for one in some))
            for account_id, some in _by_account(documents)
        ]
        if transitions:
            self._archive.transitions.apply_all(transitions, now)
        return len(documents)

    def _acknowledge_now(self, document_id: int, now: datetime) -> bool:
        (document,) = self._archive.documents.of((document_id,))
        batch = self._stuck_batch(document)
        if batch is None:
            return False
        after = advance(batch, BatchEvent(BatchHappened.RETRIED), now, self._policy).batch
        move = unclaimed(batch, after, EventName.BATCH_RETRIED, "retried by an operator")
        try:
            self._archive.transitions.apply(Transition(document.account_id, batches=(move,)), now)
        except Outdated:
            return True  # it is being acknowledged right now
        return True

    def _stuck_batch(self, document: Document) -> Batch | None:
        """The batch of an unacknowledgeable document, which is its only document."""
        if not document.unacknowledgeable:
            return None
        claim = self._archive.batches.carrying(document.id)
        stuck = claim is not None and claim.batch.state is BatchState.STORED and len(claim.documents) == 1
        return claim.batch if claim is not None and stuck else None


def _by_account(documents: Iterable[Document]) -> Iterator[tuple[int, list[Document]]]:
    ordered = sorted(documents, key=lambda document: document.account_id)
    return ((account_id, list(some)) for account_id, some in groupby(ordered, key=lambda one: one.account_id))
