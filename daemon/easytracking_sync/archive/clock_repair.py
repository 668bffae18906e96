"""Repairs instants that a wrong clock has set too far in the future."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import Instant, account, batch, document
from easytracking_sync.terms import LIVE_STATES, WAITING_STATES, BatchState, DocumentState

LONGEST_WAIT = timedelta(hours=1, minutes=5)
"""The longest wait of a live batch or a waiting document: Retry-After and retries are capped below it."""

LONGEST_REST = timedelta(days=1, minutes=5)
"""The longest wait of anything else: quarantine, refused acknowledgements and refused logins are retried daily."""


def repair_instants(database: Database, now: datetime) -> int:
    """Make due what waits for an instant that only a wrong clock can have set; returns the number of rows.

    Call it at the start and when the clock was set back: otherwise a wait of one minute that began while the clock
    was ten years ahead would last ten years. Repeating is safe.
    """
    instants = {"now": now, "soon": now + LONGEST_WAIT, "late": now + LONGEST_REST}
    with database.read() as connection:
        if not any(connection.execute(wrong, instants).first() for wrong, _ in _repairs()):
            return 0
    with database.write() as connection:
        return sum(connection.execute(right, instants).rowcount for _, right in _repairs())


@functools.cache
def _repairs() -> tuple[tuple[sa.Select[int], sa.Update], ...]:
    """For each kind of row, the query that finds it and the statement that repairs it."""
    now, soon, late = (sa.bindparam(name, type_=Instant) for name in ("now", "soon", "late"))
    live = batch.c.state.in_(LIVE_STATES)
    rests = document.c.state == DocumentState.QUARANTINED
    waits = document.c.state.in_(WAITING_STATES)
    kinds: tuple[tuple[sa.Table, sa.ColumnElement[bool], dict[str, sa.BindParameter[datetime]]], ...] = (
        (
            batch,
            live & (batch.c.next_attempt_at > sa.case((batch.c.state == BatchState.STORED, late), else_=soon)),
            {"next_attempt_at": now},
        ),
        (batch, live & (batch.c.deadline_at > late), {"deadline_at": now}),
        (
            document,
            waits & (document.c.next_attempt_at > sa.case((rests, late), else_=soon)),
            {"next_attempt_at": now},
        ),
        (account, account.c.paused_until > late, {"paused_until": late}),
    )
    return tuple(
        (sa.select(table.c.id).where(where).limit(1), sa.update(table).where(where).values(**right))
        for table, where, right in kinds
    )
