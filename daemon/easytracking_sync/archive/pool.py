"""Documents that are not on their way yet: what a listing adds, changes or no longer has, and what is due."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from easytracking_sync.archive import journal
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.intake import Absorbed, Listed, absorb, batched_ids, chunked
from easytracking_sync.archive.planning import NOT_YET_HOME, accounts_with_work, plan_account
from easytracking_sync.archive.tables import document, file
from easytracking_sync.terms import Claim, DocumentState, Window, WindowKind

ACCOUNTS_AT_ONCE = 32
"""Accounts whose batches are planned in one transaction."""


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
        """What this listing means; see `intake.absorb`. Repeating is safe."""
        return absorb(self._database, listed, now)

    def plan(self, account_ids: Collection[int], now: datetime, jobs_in_flight: int) -> int:
        """Make batches of what is due, for accounts with fewer than `jobs_in_flight` loading; how many were made."""
        made = 0
        with self._database.read() as connection:
            parameters = {"account_ids": list(account_ids), "now": now, "jobs_in_flight": jobs_in_flight}
            ready = connection.execute(accounts_with_work(), parameters).scalars().all()
        for some in chunked(ready, ACCOUNTS_AT_ONCE):
            with self._database.write() as connection:
                made += sum(plan_account(connection, account_id, now, jobs_in_flight) for account_id in some)
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
        with self._database.read() as connection:
            return {
                account_id: int(count)
                for account_id, count in connection.execute(_waiting(), {"account_ids": list(account_ids)}).all()
            }

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


@functools.cache
def _waiting() -> sa.Select[int, int]:
    waits = sa.or_(
        document.c.state.in_((DocumentState.DISCOVERED, DocumentState.BATCHED)),
        (document.c.state == DocumentState.STORED) & ~document.c.unacknowledgeable,
    )
    return (
        sa.select(document.c.account_id, sa.func.count())
        .where(document.c.account_id.in_(sa.bindparam("account_ids", expanding=True)), waits)
        .group_by(document.c.account_id)
    )
