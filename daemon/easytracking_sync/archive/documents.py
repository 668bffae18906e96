"""The document table: what the machine reads, and the only place that writes a document's state."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive.database import ACCOUNT_ID, ACCOUNT_IDS, IDS, IDS_AT_ONCE, ArchivePart
from easytracking_sync.archive.leases import NOW
from easytracking_sync.archive.tables import LISTED_COLUMNS, account, batch, document, upsert
from easytracking_sync.errors import Outdated
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.terms import (
    MOST_IDS_PER_CALL,
    WAITING_STATES,
    BatchState,
    Document,
    DocumentState,
    Due,
    KnownDocument,
    ListedWindow,
    PauseReason,
    Purpose,
    Window,
    WindowKind,
    chunked,
)
from easytracking_sync.transition import DocumentMove

LOADING = (BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED)

FIELDS = tuple(field.name for field in fields(Document))
COLUMNS = tuple(document.c[name] for name in FIELDS)
_OF = sa.select(*COLUMNS).where(document.c.id.in_(IDS)).order_by(document.c.id)
_LOCKED = _OF.with_for_update(key_share=True)
_KNOWN = sa.select(document.c.doc_id, *(document.c[field.name] for field in fields(KnownDocument))).where(
    document.c.account_id == ACCOUNT_ID, document.c.doc_id.in_(IDS)
)
_PAUSE = sa.select(account.c.pause_reason).where(account.c.id == ACCOUNT_ID)
_LOADING = sa.select(batch.c.purpose).where(batch.c.account_id == ACCOUNT_ID, batch.c.state.in_(LOADING))


def as_document(row: Row[*tuple[Any, ...]]) -> Document:
    """The Document of a row that begins with COLUMNS."""
    values = dict(zip(FIELDS, row, strict=False))
    values["state"] = DocumentState(values["state"])
    values["missing_types"] = tuple(part for part in values["missing_types"].split(",") if part)
    return Document(**values)


class Documents(ArchivePart):
    """The document table for the machine, without locks; `transitions` compares again."""

    def of(self, ids: Iterable[int]) -> tuple[Document, ...]:
        """The documents of these row ids, in their order."""
        return tuple(map(as_document, self._database.rows_of(_OF, sorted(set(ids)))))

    def known(self, account_id: int, doc_ids: Iterable[int]) -> Mapping[int, KnownDocument]:
        """What the archive knows about these docIds; unknown ones are absent."""
        return {
            row.doc_id: KnownDocument(
                row.id, DocumentState(row.state), row.version, row.fingerprint, row.held, row.acknowledged_at
            )
            for row in self._database.rows_of(_KNOWN, doc_ids, account_id=account_id)
        }

    def raw(self, ids: Iterable[int]) -> Mapping[int, bytes]:
        """The stored list elements of these documents (row ids)."""
        query = sa.select(document.c.id, document.c.raw).where(document.c.id.in_(IDS))
        return {row.id: row.raw for row in self._database.rows_of(query, sorted(ids))}

    def with_due(self, account_ids: Collection[int], now: datetime, jobs_in_flight: int) -> Sequence[int]:
        """The accounts that are not paused, have documents due, and fewer than `jobs_in_flight` batches loading."""
        parameters = {"account_ids": list(account_ids), "now": now, "jobs_in_flight": jobs_in_flight}
        with self._database.read() as connection:
            return connection.execute(_with_due(), parameters).scalars().all()

    def due(self, account_id: int, now: datetime, jobs_in_flight: int) -> Due:
        """An account's due documents, as many as its free jobs can carry."""
        parameters = {"account_id": account_id, "now": now}
        with self._database.read() as connection:
            loading, probing = _under_way(connection, account_id)
            free_jobs = max(0, jobs_in_flight - len(loading))

            def first(purpose: Purpose, most: int) -> tuple[Document, ...]:
                query = _due(purpose, newest_first=probing and purpose is Purpose.FRESH)
                rows = connection.execute(query, parameters | {"most": most})
                return tuple(as_document(row) for row in rows)

            return Due(
                account_id=account_id,
                loading=loading,
                probing=probing,
                fresh=first(Purpose.FRESH, 1 if probing else free_jobs * MOST_IDS_PER_CALL),
                suspects=first(Purpose.SUSPECT, MOST_IDS_PER_CALL),
                alone=first(Purpose.ALONE, 1),
            )

    def try_now(self, account_ids: Collection[int], now: datetime) -> None:
        """Make due what waits in the pool of these accounts; quarantined documents keep their day."""
        waits = (
            document.c.account_id.in_(list(account_ids)),
            document.c.state == DocumentState.DISCOVERED,
            document.c.next_attempt_at > now,
        )
        with self._database.write() as connection:
            connection.execute(sa.update(document).where(*waits).values(next_attempt_at=now))

    def failed_once_since(self, account_id: int, since: datetime) -> tuple[Document, ...]:
        """An account's documents in the pool whose only attempt failed at `since` or later."""
        query = sa.select(*COLUMNS).where(
            document.c.account_id == account_id,
            document.c.state == DocumentState.DISCOVERED,
            document.c.suspect,
            document.c.attempts == 1,
            document.c.failed_at >= since,
        )
        with self._database.read() as connection:
            return tuple(as_document(row) for row in connection.execute(query.order_by(document.c.id)))

    def waiting(self, account_ids: Collection[int]) -> Mapping[int, int]:
        """Per account, the documents still to be stored or acknowledged; quarantined and closed ones do not count."""
        with self._database.read() as connection:
            return {
                account_id: int(count)
                for account_id, count in connection.execute(_waiting(), {"account_ids": list(account_ids)}).all()
            }

    def not_listed(self, listed: ListedWindow) -> list[int]:
        """The docIds received in this window, wanted before it was listed, and not in the list."""
        query = _expected(document.c.doc_id, listed=listed)
        with self._database.read() as connection:
            return [doc_id for doc_id in connection.execute(query).scalars() if doc_id not in listed.present]

    def never_stored(self, listed: ListedWindow) -> Sequence[tuple[int, int]]:
        """(row id, docId) of the waiting documents that this window should list and that were never stored."""
        query = _expected(document.c.id, document.c.doc_id, listed=listed).where(
            document.c.state.in_(WAITING_STATES), document.c.stored_at.is_(None)
        )
        wanted = ((document.c.receiver_piva, listed.receiver_piva), (document.c.receiver_cf, listed.receiver_cf))
        query = query.where(*(column == receiver for column, receiver in wanted if receiver))
        with self._database.read() as connection:
            return [(row.id, row.doc_id) for row in connection.execute(query.order_by(document.c.id))]

    def narrowest_window(self, document_id: int) -> Window | None:
        """The smallest window in which a document is listed: its second of reception, or its date, or None."""
        columns = (document.c.received, document.c.document_date)
        with self._database.read() as connection:
            row = connection.execute(sa.select(*columns).where(document.c.id == document_id)).one()
        if row.received is not None:
            second = row.received.replace(microsecond=0)
            return Window(WindowKind.RECEIVED, second, second + timedelta(seconds=1))  # the list may omit fractions
        if row.document_date is not None:
            day = datetime.combine(row.document_date, datetime.min.time())
            return Window(WindowKind.DOCUMENT_DATE, day, day)
        return None


