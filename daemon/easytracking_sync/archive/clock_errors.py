"""What a wrong clock left behind: instants ahead that no wait explains, made right once the clock is."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import account, batch, document
from easytracking_sync.terms import LIVE_STATES, BatchState, DocumentState

LONGEST_WAIT = timedelta(hours=1, minutes=5)
"""No batch or document on its way is ever put off for longer: what a service may ask for, or the cap of retries."""

LONGEST_REST = timedelta(days=1, minutes=5)
"""Nor anything else: quarantine, refused acknowledgements and refused logins are tried daily."""


def set_right(database: Database, now: datetime) -> int:
    """Make due what waits for an instant that only a wrong clock can have set; how many rows. Repeating is safe.

    For when the clock was set back, and for a start: without it, what was put off by a minute while the clock was ten
    years ahead would wait for ten years.
    """
    soon, late = now + LONGEST_WAIT, now + LONGEST_REST
    live = batch.c.state.in_(LIVE_STATES)
    rests = document.c.state == DocumentState.QUARANTINED
    waits = document.c.state.in_((DocumentState.DISCOVERED, DocumentState.QUARANTINED))
    statements = (
        sa.update(batch)
        .where(live, batch.c.next_attempt_at > sa.case((batch.c.state == BatchState.STORED, late), else_=soon))
        .values(next_attempt_at=now),
        sa.update(batch).where(live, batch.c.deadline_at > late).values(deadline_at=now),
        sa.update(document)
        .where(waits, document.c.next_attempt_at > sa.case((rests, late), else_=soon))
        .values(next_attempt_at=now),
        sa.update(account).where(account.c.paused_until > late).values(paused_until=late),
    )
    changed = 0
    with database.read() as connection:
        queries = [sa.select(sa.literal(1)).where(statement.whereclause).limit(1) for statement in statements]
        if not any(connection.execute(query).first() for query in queries):
            return 0
    with database.write() as connection:
        for statement in statements:
            changed += connection.execute(statement).rowcount
    return changed
