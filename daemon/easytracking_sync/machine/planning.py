"""Chooses which due documents form the next batches. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import MOST_IDS_PER_CALL, BatchState, Document, Due, Purpose, chunked
from easytracking_sync.transition import NewBatch, Transition


def plan(due: Due, now: datetime, policy: Policy, jobs_in_flight: int) -> Transition | None:
    """New batches, up to `jobs_in_flight` being loaded; None if there is nothing to plan.

    Fresh documents first; beside them at most one batch of suspects and one of a single document. An account that is
    probing gets one batch of one document at a time.
    """
    most = 1 if due.probing else MOST_IDS_PER_CALL
    room = jobs_in_flight - len(due.loading)
    if due.probing:
        room = min(room, 0 if due.loading else 1)
    batches: list[tuple[Purpose, Sequence[Document]]] = [(Purpose.FRESH, some) for some in chunked(due.fresh, most)]
    if due.suspects and Purpose.SUSPECT not in due.loading:
        batches.append((Purpose.SUSPECT, due.suspects[:most]))
    if due.alone and Purpose.ALONE not in due.loading:
        batches.append((Purpose.ALONE, due.alone[:1]))
    batches = batches[: max(0, room)]
    if not batches:
        return None
    batched = DocumentEvent(DocumentHappened.BATCHED)
    return Transition(
        account_id=due.account_id,
        documents=tuple(moved(document, batched, now, policy) for _, some in batches for document in some),
        new_batches=tuple(
            NewBatch(BatchState.PLANNED, purpose, {document.id: document.version for document in some})
            for purpose, some in batches
        ),
        planned_on=due,
    )
