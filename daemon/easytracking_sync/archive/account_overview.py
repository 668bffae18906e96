"""Where an account stands, counted through indices alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive.document_entries import AccountOverview
from easytracking_sync.archive.tables import INCOMPLETE, batch, cycle, document
from easytracking_sync.terms import LIVE_STATES, DocumentState, PauseReason

NOT_HOME = (DocumentState.DISCOVERED, DocumentState.BATCHED)
TO_TRAVEL = (DocumentState.DISCOVERED, DocumentState.QUARANTINED)


def account_overview(connection: Connection, account: Row[Any], incomplete: int) -> AccountOverview:
    """The standing of one row of the account table."""
    mine = document.c.account_id == account.id
    by_state = connection.execute(
        sa.select(document.c.state, sa.func.count()).where(mine).group_by(document.c.state)
    ).all()
    stuck = (document.c.state == DocumentState.STORED) & document.c.unacknowledgeable
    oldest = sa.select(sa.func.min(document.c.wanted_at)).where(mine, document.c.state.in_(NOT_HOME))
    unreadable = (
        sa.select(cycle.c.unreadable)
        .where(cycle.c.account_id == account.id)
        .order_by(cycle.c.begun_at.desc(), cycle.c.id.desc())
        .limit(1)
    )
    return AccountOverview(
        account=account.label,
        by_state={DocumentState(state): count for state, count in by_state},
        unacknowledgeable=connection.execute(sa.select(sa.func.count()).where(mine, stuck)).scalar_one(),
        incomplete=incomplete,
        unreadable=connection.execute(unreadable).scalar_one_or_none() or 0,
        oldest_waiting_at=connection.execute(oldest).scalar_one(),
        last_success_at=account.last_success_at,
        next_attempt_at=_next_attempt(connection, account.id),
        pause_reason=PauseReason(account.pause_reason) if account.pause_reason else None,
        paused_until=account.paused_until,
        pause_message=account.pause_message,
        next_run_at=account.next_run_at,
        trouble=account.trouble,
        identity=(account.base_url, account.username),
    )


def incomplete_by_account(connection: Connection) -> dict[int, int]:
    """How many documents of each account lack a file that was asked for in vain."""
    query = (
        sa.select(document.c.account_id, sa.func.count().label("documents"))
        .where(INCOMPLETE)
        .group_by(document.c.account_id)
    )
    return {row.account_id: row.documents for row in connection.execute(query)}


def _next_attempt(connection: Connection, account_id: int) -> datetime | None:
    waiting = sa.select(sa.func.min(document.c.next_attempt_at)).where(
        document.c.account_id == account_id, document.c.state.in_(TO_TRAVEL)
    )
    under_way = sa.select(sa.func.min(batch.c.next_attempt_at)).where(
        batch.c.account_id == account_id, batch.c.state.in_(LIVE_STATES)
    )
    found = [connection.execute(query).scalar_one() for query in (waiting, under_way)]
    return min((moment for moment in found if moment is not None), default=None)