def _expected(*columns: sa.Column[Any], listed: ListedWindow) -> sa.Select[Any]:
    """The documents received in this window and wanted before it was listed."""
    return sa.select(*columns).where(
        document.c.account_id == listed.account_id,
        document.c.received.between(listed.window.start, listed.window.end),
        document.c.wanted_at < listed.begun_at,
    )


def expect(connection: Connection, moves: Sequence[DocumentMove]) -> None:
    """Lock the documents; Outdated unless each is still as it was when its change was decided."""
    before = {move.before.id: move.before for move in moves}
    for some in chunked(sorted(before), IDS_AT_ONCE):
        rows = connection.execute(_LOCKED, {"ids": some}).all()
        now = {document.id: document for document in map(as_document, rows)}
        moved_on = [document_id for document_id in some if now.get(document_id) != before[document_id]]
        if moved_on:
            raise Outdated(f"documents {', '.join(map(str, moved_on[:5]))} have changed since they were read")


def expect_due(connection: Connection, due: Due) -> None:
    """Outdated if the account has new batches, or began or ended probing, since `due` was read.

    The caller must have locked the account.
    """
    loading, probing = _under_way(connection, due.account_id)
    if Counter(loading) - Counter(due.loading) or probing is not due.probing:
        raise Outdated(f"account {due.account_id} has new batches or another pause since its documents were read")


