"""What commands ask of the archive: reads only, in short statements, so that a writer beside them is not held up."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from easytracking_sync.archive import document_history
from easytracking_sync.archive.account_overview import account_overview, incomplete_by_account
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.document_entries import (
    AccountOverview,
    CarryingBatch,
    DatabaseFacts,
    DocumentEntry,
    DocumentFilter,
    FileEntry,
    HistoryEntry,
    StoredAmount,
)
from easytracking_sync.archive.documents import IDS_AT_ONCE
from easytracking_sync.archive.tables import INCOMPLETE, account, document, file
from easytracking_sync.errors import UsageError
from easytracking_sync.terms import DocumentState, chunked

PAGE = 500
"""Documents read at once."""

FEW = 20_000
"""Up to so many documents in the states asked for, the states lead the search, else the reception time does."""

SYNCHRONOUS = {1: "normal", 2: "full", 3: "extra"}
"""SQLite's numbers for how much is on the disk when a commit returns."""

MOST_INT64 = (1 << 63) - 1
MOST_DIGITS = 20

_PLAIN = tuple(
    name
    for name in DocumentEntry.__dataclass_fields__
    if name not in {"row_id", "account", "state", "missing_types", "files"}
)
_COLUMNS = (document.c.id, document.c.state, document.c.missing_types, *(document.c[name] for name in _PLAIN))


