"""What a listing means to the archive: what is new, changed, returned, or listed again although acknowledged."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive import journal
from easytracking_sync.archive.accounts import lock_account
from easytracking_sync.archive.batch_rows import insert_batch
from easytracking_sync.archive.database import Database, upsert
from easytracking_sync.archive.tables import document
from easytracking_sync.archive.versions import next_version
from easytracking_sync.list_element import means_the_same, says_no_less
from easytracking_sync.terms import (
    LIST_FIELDS,
    MOST_IDS_PER_CALL,
    BatchState,
    DocumentState,
    ListedDocument,
    OnRelist,
    Purpose,
)

T = TypeVar("T")

LONGEST_LISTING = timedelta(days=1)

LOOKUP_IDS = 500
"""Listed ids are looked up in chunks of this many."""

LISTED_COLUMNS = (*(field.name for field in LIST_FIELDS), "raw", "fingerprint")

REOPENED_BY_CHANGE = (DocumentState.ACKNOWLEDGED, DocumentState.QUARANTINED, DocumentState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What a listing meant to the archive."""

    listed: int = 0
    discovered: int = 0
    changed: int = 0  # other list fields under an id that is known
    relisted: int = 0  # acknowledged here, listed as unmarked all the same

    def __add__(self, other: Absorbed) -> Absorbed:
        return Absorbed(
            self.listed + other.listed,
            self.discovered + other.discovered,
            self.changed + other.changed,
            self.relisted + other.relisted,
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing as the pool needs it: when it began, and whether it shows what is still unmarked."""

    account_id: int
    documents: Sequence[ListedDocument]
    begun_at: datetime
    unmarked: bool
    on_relist: OnRelist = OnRelist.ACKNOWLEDGE
    acknowledges: bool = True


def absorb(database: Database, listed: Listed, now: datetime) -> Absorbed:
    """Insert what is new, note what changed, and send to be acknowledged what was forgotten. Repeating is safe.

    One transaction a chunk, and none where the chunk says nothing new.
    """
    absorbed = Absorbed(listed=len(listed.documents))
    for chunk in chunked(listed.documents, LOOKUP_IDS):
        part = replace(listed, documents=chunk)
        with database.read() as connection:
            if not _Differences(connection, part).any:
                continue
        with database.write() as connection:
            lock_account(connection, listed.account_id)
            absorbed += _apply(connection, part, _Differences(connection, part, lock=True), now)
    return absorbed


def afresh(now: datetime) -> dict[str, Any]:
    """The values of a document that is to be fetched as if for the first time."""
    return {
        "state": DocumentState.DISCOVERED,
        "next_attempt_at": now,
        "attempts": 0,
        "asks": 0,
        "suspect": False,
        "alone": False,
        "reason": None,
    }


def batched_ids(ids: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Ids in chunks that every database takes in one statement."""
    return chunked(tuple(ids), LOOKUP_IDS)


def chunked(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items in order, so many at a time."""
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))


class _Differences:
    """How a chunk of a listing differs from what the archive knows."""

    def __init__(self, connection: Connection, listed: Listed, *, lock: bool = False) -> None:
        doc_ids = [element.doc_id for element in listed.documents]
        rows = connection.execute(_known(lock=lock), {"account_id": listed.account_id, "doc_ids": doc_ids})
        known: dict[int, Row[*tuple[Any, ...]]] = {row.doc_id: row for row in rows}
        self.new = [element for element in listed.documents if element.doc_id not in known]
        self.changed: list[tuple[Row[*tuple[Any, ...]], ListedDocument]] = []
        self.restated: list[tuple[int, ListedDocument]] = []  # unchanged, in another notation or with more fields
        self.returned: list[int] = []
        self.relisted: list[int] = []
        for element in listed.documents:
            row = known.get(element.doc_id)
            if row is None or row.held:
                continue
            if row.fingerprint != element.fingerprint:
                if not means_the_same(row.raw, element):
                    self.changed.append((row, element))
                    continue
                if says_no_less(row.raw, element):
                    self.restated.append((row.id, element))
            if row.state == DocumentState.WITHDRAWN:
                self.returned.append(row.id)
            elif _is_relisted(row, listed):
                self.relisted.append(row.id)

    @property
    def any(self) -> bool:
        return bool(self.new or self.changed or self.restated or self.returned or self.relisted)


@functools.cache
def _known(*, lock: bool) -> sa.Select[Any]:
    """What the archive has of `doc_ids`; with `lock`, what is decided of it still holds when it is written."""
    query = sa.select(
        document.c.id,
        document.c.doc_id,
        document.c.state,
        document.c.fingerprint,
        document.c.raw,
        document.c.acknowledged_at,
        document.c.held,
    ).where(
        document.c.account_id == sa.bindparam("account_id", type_=sa.Integer),
        document.c.doc_id.in_(sa.bindparam("doc_ids", expanding=True)),
    )
    return query.order_by(document.c.id).with_for_update(key_share=True) if lock else query


def _is_relisted(row: Row[*tuple[Any, ...]], listed: Listed) -> bool:
    return (
        listed.unmarked
        and listed.acknowledges
        and row.state == DocumentState.ACKNOWLEDGED
        and (row.acknowledged_at is None or not _was_just_told(row.acknowledged_at, listed.begun_at))
    )


def _was_just_told(acknowledged_at: datetime, begun_at: datetime) -> bool:
    """Whether the listing may have begun before; an acknowledgement from the day after was noted by a wrong clock."""
    return begun_at <= acknowledged_at <= begun_at + LONGEST_LISTING


def _apply(connection: Connection, listed: Listed, found: _Differences, now: datetime) -> Absorbed:
    discovered = 0
    if found.new:
        rows = [
            {
                **_listed_values(element),
                "account_id": listed.account_id,
                "doc_id": element.doc_id,
                "state": DocumentState.DISCOVERED,
                "next_attempt_at": now,
                "discovered_at": now,
                "wanted_at": now,
            }
            for element in found.new
        ]
        new = upsert(connection, document).on_conflict_do_nothing()
        discovered = connection.execute(new, rows, execution_options={"preserve_rowcount": True}).rowcount
    for row, element in found.changed:
        _note_change(connection, listed.account_id, row, element, now)
    for row_id, element in found.restated:
        connection.execute(sa.update(document).where(document.c.id == row_id).values(**_listed_values(element)))
    _reopen(connection, listed.account_id, found.returned, "document.returned", now)
    if listed.on_relist is OnRelist.REFETCH:
        _reopen(connection, listed.account_id, found.relisted, "document.relisted", now)
    else:
        for chunk in chunked(found.relisted, MOST_IDS_PER_CALL):
            insert_batch(connection, listed.account_id, BatchState.STORED, Purpose.RELISTED, chunk, now)
            connection.execute(sa.update(document).where(document.c.id.in_(chunk)).values(state=DocumentState.STORED))
    return Absorbed(0, discovered, len(found.changed), len(found.relisted))


def _listed_values(element: ListedDocument) -> dict[str, Any]:
    return {column: getattr(element, column) for column in LISTED_COLUMNS}


def _note_change(
    connection: Connection, account_id: int, row: Row[*tuple[Any, ...]], element: ListedDocument, now: datetime
) -> None:
    """The newest list fields are the document's, the older stay in the journal; the bytes are wanted anew."""
    values: dict[str, Any] = {**_listed_values(element), "wanted_at": next_version(connection, row.id, now)}
    if row.state in REOPENED_BY_CHANGE:
        values |= afresh(now)
    connection.execute(sa.update(document).where(document.c.id == row.id).values(**values))
    detail = {"before": row.raw.decode("utf-8", "replace")}
    journal.record(connection, "document.changed", now, account_id=account_id, document_id=row.id, detail=detail)


def _reopen(connection: Connection, account_id: int, ids: Sequence[int], name: str, now: datetime) -> None:
    for document_id in ids:
        values = {**afresh(now), "wanted_at": next_version(connection, document_id, now)}
        connection.execute(sa.update(document).where(document.c.id == document_id).values(**values))
        journal.record(connection, name, now, account_id=account_id, document_id=document_id)
