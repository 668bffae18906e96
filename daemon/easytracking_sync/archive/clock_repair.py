"""What a wrong clock left behind: instants ahead that no wait explains, made right once the clock is."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import Instant, account, batch, document
from easytracking_sync.terms import LIVE_STATES, BatchState, DocumentState

LONGEST_WAIT = timedelta(hours=1, minutes=5)
"""No batch or document on its way is ever put off for longer: what a service may ask for, or the cap of retries."""

LONGEST_REST = timedelta(days=1, minutes=5)
"""Nor anything else: quarantine, refused acknowledgements and refused logins are tried daily."""


def repair_instants(database: Database, now: datetime) -> int:
    """Make due what waits for an instant that only a wrong clock can have set; how many rows. Repeating is safe.

    For when the clock was set back, and for a start: without it, what was put off by a minute while the clock was ten
    years ahead would wait for ten years.
    """
    instants = {"now": now, "soon": now + LONGEST_WAIT, "late": now + LONGEST_REST}
    with database.read() as connection:
        if not any(connection.execute(wrong, instants).first() for wrong, _ in _wrong_and_right()):
            return 0
    with database.write() as connection:
        return sum(connection.execute(right, instants).rowcount for _, right in _wrong_and_right())


@functools.cache
def _wrong_and_right() -> tuple[tuple[sa.Select[int], sa.Update], ...]:
    """What finds the rows of each kind, and what mends them."""
    now, soon, late = (sa.bindparam(name, type_=Instant) for name in ("now", "soon", "late"))
    live = batch.c.state.in_(LIVE_STATES)
    rests = document.c.state == DocumentState.QUARANTINED
    waits = document.c.state.in_((DocumentState.DISCOVERED, DocumentState.QUARANTINED))
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
