"""Documents, batches and claims as values, for the tests of pure decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from easytracking_sync.terms import Batch, BatchState, CarriedDocument, Claim, Document, DocumentState, Purpose

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNT_ID = 1
WAITING = (DocumentState.DISCOVERED, DocumentState.QUARANTINED)


def document(row_id: int = 1, state: DocumentState = DocumentState.DISCOVERED, **values: Any) -> Document:
    """A document of the account; its docId is a hundred times its row's id."""
    due = NOW if state in WAITING else None
    made = Document(row_id, ACCOUNT_ID, row_id * 100, state, next_attempt_at=due, wanted_at=NOW)
    return replace(made, **values)


def batch(state: BatchState = BatchState.PLANNED, size: int = 1, **values: Any) -> Batch:
    """A batch of the account, number 7, claimed for the third time."""
    made = Batch(7, ACCOUNT_ID, 7, state, Purpose.FRESH, size, NOW, epoch=3)
    return replace(made, **values)


def claim(state: BatchState = BatchState.PLANNED, size: int = 1, **values: Any) -> Claim:
    """A claimed batch of so many documents, each as one in such a batch stands; `values` are the batch's."""
    carried = DocumentState.STORED if state is BatchState.STORED else DocumentState.BATCHED
    documents = (document(row_id, carried) for row_id in range(1, size + 1))
    return Claim(batch(state, size, **values), tuple(CarriedDocument(one, one.version) for one in documents))
