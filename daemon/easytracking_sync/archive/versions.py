"""Which version of a document is meant: an order that holds whatever the clock does.

`document.wanted_at` names the version that is wanted, `batch.reserved_at` the newest that was known when its
documents were asked for, `file.seen_at` the newest that its bytes may be. They are instants, for people; what is
compared is their order, which a clock that was set back must not turn round: each is made later than the ones before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.tables import batch, batch_document, document, file
from easytracking_sync.terms import LIVE_STATES

TICK = timedelta(microseconds=1)


def newest_wanted(connection: Connection, document_ids: Sequence[int]) -> datetime | None:
    """The newest version that is wanted of any of these documents."""
    query = sa.select(sa.func.max(document.c.wanted_at)).where(document.c.id.in_(document_ids))
    newest: datetime | None = connection.execute(query).scalar_one()
    return newest


def seen_at(connection: Connection, document_ids: Sequence[int], now: datetime) -> dict[int, datetime]:
    """Of each document what its bytes that came now are noted as: the version that is wanted, at least."""
    rows = connection.execute(
        sa.select(document.c.id, document.c.wanted_at).where(document.c.id.in_(document_ids))
    ).all()
    return {row.id: max(now, row.wanted_at) for row in rows}


def next_version(connection: Connection, document_id: int, now: datetime) -> datetime:
    """An instant, now where the clock allows it, later than all that was noted of it and its company."""
    mate = document.alias("mate")
    mates = batch_document.alias("mates")
    mine = (batch_document.c.document_id == document_id) & batch_document.c.carried
    live = sa.select(batch.c.id).join(batch_document).where(mine, batch.c.state.in_(LIVE_STATES)).scalar_subquery()
    queries = (
        sa.select(sa.func.max(file.c.seen_at)).where(file.c.document_id == document_id),
        sa.select(sa.func.max(document.c.wanted_at)).where(document.c.id == document_id),
        sa.select(sa.func.max(batch.c.reserved_at)).where(batch.c.id == live),
        sa.select(sa.func.max(mate.c.wanted_at))
        .join(mates, mates.c.document_id == mate.c.id)
        .where(mates.c.batch_id == live, mates.c.carried),
    )
    noted: list[datetime | None] = [connection.execute(query).scalar_one() for query in queries]
    return max(now, *(moment + TICK for moment in noted if moment is not None))
