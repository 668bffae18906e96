"""The journal: an append-only table with one row for each change, none for a poll.

Row ids are sequence numbers. A transaction assigns them last, under the lock of one counter that it holds until the
commit: after a reader has read up to N, no row below N can appear. So "which documents were stored since N" is one
query over one index.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.tables import account, counter, document, event, upsert
from easytracking_sync.events import EventName
from easytracking_sync.transition import Detail

if TYPE_CHECKING:
    from easytracking_sync.archive.database import Database

_APPEND = sa.insert(event).inline()
_ROWS = "journal_rows"
"""The execution option that holds the rows: unlike `Connection.info`, it is available without the server."""
_COUNTER = "event"
_LAST = sa.select(counter.c.last).where(counter.c.name == _COUNTER)


@contextmanager
def collected(connection: Connection) -> Iterator[None]:
    """Write the rows that `record` received during the block, as the last step of the caller's transaction."""
    rows: list[dict[str, Any]] = []
    connection.execution_options(**{_ROWS: rows})
    yield
    if rows:
        _write(connection, rows)


def record(
    connection: Connection,
    name: EventName,
    at: datetime,
    *,
    account_id: int | None = None,
    batch_id: int | None = None,
    document_id: int | None = None,
    detail: Detail | None = None,
) -> None:
    """Add an event to the current transaction."""
    connection.get_execution_options()[_ROWS].append(
        {
            "name": name,
            "at": at,
            "account_id": account_id,
            "batch_id": batch_id,
            "document_id": document_id,
            "detail": json.dumps(dict(detail)) if detail else "{}",
        }
    )


def _write(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    taken = upsert(connection, counter).values(name=_COUNTER, last=len(rows))
    numbered = taken.on_conflict_do_update(
        index_elements=[counter.c.name], set_={"last": counter.c.last + taken.excluded.last}
    )
    last = connection.execute(numbered.returning(counter.c.last)).scalar_one()
    for number, row in enumerate(rows, start=last - len(rows) + 1):
        row["id"] = number
    connection.execute(_APPEND, rows)


@dataclass(frozen=True, slots=True)
class DocumentNews:
    """One event of a document."""

    sequence: int
    at: datetime
    name: EventName
    document_id: int
    account_id: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Documents stored for the first time, by account and receiver; continue reading after `position`."""

    position: int
    counts: Mapping[str, Mapping[str, int]]  # label → receiver ("" unknown) → documents


class Journal:
    """Reads the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> int:
        """The newest sequence number; 0 if the journal is empty."""
        with self._database.read() as connection:
            return int(connection.execute(_LAST).scalar_one_or_none() or 0)

    def since(self, after: int, names: Collection[EventName], most: int) -> tuple[DocumentNews, ...]:
        """The first `most` document events with these names after this sequence number, in order."""
        columns = (event.c.id, event.c.at, event.c.name, event.c.document_id, event.c.account_id)
        query = (
            sa.select(*columns).where(event.c.name.in_(names), event.c.id > after).order_by(event.c.id).limit(most)
        )
        with self._database.read() as connection:
            return tuple(DocumentNews(*row) for row in connection.execute(query))

    def arrivals(self, after: int) -> Arrivals:
        """Documents stored for the first time after this sequence number."""
        upto = self.last()
        receiver = sa.func.coalesce(document.c.receiver_piva, document.c.receiver_cf, "")
        query = (
            sa.select(account.c.label, receiver.label("receiver"), sa.func.count().label("documents"))
            .select_from(event)
            .join(document, document.c.id == event.c.document_id)
            .join(account, account.c.id == document.c.account_id)
            .where(event.c.name == EventName.DOCUMENT_STORED, event.c.id > after, event.c.id <= upto)
            .group_by(account.c.label, receiver)
            .order_by(account.c.label, receiver)
        )
        counts: dict[str, dict[str, int]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                counts.setdefault(row.label, {})[row.receiver] = row.documents
        return Arrivals(max(after, upto), counts)

    def note(self, document_ids: Collection[int], name: EventName, detail: Detail, now: datetime) -> None:
        """Record what was done to these documents outside the archive."""
        owners = sa.select(document.c.id, document.c.account_id).where(document.c.id.in_(document_ids))
        with self._database.write() as connection:
            for row in connection.execute(owners.order_by(document.c.id)).all():
                record(connection, name, now, account_id=row.account_id, document_id=row.id, detail=detail)