class DocumentSearch:
    """Questions about documents, files and backlog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def labels(self) -> tuple[str, ...]:
        """The accounts the archive knows, in alphabetical order."""
        with self._database.read() as connection:
            return tuple(connection.execute(sa.select(account.c.label).order_by(account.c.label)).scalars())

    def documents(self, filters: DocumentFilter) -> Iterator[DocumentEntry]:
        """The documents that match, account by account, in the order of reception, page by page.

        What changes meanwhile may be seen before or after its change; no document comes twice.
        """
        found = itertools.chain.from_iterable(
            self._of_account(account_id, label, filters) for account_id, label in self._accounts(filters.accounts)
        )
        return itertools.islice(found, filters.limit)

    def find(self, named: str) -> DocumentEntry:
        """The document `[ACCOUNT/]ID` names; UsageError where there is none, or where several accounts have it."""
        label, _, number = named.rpartition("/")
        plain = named.isprintable() and number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
        if not (plain and int(number) <= MOST_INT64):
            raise UsageError(f"{named[:80]!a} names no document: write ACCOUNT/ID or ID, like acme/4574622")
        query = (
            sa.select(document.c.id, document.c.doc_id, account.c.label)
            .join(account, account.c.id == document.c.account_id)
            .where(document.c.doc_id == int(number))
            .order_by(account.c.label)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.where(account.c.label == label.lower()) if label else query).all()
        if not rows:
            raise UsageError(f"there is no document {named} in the archive")
        if len(rows) > 1:
            raise UsageError(f"{named} is ambiguous: name one of {', '.join(f'{r.label}/{r.doc_id}' for r in rows)}")
        return self._entries([rows[0].id], rows[0].label)[0]

    def history(self, entry: DocumentEntry) -> tuple[HistoryEntry, ...]:
        """What happened to a document, and to the batches while they carried it, the oldest first."""
        with self._database.read() as connection:
            return document_history.history(connection, entry.row_id)

    def carrying_batch(self, entry: DocumentEntry) -> CarryingBatch | None:
        """The live batch that carries a document; None where none does."""
        with self._database.read() as connection:
            return document_history.carrying_batch(connection, entry.row_id)

    def troubled(self) -> Iterator[DocumentEntry]:
        """Quarantined documents, and stored ones the service does not let us acknowledge, account by account."""
        stuck = (document.c.state == DocumentState.STORED) & document.c.unacknowledgeable
        for condition in (document.c.state == DocumentState.QUARANTINED, stuck):
            for account_id, label in self._accounts(()):
                query = sa.select(document.c.id).where(document.c.account_id == account_id, condition)
                with self._database.read() as connection:
                    ids = connection.execute(query.order_by(document.c.id)).scalars().all()
                for page in chunked(ids, IDS_AT_ONCE):
                    yield from self._entries(page, label)

    def overviews(self, labels: Collection[str] = ()) -> tuple[AccountOverview, ...]:
        """Where the accounts stand (all unless some are named), in alphabetical order."""
        query = sa.select(account).order_by(account.c.label)
        with self._database.read() as connection:
            rows = connection.execute(query.where(account.c.label.in_(labels)) if labels else query).all()
            incomplete = incomplete_by_account(connection)
            return tuple(account_overview(connection, row, incomplete.get(row.id, 0)) for row in rows)

    def stored_since(self, labels: Collection[str], since: datetime) -> StoredAmount:
        """What these accounts have stored from an instant on; it reads every document of theirs."""
        query = (
            sa.select(
                sa.func.count(sa.distinct(document.c.id)),
                sa.func.count(file.c.id),
                sa.func.coalesce(sa.func.sum(file.c.size), 0),
            )
            .join(account, account.c.id == document.c.account_id)
            .join(file, (file.c.document_id == document.c.id) & (file.c.fetched_at >= since))
            .where(account.c.label.in_(labels), document.c.stored_at >= since)
        )
        with self._database.read() as connection:
            documents, files, size = connection.execute(query).one()
        return StoredAmount(int(documents), int(files), int(size))

    def facts(self) -> DatabaseFacts:
        """What the database says about itself."""
        with self._database.read() as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
            engine = connection.dialect.name
            journal = None
            if self._database.is_sqlite:
                mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
                synchronous = SYNCHRONOUS.get(connection.exec_driver_sql("PRAGMA synchronous").scalar_one(), "off")
                journal = f"{mode}, synchronous {synchronous}"
        return DatabaseFacts(engine, version, journal)

    def _accounts(self, labels: Sequence[str]) -> tuple[tuple[int, str], ...]:
        query = sa.select(account.c.id, account.c.label).order_by(account.c.label)
        with self._database.read() as connection:
            rows = connection.execute(query.where(account.c.label.in_(labels)) if labels else query)
            return tuple((row.id, row.label) for row in rows)

    def _of_account(self, account_id: int, label: str, filters: DocumentFilter) -> Iterator[DocumentEntry]:
        pages = (
            self._few(account_id, filters) if self._is_few(account_id, filters) else self._many(account_id, filters)
        )
        for ids in pages:
            yield from self._entries(ids, label)

    def _is_few(self, account_id: int, filters: DocumentFilter) -> bool:
        """Whether the index on states leads to so little that it can be sorted here."""
        if not filters.states:
            return False
        reached = _reached(account_id, filters).limit(FEW + 1).subquery()
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(reached)).scalar_one() <= FEW

    def _few(self, account_id: int, filters: DocumentFilter) -> Iterator[Sequence[int]]:
        query = sa.select(document.c.id, document.c.received).where(
            document.c.id.in_(_reached(account_id, filters)), *_conditions(filters)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        rows = sorted(rows, key=lambda row: (row.received is None, str(row.received), row.id))
        yield from chunked([row.id for row in rows], IDS_AT_ONCE)

    def _many(self, account_id: int, filters: DocumentFilter) -> Iterator[Sequence[int]]:
        size = min(PAGE, filters.limit or PAGE)
        states = document.c.state.concat("").in_(filters.states)  # an expression: its index would mean a sort a page
        base = sa.select(document.c.id, document.c.received).where(
            document.c.account_id == account_id, *_conditions(filters), *((states,) if filters.states else ())
        )
        dated = base.where(document.c.received.is_not(None)).order_by(document.c.received, document.c.id)
        yield from self._keyset(dated, size, lambda row: _after(row.received, row.id))
        if filters.received_from is None and filters.received_to is None:
            undated = base.where(document.c.received.is_(None)).order_by(document.c.id)
            yield from self._keyset(undated, size, lambda row: document.c.id > row.id)

    def _keyset(
        self, query: sa.Select[Any], size: int, after: Callable[[Row[Any]], sa.ColumnElement[bool]]
    ) -> Iterator[Sequence[int]]:
        page = query
        while True:
            with self._database.read() as connection:
                rows = connection.execute(page.limit(size)).all()
            if not rows:
                return
            yield [row.id for row in rows]
            page = query.where(after(rows[-1]))

    def _entries(self, ids: Sequence[int], label: str) -> list[DocumentEntry]:
        """These documents with their files, in this order."""
        with self._database.read() as connection:
            rows = {row.id: row for row in connection.execute(sa.select(*_COLUMNS).where(document.c.id.in_(ids)))}
            parts = connection.execute(
                sa.select(file).where(file.c.document_id.in_(ids)).order_by(file.c.document_id, file.c.ordinal)
            ).all()
        files: defaultdict[int, list[FileEntry]] = defaultdict(list)
        for part in parts:
            entry = FileEntry(part.ordinal, part.type, part.name, part.size, part.sha256, part.fetched_at)
            files[part.document_id].append(entry)
        return [_entry(rows[row_id], label, files[row_id]) for row_id in ids if row_id in rows]


def _entry(row: Row[Any], label: str, files: Sequence[FileEntry]) -> DocumentEntry:
    return DocumentEntry(
        row_id=row.id,
        account=label,
        state=DocumentState(row.state),
        missing_types=tuple(part for part in row.missing_types.split(",") if part),
        files=tuple(files),
        **{name: getattr(row, name) for name in _PLAIN},
    )


def _after(received: datetime, row_id: int) -> sa.ColumnElement[bool]:
    return sa.tuple_(document.c.received, document.c.id) > sa.tuple_(sa.literal(received), sa.literal(row_id))


def _reached(account_id: int, filters: DocumentFilter) -> sa.Select[tuple[int]]:
    return sa.select(document.c.id).where(document.c.account_id == account_id, document.c.state.in_(filters.states))


def _conditions(filters: DocumentFilter) -> list[sa.ColumnElement[bool]]:
    """What must hold besides account and state."""
    columns = document.c
    first, last = filters.received_from, filters.received_to
    ranges = (
        (columns.received, first and datetime.combine(first, time.min), last and datetime.combine(last, time.max)),
        (columns.document_date, filters.document_date_from, filters.document_date_to),
    )
    held = [column >= start for column, start, _ in ranges if start is not None]
    held += [column <= end for column, _, end in ranges if end is not None]
    if filters.sender:
        held.append(_is_party(columns.sender_piva, columns.sender_cf, filters.sender))
    if filters.receiver:
        held.append(_is_party(columns.receiver_piva, columns.receiver_cf, filters.receiver))
    if filters.number:
        held.append(columns.number == filters.number)
    if filters.document_types:
        held.append(columns.document_type.in_(filters.document_types))
    if filters.incomplete:
        held.append(INCOMPLETE)
    return held


def _is_party(piva: sa.Column[Any], cf: sa.Column[Any], code: str) -> sa.ColumnElement[bool]:
    """The code as VAT number or tax code, with or without Italy's prefix, whichever way it was listed."""
    bare = code.strip().upper().removeprefix("IT")
    return sa.or_(piva.in_((bare, f"IT{bare}")), cf.in_((bare, f"IT{bare}")))
