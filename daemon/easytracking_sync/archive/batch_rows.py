"""The rows of a batch and of what it carries, made and read in one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive.tables import batch, batch_document, document
from easytracking_sync.archive.versions import newest_wanted
from easytracking_sync.terms import Batch, BatchState, CarriedDocument, Claim, Purpose

BATCH_COLUMNS = (
    "id",
    "account_id",
    "root_id",
    "state",
    "purpose",
    "size",
    "next_attempt_at",
    "epoch",
    "failures",
    "losses",
    "polls",
    "job_id",
    "reserved_at",
    "deadline_at",
    "parcel",
)

_OWN_ID = sa.bindparam("own_id", type_=sa.Integer)
_INSERT = sa.insert(batch).returning(batch.c.id)
_ROOT = sa.update(batch).where(batch.c.id == _OWN_ID).values(root_id=batch.c.id)
_CARRY = sa.insert(batch_document)
_CARRIED = (
    sa.select(document.c.id, document.c.doc_id, document.c.wanted_at)
    .join(batch_document, batch_document.c.document_id == document.c.id)
    .where(batch_document.c.batch_id == _OWN_ID, batch_document.c.carried)
    .order_by(document.c.id)
)


def insert_batch(
    connection: Connection,
    account_id: int,
    state: BatchState,
    purpose: Purpose,
    document_ids: Sequence[int],
    now: datetime,
    *,
    parent: Batch | None = None,
) -> int:
    """A new batch carrying these documents; the caller moves the documents' own state."""
    row = {
        "account_id": account_id,
        "root_id": 0 if parent is None else parent.root_id,
        "state": state,
        "purpose": purpose,
        "size": len(document_ids),
        "next_attempt_at": now,
        "reserved_at": _reserved_at(connection, state, parent, document_ids),
        "created_at": now,
        "updated_at": now,
    }
    batch_id = int(connection.execute(_INSERT, row).scalar_one())
    if parent is None:
        connection.execute(_ROOT, {"own_id": batch_id})
    carried = [{"batch_id": batch_id, "document_id": document_id} for document_id in document_ids]
    connection.execute(_CARRY, carried)
    return batch_id


def _reserved_at(
    connection: Connection, state: BatchState, parent: Batch | None, document_ids: Sequence[int]
) -> datetime | None:
    """What is only to be acknowledged counts as reserved; halves that are to be reserved do not, yet."""
    if state is not BatchState.STORED:
        return None
    return newest_wanted(connection, document_ids) if parent is None else parent.reserved_at


def as_batch(row: Row[*tuple[Any, ...]]) -> Batch:
    """The machine's batch of a row that has all its columns."""
    values = {column: getattr(row, column) for column in BATCH_COLUMNS}
    return Batch(**{**values, "state": BatchState(row.state), "purpose": Purpose(row.purpose)})


def claimed(connection: Connection, row: Row[*tuple[Any, ...]]) -> Claim:
    """The claim to the batch of this row: the documents it still carries, in order, and their newest version."""
    rows = connection.execute(_CARRIED, {"own_id": row.id}).all()
    documents = tuple(CarriedDocument(one.id, one.doc_id) for one in rows)
    return Claim(as_batch(row), documents, max((one.wanted_at for one in rows), default=None))