def _under_way(connection: Connection, account_id: int) -> tuple[tuple[Purpose, ...], bool]:
    """The purposes of an account's loading batches, and whether the account is probing."""
    parameters = {"account_id": account_id}
    probing = connection.execute(_PAUSE, parameters).scalar_one() == PauseReason.PERMISSION
    return tuple(Purpose(purpose) for purpose in connection.execute(_LOADING, parameters).scalars()), probing


def write(connection: Connection, moves: Sequence[DocumentMove]) -> None:
    """Write the moves' changes, with one statement for all documents with equal changes."""
    same: dict[tuple[tuple[str, Any], ...], list[int]] = defaultdict(list)
    for move in moves:
        changes = [
            (name, getattr(move.after, name))
            for name in FIELDS
            if getattr(move.after, name) != getattr(move.before, name)
        ]
        if move.listed is not None:
            changes += _listed_values(move.listed).items()
        if changes:
            same[tuple(changes)].append(move.before.id)
    for changes_made, ids in same.items():
        values = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in changes_made}
        for some in chunked(ids, IDS_AT_ONCE):
            connection.execute(sa.update(document).where(document.c.id.in_(some)).values(**values))


def insert(connection: Connection, account_id: int, listed: Sequence[ListedDocument], now: datetime) -> Sequence[int]:
    """Insert newly listed documents; returns their row ids. Outdated if another instance inserted some first."""
    rows = [
        {
            **_listed_values(element),
            "account_id": account_id,
            "doc_id": element.doc_id,
            "state": DocumentState.DISCOVERED,
            "next_attempt_at": now,
            "discovered_at": now,
            "wanted_at": now,
        }
        for element in listed
    ]
    new = upsert(connection, document).on_conflict_do_nothing()
    made = connection.execute(new, rows, execution_options={"preserve_rowcount": True}).rowcount
    if made != len(rows):
        raise Outdated("another instance discovered some of these documents first")
    doc_ids = [element.doc_id for element in listed]
    ids = sa.select(document.c.id).where(document.c.account_id == account_id, document.c.doc_id.in_(doc_ids))
    return connection.execute(ids.order_by(document.c.id)).scalars().all()


def _listed_values(element: ListedDocument) -> dict[str, Any]:
    return {column: getattr(element, column) for column in LISTED_COLUMNS}


@functools.cache
def _with_due() -> sa.Select[Any]:
    due = sa.exists().where(
        document.c.account_id == account.c.id,
        document.c.state.in_(WAITING_STATES),
        document.c.next_attempt_at <= NOW,
    )
    loading = (
        sa.select(sa.func.count())
        .select_from(batch)
        .where(batch.c.account_id == account.c.id, batch.c.state.in_(LOADING))
        .scalar_subquery()
    )
    return (
        sa.select(account.c.id)
        .where(
            account.c.id.in_(ACCOUNT_IDS),
            sa.or_(account.c.paused_until.is_(None), account.c.paused_until <= NOW),
            due,
            loading < sa.bindparam("jobs_in_flight", type_=sa.Integer),
        )
        .order_by(account.c.id)
    )


@functools.cache
def _due(purpose: Purpose, *, newest_first: bool) -> sa.Select[Any]:
    """The due documents of one purpose; for a probe, the newest first."""
    due = sa.select(*COLUMNS).where(document.c.account_id == ACCOUNT_ID, document.c.next_attempt_at <= NOW)
    discovered = document.c.state == DocumentState.DISCOVERED
    if purpose is Purpose.ALONE:
        quarantined = document.c.state == DocumentState.QUARANTINED
        due = due.where(sa.or_(quarantined, discovered & document.c.alone))
    else:
        suspect = document.c.suspect if purpose is Purpose.SUSPECT else ~document.c.suspect
        due = due.where(discovered, ~document.c.alone, suspect)
    order = (document.c.id.desc(),) if newest_first else (document.c.next_attempt_at, document.c.id)
    return due.order_by(*order).limit(sa.bindparam("most", type_=sa.Integer))


@functools.cache
def _waiting() -> sa.Select[Any]:
    waits = sa.or_(
        document.c.state.in_((DocumentState.DISCOVERED, DocumentState.BATCHED)),
        (document.c.state == DocumentState.STORED) & ~document.c.unacknowledgeable,
    )
    return (
        sa.select(document.c.account_id, sa.func.count())
        .where(document.c.account_id.in_(ACCOUNT_IDS), waits)
        .group_by(document.c.account_id)
    )
