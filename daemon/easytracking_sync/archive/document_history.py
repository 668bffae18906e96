"""The history of one document."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive.document_entries import HistoryEntry
from easytracking_sync.archive.tables import batch, batch_document, event
from easytracking_sync.events import EventName

SAME_IN_BATCH: Mapping[EventName, Collection[EventName]] = {
    EventName.DOCUMENT_STORED: (EventName.BATCH_STORED,),
    EventName.DOCUMENT_STORED_AGAIN: (EventName.BATCH_STORED,),
    EventName.DOCUMENT_ACKNOWLEDGED: (EventName.BATCH_ACKNOWLEDGED, EventName.BATCH_ACKNOWLEDGED_AGAIN),
    EventName.DOCUMENT_REFUSED: (EventName.BATCH_REFUSED,),
    EventName.DOCUMENT_DAMAGED: (EventName.BATCH_LOST, EventName.BATCH_SPLIT),
    EventName.DOCUMENT_RECALLED: (EventName.BATCH_ABANDONED,),
}
"""A document's own event → the events of its batch that say the same."""

LEAVING_EVENTS = (EventName.BATCH_STORED, EventName.BATCH_ABANDONED)
"""The events at which a document may leave its batch: the parcel was stored, or the batch was abandoned."""


def history(connection: Connection, document_id: int) -> tuple[HistoryEntry, ...]:
    """A document's own events and those of its batches, oldest first.

    Omits what happened to a batch after the document had left it, and events of the document that repeat one of its
    batch.
    """
    travelled: sa.Select[Any] = (
        sa.select(batch.c.id, batch.c.root_id, batch_document.c.carried)
        .join(batch_document, batch_document.c.batch_id == batch.c.id)
        .where(batch_document.c.document_id == document_id)
    )
    memberships = connection.execute(travelled).all()
    columns: sa.Select[Any] = sa.select(
        event.c.id, event.c.at, event.c.name, event.c.batch_id, event.c.document_id, event.c.detail
    )
    rows = list(connection.execute(columns.where(event.c.document_id == document_id)))
    for membership in memberships:
        shared = connection.execute(
            columns.where(event.c.batch_id == membership.id, event.c.document_id.is_(None)).order_by(event.c.id)
        ).all()
        rows += _while_carried(shared) if _has_left(membership, memberships) else shared
    last = {row.batch_id: row.id for row in rows if row.document_id is None}
    batches = [row for row in rows if row.document_id is None]
    rows = [row for row in rows if row.document_id is None or not _repeats_batch(row, batches)]
    left = {
        last[membership.id]
        for membership in memberships
        if membership.id in last and _has_left(membership, memberships)
    }
    return tuple(
        HistoryEntry(row.at, row.name, row.batch_id, json.loads(row.detail), left=row.id in left)
        for row in sorted(rows, key=lambda row: int(row.id))
    )


def _repeats_batch(own: Row[Any], batches: Sequence[Row[Any]]) -> bool:
    """Whether an event of the batch contains everything that the document's own event says."""
    mine = [row for row in batches if row.batch_id == own.batch_id]
    if own.name == EventName.DOCUMENT_BATCHED:
        return bool(mine)
    detail = json.loads(own.detail).items()
    return any(
        row.at == own.at and row.name in SAME_IN_BATCH.get(own.name, ()) and detail <= json.loads(row.detail).items()
        for row in mine
    )


def _has_left(membership: Row[Any], memberships: Sequence[Row[Any]]) -> bool:
    """Whether the document left the batch other than for one of its halves."""
    return not membership.carried and not any(
        other.root_id == membership.root_id and other.id > membership.id for other in memberships
    )


def _while_carried(shared: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    leaving = next((place for place, row in enumerate(shared, start=1) if row.name in LEAVING_EVENTS), len(shared))
    return shared[:leaving]
