"""The queries that find a batch to claim. Built once, because building them costs more than running them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from easytracking_sync.archive.database import ACCOUNT_IDS
from easytracking_sync.archive.leases import NOW, lease_clock
from easytracking_sync.archive.tables import Instant, account, batch, document
from easytracking_sync.terms import LIVE_STATES, WAITING_STATES, BatchState, PauseReason

PERFORMING: sa.BindParameter[int] = sa.bindparam("performing", expanding=True)
OWNER = sa.bindparam("owner", type_=sa.Text)
JOBS_IN_FLIGHT = sa.bindparam("jobs_in_flight", type_=sa.Integer)
LATEST_END = sa.bindparam("latest_end", type_=Instant)
SERVERS_LATEST_END = sa.type_coerce(
    sa.func.clock_timestamp() + sa.bindparam("longest_lease", type_=sa.Interval), Instant
)


@dataclass(frozen=True, slots=True)
class ClaimCriteria:
    """Which batches a worker may claim."""

    account_ids: Collection[int]
    states: tuple[BatchState, ...]
    jobs_in_flight: int
    may_reserve: bool = True  # False while the disk is too full
    performing: Collection[int] = ()  # batches this worker has in hand; its other leases are left from a lost commit

    def parameters(self, owner: str, now: datetime, longest_lease: timedelta) -> dict[str, Any]:
        return {
            "account_ids": list(self.account_ids),
            "performing": list(self.performing),
            "jobs_in_flight": self.jobs_in_flight,
            "owner": owner,
            "now": now,
            **lease_parameters(now, longest_lease),
        }


def lease_parameters(now: datetime, longest_lease: timedelta) -> dict[str, Any]:
    """The latest plausible end of a lease; a wrong clock has set a later one. Each database uses one of the two."""
    return {"longest_lease": 2 * longest_lease, "latest_end": now + 2 * longest_lease}


@functools.cache
def claimable(states: tuple[BatchState, ...], *, is_sqlite: bool, may_reserve: bool, taking: bool) -> sa.Select[Any]:
    """The unleased batch in one of these states that has been due longest; `taking` locks its row."""
    paused = sa.and_(account.c.paused_until.is_not(None), account.c.paused_until > NOW)
    refused_login = paused & (account.c.pause_reason == PauseReason.CREDENTIALS)
    ready: Mapping[BatchState, sa.ColumnElement[bool]] = {
        BatchState.PLANNED: ~paused & (others_in_flight(is_sqlite=is_sqlite) < JOBS_IN_FLIGHT),
        BatchState.RESERVED: ~refused_login,
        BatchState.FETCHED: sa.true(),  # does not call the service
        BatchState.STORED: ~refused_login,
    }
    due = [(batch.c.state == state) & ready[state] for state in states if may_reserve or state != BatchState.PLANNED]
    query = (
        sa.select(batch)
        .join(account, account.c.id == batch.c.account_id)
        .where(
            batch.c.account_id.in_(ACCOUNT_IDS),
            batch.c.next_attempt_at <= NOW,
            _is_free(is_sqlite=is_sqlite),
            sa.or_(sa.false(), *due),
        )
        .order_by(batch.c.next_attempt_at, batch.c.id)
        .limit(1)
    )
    return query.with_for_update(skip_locked=True, key_share=True, of=batch) if taking else query


@functools.cache
def next_due(*, is_sqlite: bool) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """When the next batch, and the next document, of these accounts is due."""
    batches = sa.select(sa.func.min(batch.c.next_attempt_at)).where(
        batch.c.account_id.in_(ACCOUNT_IDS), batch.c.state.in_(LIVE_STATES), _is_free(is_sqlite=is_sqlite)
    )
    documents = sa.select(sa.func.min(document.c.next_attempt_at)).where(
        document.c.account_id.in_(ACCOUNT_IDS),
        document.c.state.in_(WAITING_STATES),
    )
    return batches, documents


def others_in_flight(*, is_sqlite: bool) -> sa.ScalarSelect[int]:
    """The account's other jobs in flight. The batch itself is excluded: it may be reserved already, uncommitted."""
    other = batch.alias("other")
    being_reserved = (other.c.state == BatchState.PLANNED) & (other.c.lease_until > lease_clock(is_sqlite=is_sqlite))
    return (
        sa.select(sa.func.count())
        .select_from(other)
        .where(
            other.c.account_id == batch.c.account_id,
            other.c.id != batch.c.id,
            sa.or_(other.c.state.in_((BatchState.RESERVED, BatchState.FETCHED)), being_reserved),
        )
        .scalar_subquery()
    )


def _is_free(*, is_sqlite: bool) -> sa.ColumnElement[bool]:
    """Not leased, or leased to this worker but not in its hands (kept for it, or left from a lost commit)."""
    return sa.or_(
        batch.c.lease_until.is_(None),
        batch.c.lease_until <= lease_clock(is_sqlite=is_sqlite),
        batch.c.lease_until > (LATEST_END if is_sqlite else SERVERS_LATEST_END),  # set by a wrong clock
        (batch.c.lease_owner == OWNER) & batch.c.id.not_in(PERFORMING),
    )
