"""What may be wrong with accounts, counted through indices and for all of them at once: asked for every minute."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import INCOMPLETE, account, batch, batch_document, document, event
from easytracking_sync.events import EventName
from easytracking_sync.terms import BatchState, DocumentState, PauseReason

CHANGED = (EventName.DOCUMENT_CHANGED, EventName.DOCUMENT_BYTES_CHANGED)
ROTTEN = (EventName.DOCUMENT_ROTTEN, EventName.DOCUMENT_BARE)

NOT_HOME = (DocumentState.DISCOVERED, DocumentState.BATCHED, DocumentState.QUARANTINED)


@dataclass(frozen=True, slots=True)
class AccountCondition:
    """One account, as far as something may be wrong with it. `quarantined` ones stay so while they are retried."""

    account_id: int
    label: str
    created_at: datetime
    last_success_at: datetime | None = None
    pause_reason: PauseReason | None = None
    refused_in_row: int = 0
    trouble: str = ""  # why its list did not come last
    waiting: int = 0  # not home, or home and not acknowledged
    waiting_since: datetime | None = None
    quarantined: int = 0
    unacknowledgeable: int = 0
    incomplete: int = 0
    changed: int = 0  # lately, as asked for
    rotten: int = 0


class AlarmConditions:
    """Questions whose answers are alarms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, account_ids: Collection[int], max_attempts: int, lately: datetime) -> tuple[AccountCondition, ...]:
        """The condition of these accounts, by label; changed and rotten documents count from `lately` on."""
        ids = sorted(account_ids)
        with self._database.read() as connection:
            rows = connection.execute(sa.select(account).where(account.c.id.in_(ids)).order_by(account.c.label)).all()
            not_home = _not_home(connection, ids, max_attempts)
            outbox = _outbox(connection, ids)
            stuck = _counted(
                connection, ids, (document.c.state == DocumentState.STORED), document.c.unacknowledgeable
            )
            incomplete = _counted(connection, ids, INCOMPLETE)
            events = _events(connection, lately)
        found = []
        for row in rows:
            waiting, since = not_home.get((row.id, False), (0, None))
            to_mark, marked_since = outbox.get(row.id, (0, None))
            found.append(
                AccountCondition(
                    account_id=row.id,
                    label=row.label,
                    created_at=row.created_at,
                    last_success_at=row.last_success_at,
                    pause_reason=PauseReason(row.pause_reason) if row.pause_reason else None,
                    refused_in_row=row.refused_in_row,
                    trouble=row.trouble or "",
                    waiting=waiting + to_mark,
                    waiting_since=min((at for at in (since, marked_since) if at is not None), default=None),
                    quarantined=not_home.get((row.id, True), (0, None))[0],
                    unacknowledgeable=stuck.get(row.id, 0),
                    incomplete=incomplete.get(row.id, 0),
                    changed=len(events.get((row.id, True), ())),
                    rotten=len(events.get((row.id, False), ())),
                )
            )
        return tuple(found)

    def some(self, account_id: int, what: str, lately: datetime, most: int) -> tuple[int, ...]:
        """The first docIds of what an account has: quarantined, unacknowledgeable, incomplete, changed, rotten."""
        mine = document.c.account_id == account_id
        lately_noted = sa.select(event.c.document_id).where(event.c.at >= lately)
        conditions: Mapping[str, sa.ColumnElement[bool]] = {
            "quarantined": document.c.state == DocumentState.QUARANTINED,
            "unacknowledgeable": (document.c.state == DocumentState.STORED) & document.c.unacknowledgeable,
            "incomplete": INCOMPLETE,
            "changed": document.c.id.in_(lately_noted.where(event.c.name.in_(CHANGED))),
            "rotten": document.c.id.in_(lately_noted.where(event.c.name.in_(ROTTEN))),
        }
        query = sa.select(document.c.doc_id).where(mine, conditions[what]).order_by(document.c.doc_id).limit(most)
        with self._database.read() as connection:
            return tuple(connection.execute(query).scalars())


Waiting = tuple[int, datetime | None]


def _not_home(connection: Connection, ids: Sequence[int], max_attempts: int) -> dict[tuple[int, bool], Waiting]:
    """Account, and whether they gave up → how many documents are not home, and since when the oldest is wanted."""
    gave_up = sa.or_(document.c.state == DocumentState.QUARANTINED, document.c.attempts >= max_attempts)
    rows = connection.execute(
        sa.select(
            document.c.account_id,
            gave_up.label("gave_up"),
            sa.func.count().label("documents"),
            sa.func.min(document.c.wanted_at).label("since"),
        )
        .where(document.c.account_id.in_(ids), document.c.state.in_(NOT_HOME))
        .group_by(document.c.account_id, gave_up)
    )
    return {(row.account_id, bool(row.gave_up)): (row.documents, row.since) for row in rows}


def _outbox(connection: Connection, ids: Sequence[int]) -> dict[int, Waiting]:
    """Documents stored and not acknowledged, and since when; without those whose acknowledgement is refused."""
    refused = sa.exists().where(
        batch_document.c.batch_id == batch.c.id,
        batch_document.c.carried,
        document.c.id == batch_document.c.document_id,
        document.c.unacknowledgeable,
    )
    rows = connection.execute(
        sa.select(
            batch.c.account_id,
            sa.func.sum(batch.c.size).label("documents"),
            sa.func.min(batch.c.created_at).label("at"),
        )
        .where(batch.c.account_id.in_(ids), batch.c.state == BatchState.STORED, ~refused)
        .group_by(batch.c.account_id)
    )
    return {row.account_id: (int(row.documents), row.at) for row in rows}


def _counted(connection: Connection, ids: Sequence[int], *conditions: sa.ColumnElement[bool]) -> dict[int, int]:
    rows = connection.execute(
        sa.select(document.c.account_id, sa.func.count().label("documents"))
        .where(document.c.account_id.in_(ids), *conditions)
        .group_by(document.c.account_id)
    )
    return {row.account_id: row.documents for row in rows}


def _events(connection: Connection, lately: datetime) -> dict[tuple[int, bool], set[int]]:
    """Account, and whether something changed (else it rotted) → the documents."""
    query: sa.Select[Any] = (
        sa.select(event.c.account_id, event.c.name, event.c.document_id)
        .where(event.c.name.in_((*CHANGED, *ROTTEN)), event.c.at >= lately)
        .distinct()
    )
    found: dict[tuple[int, bool], set[int]] = {}
    for row in connection.execute(query):
        found.setdefault((row.account_id, row.name in CHANGED), set()).add(row.document_id)
    return found
