"""Batches on their way: claimed by one worker, moved by one transaction, fenced by their epoch."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive import journal
from easytracking_sync.archive.accounts import forget_refusals, lock_account
from easytracking_sync.archive.batch_rows import BATCH_COLUMNS, as_batch, claimed
from easytracking_sync.archive.claiming import OWNER, Wanted, claimable, lease_parameters, next_due, others_in_flight
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.leases import lease_end, lease_terms
from easytracking_sync.archive.settling import Commit, lock_documents, settle
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.archive.tables import batch, event
from easytracking_sync.errors import StaleLease
from easytracking_sync.terms import LIVE_STATES, Batch, BatchState, Claim


class Batches:
    """The batch table. `owner` names this worker in the rows it claims.

    On SQLite one instance works alone, and a lease runs by its clock. On PostgreSQL several share the work: a lease
    runs by the server's clock, and whoever works longer than `renew_seconds` calls `renew` that often. A claim that
    was not renewed for `sure_seconds` may be lost already; whatever its holder commits is fenced by the epoch.
    """

    def __init__(self, database: Database, owner: str, lease_seconds: float, *, alone: bool) -> None:
        self._database = database
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._longest_lease = timedelta(seconds=lease_seconds)
        self._alone = alone

    @property
    def renew_seconds(self) -> float | None:
        """How often leases are to be renewed; None where they need not be."""
        return None if self._alone else self._lease_seconds / 3

    @property
    def sure_seconds(self) -> float:
        """How long after a claim or a renewal was begun nobody else can have taken the batch."""
        return math.inf if self._alone else self._lease_seconds * 2 / 3

    def claim(self, wanted: Wanted, now: datetime) -> Claim | None:
        """Take one due batch that nobody holds, and raise its epoch; None where there is none."""
        looking, taking = (
            claimable(
                wanted.states, is_sqlite=self._database.is_sqlite, may_reserve=wanted.may_reserve, taking=taking
            )
            for taking in (False, True)
        )
        parameters = wanted.parameters(self._owner, now, self._longest_lease)
        with self._database.read() as connection:
            if connection.execute(looking, parameters).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(taking, parameters).first()
            if row is None or not self._has_room(connection, row, wanted, now):
                return None
            mine = connection.execute(
                _taking(is_sqlite=self._database.is_sqlite),
                {"batch_id": row.id, "seen_epoch": row.epoch, **self._lease(now)},
            ).one()
            return claimed(connection, mine)

    def renew(self, now: datetime) -> Mapping[int, int]:
        """Hold all that this worker holds for a lease's length from now; those batches with their epochs.

        One that a commit or another worker is at in this moment is passed over.
        """
        mine = (
            sa.select(batch.c.id)
            .where(batch.c.state.in_(LIVE_STATES), batch.c.lease_owner == self._owner)
            .with_for_update(skip_locked=True, key_share=True)
        )
        with self._database.write() as connection:
            rows = connection.execute(
                sa.update(batch)
                .where(batch.c.id.in_(mine))
                .values(_mine(is_sqlite=self._database.is_sqlite))
                .returning(batch.c.id, batch.c.epoch),
                self._lease(now),
            ).all()
        return {row.id: row.epoch for row in rows}

    def next_due(
        self, account_ids: Collection[int], now: datetime, performing: Collection[int] = ()
    ) -> datetime | None:
        """When the next batch or document of these accounts falls due; None where nothing waits."""
        parameters = {
            "account_ids": list(account_ids),
            "performing": list(performing),
            "owner": self._owner,
            "now": now,
            **lease_parameters(now, self._longest_lease),
        }
        with self._database.read() as connection:
            found = [
                connection.execute(query, parameters).scalar_one()
                for query in next_due(is_sqlite=self._database.is_sqlite)
            ]
        return min((moment for moment in found if moment is not None), default=None)

    def release(self, claim: Claim) -> None:
        """Give a claimed batch back as it was; nothing happens if someone else holds it by now."""
        self._give_back(claim, _NOBODYS)

    def postpone(self, claim: Claim, until: datetime) -> None:
        """Give a claimed batch back to be claimed no sooner than `until`; as `release` otherwise."""
        self._give_back(claim, {**_NOBODYS, "next_attempt_at": until})

    def release_all(self) -> None:
        """Void the leases of dead workers: all, for the one instance that holds a SQLite archive alone.

        On a server nothing is done: others may be alive, and what the dead held runs out by itself.
        """
        if self._alone:
            self._void(batch.c.lease_owner.is_not(None))

    def let_go(self) -> None:
        """Void this worker's own leases, as it ends: others need not wait for them to run out."""
        self._void(batch.c.lease_owner == self._owner)

    def spooled(self) -> set[str]:
        """The parcels that live batches wait for; a reserved batch may have one that nobody noted yet."""
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(batch.c.id, batch.c.job_id, batch.c.parcel).where(
                    batch.c.state.in_((BatchState.RESERVED, BatchState.FETCHED))
                )
            ).all()
        return {row.parcel or parcel_name(row.id, row.job_id) for row in rows}

    def commit(self, commit: Commit, now: datetime) -> None:
        """Move the batch, its documents, halves and journal at once. StaleLease if the batch is not ours any more.

        An unknown outcome (the commit's answer lost) is found by reading again: `was_committed`.
        """
        with self._database.write() as connection:
            self._move(connection, commit, now)
            if commit.refusals_to_pause is not None:
                lock_account(connection, commit.after.account_id)
            if commit.accepted:
                forget_refusals(connection, commit.after.account_id)
            lock_documents(connection, commit.claim)
            settle(connection, commit, now)
            if commit.after.state != commit.claim.batch.state or commit.unacknowledgeable:
                detail: journal.Detail = {
                    "documents": commit.after.size,
                    "reason": commit.reason,
                    "epoch": commit.after.epoch,
                }
                journal.record(
                    connection,
                    commit.name,
                    now,
                    account_id=commit.after.account_id,
                    batch_id=commit.after.id,
                    detail=detail,
                )

    def was_committed(self, commit: Commit) -> bool:
        """Whether this very move is in the database, even where others have moved the batch on since.

        A batch moves once an epoch at most: the journal says so for ever, the row as long as it stays as it was left.
        """
        after = commit.after
        told = sa.select(event.c.detail).where(event.c.batch_id == after.id, event.c.name == commit.name)
        with self._database.read() as connection:
            details = connection.execute(told).scalars().all()
            row = connection.execute(sa.select(batch).where(batch.c.id == after.id)).one()
        if any(json.loads(detail).get("epoch") == after.epoch for detail in details):
            return True
        return as_batch(row) == after and (row.lease_owner is None or self._keeps(after))

    def _lease(self, now: datetime) -> dict[str, Any]:
        return {"owner": self._owner, **lease_terms(now, self._lease_seconds)}

    def _keeps(self, after: Batch) -> bool:
        """Where several hosts share the work, a parcel in this one's spool is for this one to store."""
        return after.state is BatchState.FETCHED and not self._alone

    def _give_back(self, claim: Claim, values: Mapping[str, Any]) -> None:
        seen = {"batch_id": claim.batch.id, "seen_epoch": claim.batch.epoch}
        with self._database.write() as connection:
            connection.execute(sa.update(batch).where(_THIS).values(values), seen)

    def _void(self, whose: sa.ColumnElement[bool]) -> None:
        with self._database.write() as connection:
            connection.execute(sa.update(batch).where(batch.c.state.in_(LIVE_STATES), whose).values(_NOBODYS))

    def _has_room(self, connection: Connection, row: Row[*tuple[Any, ...]], wanted: Wanted, now: datetime) -> bool:
        """Two instances that claim for one account at once count one after the other (BOUNDED)."""
        if self._database.is_sqlite or row.state != BatchState.PLANNED:
            return True
        lock_account(connection, row.account_id)
        others = sa.select(others_in_flight(is_sqlite=self._database.is_sqlite)).where(batch.c.id == row.id)
        return bool(connection.execute(others, {"now": now}).scalar_one() < wanted.jobs_in_flight)

    def _move(self, connection: Connection, commit: Commit, now: datetime) -> None:
        before, after = commit.claim.batch, commit.after
        values = {column: getattr(after, column) for column in BATCH_COLUMNS if column not in ("id", "epoch")}
        seen = {"batch_id": before.id, "seen_epoch": before.epoch, "seen_state": before.state}
        moved = connection.execute(
            _moving(is_sqlite=self._database.is_sqlite, keeping=self._keeps(after)),
            {**values, **seen, **self._lease(now), "updated_at": now},
        )
        if moved.rowcount != 1:
            raise StaleLease(f"batch {before.id}: another worker holds it by now; this result is dropped")


_THIS = sa.and_(batch.c.id == sa.bindparam("batch_id"), batch.c.epoch == sa.bindparam("seen_epoch"))
_NOBODYS: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}


def _mine(*, is_sqlite: bool) -> dict[str, Any]:
    return {"lease_owner": OWNER, "lease_until": lease_end(is_sqlite=is_sqlite)}


@functools.cache
def _taking(*, is_sqlite: bool) -> sa.sql.dml.ReturningUpdate[Any]:
    return (
        sa.update(batch).where(_THIS).values(epoch=batch.c.epoch + 1, **_mine(is_sqlite=is_sqlite)).returning(batch)
    )


@functools.cache
def _moving(*, is_sqlite: bool, keeping: bool) -> sa.Update:
    """Of a batch that this worker holds; executed with the columns that it sets."""
    still = batch.c.state == sa.bindparam("seen_state"), batch.c.lease_owner == OWNER
    return sa.update(batch).where(_THIS, *still).values(_mine(is_sqlite=is_sqlite) if keeping else _NOBODYS)
