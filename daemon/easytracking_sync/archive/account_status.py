"""The status of accounts: the overview that commands print, and the conditions that the alarms are decided on.

Counted through indices and for many accounts in one query, because the running service asks every minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind
from easytracking_sync.archive.cycles import gaps_by_account, gaps_of
from easytracking_sync.archive.database import ArchivePart
from easytracking_sync.archive.tables import INCOMPLETE, account, batch, batch_document, cycle, document, event
from easytracking_sync.events import EventName
from easytracking_sync.terms import LIVE_STATES, WAITING_STATES, BatchState, DocumentState, Gap, PauseReason

UNDER_WAY = (DocumentState.DISCOVERED, DocumentState.BATCHED)
NOT_STORED = (*UNDER_WAY, DocumentState.QUARANTINED)
UNACKNOWLEDGEABLE = (document.c.state == DocumentState.STORED) & document.c.unacknowledgeable

COUNTED: Mapping[AlarmKind, sa.ColumnElement[bool]] = {
    AlarmKind.UNACKNOWLEDGEABLE: UNACKNOWLEDGEABLE,
    AlarmKind.INCOMPLETE: INCOMPLETE,
}
"""Alarms about documents that are in this condition now."""

RECENT: Mapping[AlarmKind, Collection[EventName]] = {
    AlarmKind.CHANGED: (EventName.DOCUMENT_CHANGED, EventName.DOCUMENT_BYTES_CHANGED),
    AlarmKind.ROTTEN: (EventName.DOCUMENT_ROTTEN, EventName.DOCUMENT_BARE),
}
"""Alarms about documents that had one of these events recently."""


@dataclass(frozen=True, slots=True)
class AccountOverview:
    """What the archive knows about one account."""

    account: str
    by_state: Mapping[DocumentState, int] = field(default_factory=dict)
    unacknowledgeable: int = 0
    incomplete: int = 0
    unreadable: int = 0  # list elements without an id, in the last recorded cycle
    gaps: tuple[Gap, ...] = ()  # what the service does not list
    reconcile_since: datetime | None = None  # the database was restored: it is compared with the service first
    reconcile_reason: str | None = None
    oldest_waiting_at: datetime | None = None  # since when the oldest document that is not stored is wanted
    last_success_at: datetime | None = None
    next_attempt_at: datetime | None = None
    pause_reason: PauseReason | None = None
    paused_until: datetime | None = None
    pause_message: str | None = None
    next_run_at: datetime | None = None  # when the service plans to list it again; None if no service runs
    trouble: str | None = None  # why the last listing failed
    identity: tuple[str, str] = ("", "")  # base URL and user name; a new label does not change them

    def count(self, *states: DocumentState) -> int:
        """Documents in these states."""
        return sum(self.by_state.get(state, 0) for state in states)


class AccountStatuses(ArchivePart):
    def overviews(self, labels: Collection[str] = ()) -> tuple[AccountOverview, ...]:
        """The overviews of these accounts (all if none are named), by label."""
        query = sa.select(account).order_by(account.c.label)
        with self._database.read() as connection:
            rows = connection.execute(query.where(account.c.label.in_(labels)) if labels else query).all()
            incomplete = _counted(connection, [row.id for row in rows], INCOMPLETE)
            return tuple(_overview(connection, row, incomplete.get(row.id, 0)) for row in rows)

    def conditions(
        self, account_ids: Collection[int], max_attempts: int, lately: datetime
    ) -> tuple[AccountCondition, ...]:
        """The conditions of these accounts, by label; changed and rotten documents count from `lately` on."""
        ids = sorted(account_ids)
        with self._database.read() as connection:
            rows = connection.execute(sa.select(account).where(account.c.id.in_(ids)).order_by(account.c.label)).all()
            not_stored = _not_stored(connection, ids, max_attempts)
            outbox = _outbox(connection, ids)
            counts = {kind: _counted(connection, ids, condition) for kind, condition in COUNTED.items()}
            counts |= _recent(connection, lately)
            counts[AlarmKind.GAP] = gaps_by_account(connection)
            counts[AlarmKind.QUARANTINE] = {
                account_id: documents for (account_id, gave_up), (documents, _) in not_stored.items() if gave_up
            }
        found = []
        for row in rows:
            waiting, since = not_stored.get((row.id, False), (0, None))
            to_mark, stored_since = outbox.get(row.id, (0, None))
            found.append(
                AccountCondition(
                    account_id=row.id,
                    label=row.label,
                    created_at=row.created_at,
                    last_success_at=row.last_success_at,
                    pause_reason=PauseReason(row.pause_reason) if row.pause_reason else None,
                    refused_in_row=row.refused_in_row,
                    trouble=row.trouble or "",
                    restored=row.reconcile_reason or "",
                    reconcile_since=row.reconcile_since,
                    waiting=waiting + to_mark,
                    waiting_since=_earliest(since, stored_since),
                    counts={kind: found_in[row.id] for kind, found_in in counts.items() if row.id in found_in},
                )
            )
        return tuple(found)

    def doc_ids(self, account_id: int, kind: AlarmKind, lately: datetime, most: int) -> tuple[int, ...]:
        """The first docIds of the documents that an alarm counts; none where it counts something else."""
        if kind is AlarmKind.GAP:
            return ()
        condition = COUNTED.get(kind, document.c.state == DocumentState.QUARANTINED)
        if kind in RECENT:
            recent = sa.select(event.c.document_id).where(event.c.at >= lately, event.c.name.in_(RECENT[kind]))
            condition = document.c.id.in_(recent)
        query = sa.select(document.c.doc_id).where(document.c.account_id == account_id, condition)
        with self._database.read() as connection:
            return tuple(connection.execute(query.order_by(document.c.doc_id).limit(most)).scalars())


def _overview(connection: Connection, row: Row[Any], incomplete: int) -> AccountOverview:
    mine = document.c.account_id == row.id
    by_state = connection.execute(
        sa.select(document.c.state, sa.func.count()).where(mine).group_by(document.c.state)
    ).all()
    oldest = sa.select(sa.func.min(document.c.wanted_at)).where(mine, document.c.state.in_(UNDER_WAY))
    unreadable = (
        sa.select(cycle.c.unreadable)
        .where(cycle.c.account_id == row.id)
        .order_by(cycle.c.begun_at.desc(), cycle.c.id.desc())
        .limit(1)
    )
    waiting = sa.select(sa.func.min(document.c.next_attempt_at)).where(mine, document.c.state.in_(WAITING_STATES))
    in_batches = sa.select(sa.func.min(batch.c.next_attempt_at)).where(
        batch.c.account_id == row.id, batch.c.state.in_(LIVE_STATES)
    )
    return AccountOverview(
        account=row.label,
        by_state={DocumentState(state): count for state, count in by_state},
        unacknowledgeable=connection.execute(sa.select(sa.func.count()).where(mine, UNACKNOWLEDGEABLE)).scalar_one(),
        incomplete=incomplete,
        unreadable=connection.execute(unreadable).scalar_one_or_none() or 0,
        gaps=gaps_of(connection, row.id),
        reconcile_since=row.reconcile_since,
        reconcile_reason=row.reconcile_reason,
        oldest_waiting_at=connection.execute(oldest).scalar_one(),
        last_success_at=row.last_success_at,
        next_attempt_at=_earliest(
            connection.execute(waiting).scalar_one(), connection.execute(in_batches).scalar_one()
        ),
        pause_reason=PauseReason(row.pause_reason) if row.pause_reason else None,
        paused_until=row.paused_until,
        pause_message=row.pause_message,
        next_run_at=row.next_run_at,
        trouble=row.trouble,
        identity=(row.base_url, row.username),
    )


def _earliest(*instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


Waiting = tuple[int, datetime | None]
"""How many documents wait, and since when the first of them does."""


def _not_stored(connection: Connection, ids: Sequence[int], max_attempts: int) -> dict[tuple[int, bool], Waiting]:
    """(account id, whether the attempts are used up) → the documents that are not stored."""
    gave_up = sa.or_(document.c.state == DocumentState.QUARANTINED, document.c.attempts >= max_attempts)
    rows = connection.execute(
        sa.select(
            document.c.account_id,
            gave_up.label("gave_up"),
            sa.func.count().label("documents"),
            sa.func.min(document.c.wanted_at).label("since"),
        )
        .where(document.c.account_id.in_(ids), document.c.state.in_(NOT_STORED))
        .group_by(document.c.account_id, gave_up)
    )
    return {(row.account_id, bool(row.gave_up)): (row.documents, row.since) for row in rows}


def _outbox(connection: Connection, ids: Sequence[int]) -> dict[int, Waiting]:
    """Account id → documents stored and not acknowledged, without those whose acknowledgement is refused."""
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


def _counted(connection: Connection, ids: Sequence[int], condition: sa.ColumnElement[bool]) -> dict[int, int]:
    """Account id → its documents for which the condition holds."""
    rows = connection.execute(
        sa.select(document.c.account_id, sa.func.count().label("documents"))
        .where(document.c.account_id.in_(ids), condition)
        .group_by(document.c.account_id)
    )
    return {row.account_id: row.documents for row in rows}


def _recent(connection: Connection, lately: datetime) -> dict[AlarmKind, dict[int, int]]:
    """Kind → account id → documents with an event of that kind since `lately`."""
    names = sorted({name for events in RECENT.values() for name in events})
    query: sa.Select[Any] = (
        sa.select(event.c.account_id, event.c.name, event.c.document_id)
        .where(event.c.name.in_(names), event.c.at >= lately)
        .distinct()
    )
    rows = connection.execute(query).all()
    documents = {
        kind: {(row.account_id, row.document_id) for row in rows if row.name in events}
        for kind, events in RECENT.items()
    }
    return {kind: dict(Counter(account_id for account_id, _ in found)) for kind, found in documents.items()}
