"""What happened to one document, and what carries it now."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive.document_entries import CarryingBatch, HistoryEntry
from easytracking_sync.archive.tables import batch, batch_document, event
from easytracking_sync.events import EventName
from easytracking_sync.terms import LIVE_STATES, BatchState

ECHOES: Mapping[EventName, Collection[EventName]] = {
    EventName.DOCUMENT_STORED: (EventName.BATCH_STORED,),
    EventName.DOCUMENT_STORED_AGAIN: (EventName.BATCH_STORED,),
    EventName.DOCUMENT_ACKNOWLEDGED: (EventName.BATCH_ACKNOWLEDGED, EventName.BATCH_ACKNOWLEDGED_AGAIN),
    EventName.DOCUMENT_REFUSED: (EventName.BATCH_REFUSED,),
    EventName.DOCUMENT_DAMAGED: (EventName.BATCH_LOST, EventName.BATCH_SPLIT),
    EventName.DOCUMENT_RECALLED: (EventName.BATCH_ABANDONED,),
}
"""A document's own event → those of its batch that say the same of it."""

PARTINGS = (EventName.BATCH_STORED, EventName.BATCH_ABANDONED)
"""Where a document may leave its batch: what a parcel held is stored, or the batch is given up."""


def history(connection: Connection, document_id: int) -> tuple[HistoryEntry, ...]:
    """A document's own events and those of the batches it travelled with, the oldest first.

    What became of a batch after the document had left it is not the document's history. Its own event is left out
    where the batch's says the same.
    """
    travelled: sa.Select[Any] = (
        sa.select(batch.c.id, batch.c.root_id, batch_document.c.carried)
        .join(batch_document, batch_document.c.batch_id == batch.c.id)
        .where(batch_document.c.document_id == document_id)
    )
    rides = connection.execute(travelled).all()
    columns: sa.Select[Any] = sa.select(
        event.c.id, event.c.at, event.c.name, event.c.batch_id, event.c.document_id, event.c.detail
    )
    rows = list(connection.execute(columns.where(event.c.document_id == document_id)))
    for ride in rides:
        shared = connection.execute(
            columns.where(event.c.batch_id == ride.id, event.c.document_id.is_(None)).order_by(event.c.id)
        ).all()
        rows += _while_aboard(shared) if _was_left(ride, rides) else shared
    last = {row.batch_id: row.id for row in rows if row.document_id is None}
    batches = [row for row in rows if row.document_id is None]
    rows = [row for row in rows if row.document_id is None or not _is_echo(row, batches)]
    left = {last[ride.id] for ride in rides if ride.id in last and _was_left(ride, rides)}
    return tuple(
        HistoryEntry(row.at, row.name, row.batch_id, json.loads(row.detail), left=row.id in left)
        for row in sorted(rows, key=lambda row: int(row.id))
    )


def carrying_batch(connection: Connection, document_id: int) -> CarryingBatch | None:
    """The live batch that carries a document; None where none does."""
    row = connection.execute(
        sa.select(batch)
        .join(batch_document, batch_document.c.batch_id == batch.c.id)
        .where(batch_document.c.document_id == document_id, batch_document.c.carried, batch.c.state.in_(LIVE_STATES))
        .order_by(batch.c.id.desc())
    ).first()
    if row is None:
        return None
    return CarryingBatch(
        batch=row.id,
        state=BatchState(row.state),
        size=row.size,
        next_attempt_at=row.next_attempt_at,
        deadline_at=row.deadline_at,
        losses=row.losses,
        failures=row.failures,
    )


def _is_echo(own: Row[Any], batches: Sequence[Row[Any]]) -> bool:
    """Whether a document's own event tells nothing that an event of its batch does not tell."""
    mine = [row for row in batches if row.batch_id == own.batch_id]
    if own.name == EventName.DOCUMENT_BATCHED:
        return bool(mine)
    detail = json.loads(own.detail).items()
    return any(
        row.at == own.at and row.name in ECHOES.get(own.name, ()) and detail <= json.loads(row.detail).items()
        for row in mine
    )


def _was_left(ride: Row[Any], rides: Sequence[Row[Any]]) -> bool:
    """Whether the document got off, rather than on to one of the batch's halves."""
    return not ride.carried and not any(other.root_id == ride.root_id and other.id > ride.id for other in rides)


def _while_aboard(shared: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    parting = next((place for place, row in enumerate(shared, start=1) if row.name in PARTINGS), len(shared))
    return shared[:parting]
