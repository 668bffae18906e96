"""Which documents travel next, and in whose company. Statements are built once: that costs more than running them."""

from __future__ import annotations

import functools
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.accounts import lock_account
from easytracking_sync.archive.batch_rows import insert_batch
from easytracking_sync.archive.leases import NOW
from easytracking_sync.archive.tables import account, batch, document
from easytracking_sync.terms import MOST_IDS_PER_CALL, BatchState, DocumentState, PauseReason, Purpose

NOT_YET_HOME = (DocumentState.DISCOVERED, DocumentState.QUARANTINED)
LOADING = (BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED)

ACCOUNT_ID = sa.bindparam("account_id", type_=sa.Integer)

_PAUSE = sa.select(account.c.pause_reason).where(account.c.id == ACCOUNT_ID)
_LIVE = sa.select(batch.c.purpose).where(batch.c.account_id == ACCOUNT_ID, batch.c.state.in_(LOADING))
_DEPART = (
    sa.update(document)
    .where(document.c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(state=DocumentState.BATCHED)
)


@functools.cache
def accounts_with_work() -> sa.Select[int]:
    """Those of `account_ids` that are not paused, have documents due and fewer than `jobs_in_flight` loading."""
    due = sa.exists().where(
        document.c.account_id == account.c.id,
        document.c.state.in_(NOT_YET_HOME),
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
            account.c.id.in_(sa.bindparam("account_ids", expanding=True)),
            sa.or_(account.c.paused_until.is_(None), account.c.paused_until <= NOW),
            due,
            loading < sa.bindparam("jobs_in_flight", type_=sa.Integer),
        )
        .order_by(account.c.id)
    )


def plan_account(connection: Connection, account_id: int, now: datetime, jobs_in_flight: int) -> int:
    """Fresh documents first; at most one batch of suspects and one of a single document beside them.

    Documents that are being changed at this moment are passed over. An account whose every document was refused is
    probed by a single one.
    """
    lock_account(connection, account_id)
    pause = connection.execute(_PAUSE, {"account_id": account_id}).scalar_one()
    probing = pause == PauseReason.PERMISSION
    live = list(connection.execute(_LIVE, {"account_id": account_id}).scalars())
    made = 0
    for purpose in (Purpose.FRESH, Purpose.SUSPECT, Purpose.ALONE):
        while len(live) < jobs_in_flight and (purpose is Purpose.FRESH or purpose not in live):
            due = _due(purpose, probing=probing)
            ids = connection.execute(due, {"account_id": account_id, "now": now}).scalars().all()
            if not ids or (probing and live):
                break
            insert_batch(connection, account_id, BatchState.PLANNED, purpose, ids, now)
            connection.execute(_DEPART, {"ids": ids})
            live.append(purpose)
            made += 1
    return made


@functools.cache
def _due(purpose: Purpose, *, probing: bool) -> sa.Select[int]:
    """The documents to travel next; a probe is one, and the newest: it tells soonest whether some may be had."""
    due = sa.select(document.c.id).where(document.c.account_id == ACCOUNT_ID, document.c.next_attempt_at <= NOW)
    discovered = document.c.state == DocumentState.DISCOVERED
    if purpose is Purpose.ALONE:
        quarantined = document.c.state == DocumentState.QUARANTINED
        due = due.where(sa.or_(quarantined, discovered & document.c.alone)).limit(1)
    else:
        suspect = document.c.suspect if purpose is Purpose.SUSPECT else ~document.c.suspect
        due = due.where(discovered, ~document.c.alone, suspect).limit(1 if probing else MOST_IDS_PER_CALL)
    newest_first = probing and purpose is Purpose.FRESH
    order = (document.c.id.desc(),) if newest_first else (document.c.next_attempt_at, document.c.id)
    return due.order_by(*order).with_for_update(key_share=True, skip_locked=True)
