"""Documents that are not on their way yet: what a listing adds, changes or no longer has, and what is due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive import journal
from easytracking_sync.archive.accounts import lock_account
from easytracking_sync.archive.batches import insert_batch
from easytracking_sync.archive.database import Database, upsert
from easytracking_sync.archive.tables import account, batch, document, file
from easytracking_sync.terms import (
    MOST_IDS_PER_CALL,
    BatchState,
    Claim,
    DocumentState,
    ListedDocument,
    OnRelist,
    PauseReason,
    Purpose,
    Window,
    WindowKind,
)

T = TypeVar("T")

ACCOUNTS_AT_ONCE = 32
"""Accounts whose batches are planned in one transaction."""

LOOKUP_IDS = 500
"""Listed ids are looked up in chunks of this many."""

LISTED_COLUMNS = (
    "sender_piva",
    "sender_cf",
    "receiver_piva",
    "receiver_cf",
    "document_date",
    "number",
    "document_type",
    "sdi_id",
    "received",
    "received_text",
    "file_name",
    "annual_progressive",
    "country_channel",
    "raw",
    "fingerprint",
)

NOT_YET_HOME = (DocumentState.DISCOVERED, DocumentState.QUARANTINED)
REOPENED_BY_CHANGE = (DocumentState.ACKNOWLEDGED, DocumentState.QUARANTINED, DocumentState.WITHDRAWN)
LOADING = (BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED)


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


@dataclass(frozen=True, slots=True)
class Held:
    """What came of a document since it was wanted, and how often its missing types were asked for."""

    types: frozenset[str]
    asks: int


@dataclass(frozen=True, slots=True)
class Known:
    """Where a document stands, for comparing."""

    state: DocumentState
    held: bool
    acknowledged_at: datetime | None


class Pool:
    """The documents waiting to travel."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def absorb(self, listed: Listed, now: datetime) -> Absorbed:
        """Insert what is new, note what changed, and send to be acknowledged what was forgotten. Repeating is safe.

        One transaction a chunk, and none where the chunk says nothing new.
        """
        absorbed = Absorbed(listed=len(listed.documents))
        for chunk in _chunks(listed.documents, LOOKUP_IDS):
            part = replace(listed, documents=chunk)
            with self._database.read() as connection:
                if not _Differences(connection, part).any:
                    continue
            with self._database.write() as connection:
                lock_account(connection, listed.account_id)
                absorbed += _apply(connection, part, _Differences(connection, part, lock=True), now)
        return absorbed

    def plan(self, account_ids: Collection[int], now: datetime, jobs_in_flight: int) -> int:
        """Make batches of what is due, for accounts with fewer than `jobs_in_flight` loading; how many were made."""
        made = 0
        with self._database.read() as connection:
            ready = connection.execute(_accounts_with_work(account_ids, now, jobs_in_flight)).scalars().all()
        for some in _chunks(ready, ACCOUNTS_AT_ONCE):
            with self._database.write() as connection:
                made += sum(_plan_account(connection, account_id, now, jobs_in_flight) for account_id in some)
        return made

    def held(self, claim: Claim) -> Mapping[int, Held]:
        """What the archive has of each carried document: the types that came since it was wanted, and the asks."""
        ids = [carried.document_id for carried in claim.documents]
        came = sa.and_(file.c.document_id == document.c.id, file.c.seen_at >= document.c.wanted_at)
        rows_of = (
            sa.select(document.c.id, document.c.asks, file.c.type).outerjoin(file, came).where(document.c.id.in_(ids))
        )
        asks: dict[int, int] = {}
        types: dict[int, set[str]] = defaultdict(set)
        with self._database.read() as connection:
            for row in connection.execute(rows_of):
                asks[row.id] = row.asks
                if row.type is not None:
                    types[row.id].add(row.type)
        return {document_id: Held(frozenset(types[document_id]), asks[document_id]) for document_id in asks}

    def waiting(self, account_ids: Collection[int]) -> Mapping[int, int]:
        """Per account, the documents that are neither home and acknowledged, nor given up on, nor closed."""
        waits = sa.or_(
            document.c.state.in_((DocumentState.DISCOVERED, DocumentState.BATCHED)),
            (document.c.state == DocumentState.STORED) & ~document.c.unacknowledgeable,
        )
        counted = (
            sa.select(document.c.account_id, sa.func.count())
            .where(document.c.account_id.in_(account_ids), waits)
            .group_by(document.c.account_id)
        )
        with self._database.read() as connection:
            return {account_id: int(count) for account_id, count in connection.execute(counted).all()}

    def states(self, account_id: int, doc_ids: Collection[int]) -> Mapping[int, Known]:
        """What the archive knows of these docIds; those it has not heard of are absent."""
        columns = (document.c.doc_id, document.c.state, document.c.held, document.c.acknowledged_at)
        found: dict[int, Known] = {}
        with self._database.read() as connection:
            for chunk in batched_ids(doc_ids):
                rows = connection.execute(
                    sa.select(*columns).where(document.c.account_id == account_id, document.c.doc_id.in_(chunk))
                )
                found.update(
                    {row.doc_id: Known(DocumentState(row.state), row.held, row.acknowledged_at) for row in rows}
                )
        return found

    def unlisted(self, account_id: int, window: Window, present: Collection[int], before: datetime) -> list[int]:
        """docIds received in this window and known before that instant which the service does not list."""
        query = sa.select(document.c.doc_id).where(
            document.c.account_id == account_id,
            document.c.received.between(window.start, window.end),
            document.c.wanted_at < before,
        )
        with self._database.read() as connection:
            return [doc_id for doc_id in connection.execute(query).scalars() if doc_id not in present]

    def narrowest_window(self, document_id: int) -> Window | None:
        """In which window the list shows a document: its second of reception, else its date; None without either."""
        columns = (document.c.received, document.c.document_date)
        with self._database.read() as connection:
            row = connection.execute(sa.select(*columns).where(document.c.id == document_id)).one()
        if row.received is not None:
            second = row.received.replace(microsecond=0)
            return Window(WindowKind.RECEIVED, second, second + timedelta(seconds=1))  # the list may hide fractions
        if row.document_date is not None:
            day = datetime.combine(row.document_date, datetime.min.time())
            return Window(WindowKind.DOCUMENT_DATE, day, day)
        return None

    def withdraw(
        self,
        account_id: int,
        window: Window,
        present: Collection[int],
        begun_at: datetime,
        *,
        receiver_piva: str | None = None,
        receiver_cf: str | None = None,
    ) -> int:
        """Mark what is not home, lies in this window, and is in neither of its complete listings; how many.

        Only documents that the listings' receiver filter would show count. One that is listed again later comes back.
        """
        still = (
            document.c.state.in_(NOT_YET_HOME),
            document.c.wanted_at < begun_at,
            document.c.stored_at.is_(None),
        )
        missing = sa.select(document.c.id, document.c.doc_id).where(
            document.c.account_id == account_id, document.c.received.between(window.start, window.end), *still
        )
        for column, wanted in ((document.c.receiver_piva, receiver_piva), (document.c.receiver_cf, receiver_cf)):
            if wanted is not None:
                missing = missing.where(column == wanted)
        with self._database.read() as connection:
            gone = [row.id for row in connection.execute(missing) if row.doc_id not in present]
        withdrawn = 0
        for chunk in batched_ids(gone):
            with self._database.write() as connection:
                ids = connection.execute(
                    sa.update(document)
                    .where(document.c.id.in_(chunk), *still)
                    .values(state=DocumentState.WITHDRAWN, next_attempt_at=None)
                    .returning(document.c.id)
                )
                for document_id in ids.scalars().all():
                    withdrawn += 1
                    journal.record(
                        connection, "document.withdrawn", begun_at, account_id=account_id, document_id=document_id
                    )
        return withdrawn


