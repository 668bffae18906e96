"""The append-only record of what changed: one row a change, never one a poll.

Its row ids are sequence numbers. They are given out last in a transaction, under the lock of one counter that is
held until the commit: whoever has read up to N has seen every row up to N, and none comes in below it later. So
"which documents were stored since N" is one query over one index.
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
"""The execution option that holds them: unlike `Connection.info`, it can be had when the server is gone."""
_COUNTER = "event"
_LAST = sa.select(counter.c.last).where(counter.c.name == _COUNTER)


@contextmanager
def collected(connection: Connection) -> Iterator[None]:
    """Write what `record` was given while the block ran, as the last thing in the caller's transaction."""
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
    """One event of the transaction under way."""
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
    """One event of a document, as whoever follows the journal reads it."""

    sequence: int
    at: datetime
    name: EventName
    document_id: int
    account_id: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Documents that came home for the first time, by account and receiver; `position` is where to go on."""

    position: int
    counts: Mapping[str, Mapping[str, int]]  # label → receiver ("" unknown) → documents


class Journal:
    """What the journal has for those who follow it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> int:
        """The newest sequence number; 0 while the journal is empty."""
        with self._database.read() as connection:
            return int(connection.execute(_LAST).scalar_one_or_none() or 0)

    def since(self, after: int, names: Collection[EventName], most: int) -> tuple[DocumentNews, ...]:
        """The first `most` events of documents with these names behind this sequence number, in their order."""
        columns = (event.c.id, event.c.at, event.c.name, event.c.document_id, event.c.account_id)
        query = (
            sa.select(*columns).where(event.c.name.in_(names), event.c.id > after).order_by(event.c.id).limit(most)
        )
        with self._database.read() as connection:
            return tuple(DocumentNews(*row) for row in connection.execute(query))

    def arrivals(self, after: int) -> Arrivals:
        """Documents that were stored for the first time behind this sequence number."""
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
        """Write down what was done to these documents outside the archive."""
        owners = sa.select(document.c.id, document.c.account_id).where(document.c.id.in_(document_ids))
        with self._database.write() as connection:
            for row in connection.execute(owners.order_by(document.c.id)).all():
                record(connection, name, now, account_id=row.account_id, document_id=row.id, detail=detail)
