"""Finds documents for the commands. Reads only, in short statements, so that it never delays a writer for long."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from easytracking_sync.archive import document_history
from easytracking_sync.archive.account_status import UNACKNOWLEDGEABLE
from easytracking_sync.archive.database import IDS_AT_ONCE, ArchivePart
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter, FileEntry, HistoryEntry
from easytracking_sync.archive.tables import INCOMPLETE, account, document, file
from easytracking_sync.errors import UsageError
from easytracking_sync.terms import DocumentState, chunked

PAGE = 500
"""Documents per statement."""

FEW = 20_000
"""Search by state while at most this many documents are in the wanted states, otherwise by reception time."""

MOST_INT64 = (1 << 63) - 1
MOST_DIGITS = 20

_PLAIN = tuple(
    name
    for name in DocumentEntry.__dataclass_fields__
    if name not in {"row_id", "account", "state", "missing_types", "files"}
)
_COLUMNS = (document.c.id, document.c.state, document.c.missing_types, *(document.c[name] for name in _PLAIN))


@dataclass(frozen=True, slots=True)
class StoredAmount:
    """How much was stored in a period."""

    documents: int
    files: int
    bytes: int


class DocumentSearch(ArchivePart):
    def documents(self, filters: DocumentFilter) -> Iterator[DocumentEntry]:
        """The matching documents, account by account, in the order of reception, read page by page.

        A document that changes meanwhile appears as it was before or after the change, never twice.
        """
        found = itertools.chain.from_iterable(
            self._of_account(account_id, label, filters) for account_id, label in self._accounts(filters.accounts)
        )
        return itertools.islice(found, filters.limit)

    def find(self, named: str) -> DocumentEntry:
        """The document that `[ACCOUNT/]ID` names; UsageError if there is none, or if several accounts have it."""
        label, _, number = named.rpartition("/")
        plain = named.isprintable() and number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
        if not (plain and int(number) <= MOST_INT64):
            raise UsageError(f"{named[:80]!a} is not a document id; write ACCOUNT/ID or ID, for example acme/4574622")
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
        """The events of a document and of the batches while they carried it, oldest first."""
        with self._database.read() as connection:
            return document_history.history(connection, entry.row_id)

    def has_document_type(self, code: str) -> bool:
        """Whether a document of this type was ever listed."""
        return self._any(document.c.document_type == code)

    def has_file_type(self, code: str) -> bool:
        """Whether a file of this type is stored."""
        return self._any(file.c.type == code)

    def troubled(self) -> Iterator[DocumentEntry]:
        """Quarantined documents, then stored ones whose acknowledgement the service refuses, account by account."""
        for condition in (document.c.state == DocumentState.QUARANTINED, UNACKNOWLEDGEABLE):
            for account_id, label in self._accounts(()):
                query = sa.select(document.c.id).where(document.c.account_id == account_id, condition)
                with self._database.read() as connection:
                    ids = connection.execute(query.order_by(document.c.id)).scalars().all()
                for page in chunked(ids, IDS_AT_ONCE):
                    yield from self._entries(page, label)

    def stored_since(self, labels: Collection[str], since: datetime) -> StoredAmount:
        """What these accounts have stored since an instant; reads all their documents."""
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

    def _any(self, condition: sa.ColumnElement[bool]) -> bool:
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.literal(1)).where(condition).limit(1)).first() is not None

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
        """Whether so few documents are in the wanted states that they can be sorted in memory."""
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
        states = document.c.state.concat("").in_(
            filters.states
        )  # an expression, so that the index on states is not used: it would sort every page
        base = sa.select(document.c.id, document.c.received).where(
            document.c.account_id == account_id, *_conditions(filters), *((states,) if filters.states else ())
        )
        dated = base.where(document.c.received.is_not(None))
        pages = [self._database.pages(dated, document.c.received, document.c.id, size=size)]
        if filters.received_from is None and filters.received_to is None:
            undated = base.where(document.c.received.is_(None))
            pages.append(self._database.pages(undated, document.c.id, size=size))
        for page in itertools.chain(*pages):
            yield [row.id for row in page]

    def _entries(self, ids: Sequence[int], label: str) -> list[DocumentEntry]:
        """The documents of these row ids with their files, in this order."""
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


def _reached(account_id: int, filters: DocumentFilter) -> sa.Select[tuple[int]]:
    return sa.select(document.c.id).where(document.c.account_id == account_id, document.c.state.in_(filters.states))


def _conditions(filters: DocumentFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions other than account and state."""
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
    """Whether the code is listed as VAT number or tax code, with or without the prefix IT."""
    bare = code.strip().upper().removeprefix("IT")
    return sa.or_(piva.in_((bare, f"IT{bare}")), cf.in_((bare, f"IT{bare}")))