def batched_ids(ids: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Ids in chunks that every database takes in one statement."""
    return _chunks(tuple(ids), LOOKUP_IDS)


class _Differences:
    """How a chunk of a listing differs from what the archive knows."""

    def __init__(self, connection: Connection, listed: Listed, *, lock: bool = False) -> None:
        query = sa.select(
            document.c.id,
            document.c.doc_id,
            document.c.state,
            document.c.fingerprint,
            document.c.raw,
            document.c.acknowledged_at,
            document.c.held,
        ).where(
            document.c.account_id == listed.account_id,
            document.c.doc_id.in_([element.doc_id for element in listed.documents]),
        )
        if lock:  # what is decided here must still be so when it is written
            query = query.order_by(document.c.id).with_for_update(key_share=True)
        rows = connection.execute(query)
        known: dict[int, Row[*tuple[Any, ...]]] = {row.doc_id: row for row in rows}
        self.new = [element for element in listed.documents if element.doc_id not in known]
        self.changed: list[tuple[Row[*tuple[Any, ...]], ListedDocument]] = []
        self.returned: list[int] = []
        self.relisted: list[int] = []
        for element in listed.documents:
            row = known.get(element.doc_id)
            if row is None or row.held:
                continue
            if row.fingerprint != element.fingerprint:
                self.changed.append((row, element))
            elif row.state == DocumentState.WITHDRAWN:
                self.returned.append(row.id)
            elif _is_relisted(row, listed):
                self.relisted.append(row.id)

    @property
    def any(self) -> bool:
        return bool(self.new or self.changed or self.returned or self.relisted)


def _is_relisted(row: Row[*tuple[Any, ...]], listed: Listed) -> bool:
    return (
        listed.unmarked
        and listed.acknowledges
        and row.state == DocumentState.ACKNOWLEDGED
        and (row.acknowledged_at is None or row.acknowledged_at < listed.begun_at)
    )


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
    _reopen(connection, listed.account_id, found.returned, "document.returned", now)
    if listed.on_relist is OnRelist.REFETCH:
        _reopen(connection, listed.account_id, found.relisted, "document.relisted", now)
    else:
        for chunk in _chunks(found.relisted, MOST_IDS_PER_CALL):
            insert_batch(connection, listed.account_id, BatchState.STORED, Purpose.RELISTED, chunk, now)
            connection.execute(sa.update(document).where(document.c.id.in_(chunk)).values(state=DocumentState.STORED))
    return Absorbed(0, discovered, len(found.changed), len(found.relisted))


def _listed_values(element: ListedDocument) -> dict[str, Any]:
    return {column: getattr(element, column) for column in LISTED_COLUMNS}


def _note_change(
    connection: Connection, account_id: int, row: Row[*tuple[Any, ...]], element: ListedDocument, now: datetime
) -> None:
    """The newest list fields are the document's, the older stay in the journal; the bytes are wanted anew."""
    values: dict[str, Any] = {**_listed_values(element), "wanted_at": now}
    if row.state in REOPENED_BY_CHANGE:
        values |= afresh(now)
    connection.execute(sa.update(document).where(document.c.id == row.id).values(**values))
    detail = {"before": row.raw.decode("utf-8", "replace")}
    journal.record(connection, "document.changed", now, account_id=account_id, document_id=row.id, detail=detail)


def _reopen(connection: Connection, account_id: int, ids: Sequence[int], name: str, now: datetime) -> None:
    for document_id in ids:
        values = {**afresh(now), "wanted_at": now}
        connection.execute(sa.update(document).where(document.c.id == document_id).values(**values))
        journal.record(connection, name, now, account_id=account_id, document_id=document_id)


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


def _accounts_with_work(account_ids: Collection[int], now: datetime, jobs_in_flight: int) -> sa.Select[int]:
    due = sa.exists().where(
        document.c.account_id == account.c.id,
        document.c.state.in_(NOT_YET_HOME),
        document.c.next_attempt_at <= now,
    )
    return (
        sa.select(account.c.id)
        .where(
            account.c.id.in_(account_ids),
            sa.or_(account.c.paused_until.is_(None), account.c.paused_until <= now),
            due,
            _loading(account.c.id) < jobs_in_flight,
        )
        .order_by(account.c.id)
    )


def _loading(account_id: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    return (
        sa.select(sa.func.count())
        .select_from(batch)
        .where(batch.c.account_id == account_id, batch.c.state.in_(LOADING))
        .scalar_subquery()
    )


def _plan_account(connection: Connection, account_id: int, now: datetime, jobs_in_flight: int) -> int:
    """Fresh documents first; at most one batch of suspects and one of a single document beside them.

    Documents that are being changed at this moment are passed over. An account whose every document was refused is
    probed by a single one.
    """
    lock_account(connection, account_id)
    pause = connection.execute(sa.select(account.c.pause_reason).where(account.c.id == account_id)).scalar_one()
    probing = pause == PauseReason.PERMISSION
    rows = connection.execute(
        sa.select(batch.c.purpose).where(batch.c.account_id == account_id, batch.c.state.in_(LOADING))
    ).scalars()
    live = list(rows)
    made = 0
    for purpose in (Purpose.FRESH, Purpose.SUSPECT, Purpose.ALONE):
        while len(live) < jobs_in_flight and (purpose is Purpose.FRESH or purpose not in live):
            due = _due(account_id, purpose, now, probing=probing).with_for_update(key_share=True, skip_locked=True)
            ids = connection.execute(due).scalars().all()
            if not ids or (probing and live):
                break
            insert_batch(connection, account_id, BatchState.PLANNED, purpose, ids, now)
            connection.execute(sa.update(document).where(document.c.id.in_(ids)).values(state=DocumentState.BATCHED))
            live.append(purpose)
            made += 1
    return made


def _due(account_id: int, purpose: Purpose, now: datetime, *, probing: bool) -> sa.Select[int]:
    """The documents to travel next; a probe is one, and the newest: it tells soonest whether some may be had."""
    due = sa.select(document.c.id).where(document.c.account_id == account_id, document.c.next_attempt_at <= now)
    discovered = document.c.state == DocumentState.DISCOVERED
    if purpose is Purpose.ALONE:
        quarantined = document.c.state == DocumentState.QUARANTINED
        due = due.where(sa.or_(quarantined, discovered & document.c.alone)).limit(1)
    else:
        suspect = document.c.suspect if purpose is Purpose.SUSPECT else ~document.c.suspect
        due = due.where(discovered, ~document.c.alone, suspect).limit(1 if probing else MOST_IDS_PER_CALL)
    if probing and purpose is Purpose.FRESH:
        return due.order_by(document.c.id.desc())
    return due.order_by(document.c.next_attempt_at, document.c.id)


def _chunks(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
