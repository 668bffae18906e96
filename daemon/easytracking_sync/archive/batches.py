"""The batch table: claiming, leases, and the moves of batches, fenced by their epoch."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive.accounts import lock as lock_account
from easytracking_sync.archive.claim_queries import (
    OWNER,
    ClaimCriteria,
    claimable,
    lease_parameters,
    next_due,
    others_in_flight,
)
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.documents import COLUMNS, as_document
from easytracking_sync.archive.leases import lease_clock, lease_end, lease_terms
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.archive.tables import batch, batch_document, document
from easytracking_sync.errors import Outdated, StaleLease
from easytracking_sync.terms import LIVE_STATES, Batch, BatchState, CarriedDocument, Claim, Purpose
from easytracking_sync.transition import BatchMove, NewBatch

FIELDS = tuple(field.name for field in fields(Batch))
_SET_BY_MOVES = tuple(name for name in FIELDS if name not in {"id", "account_id", "root_id"})
_OWN_ID = sa.bindparam("own_id", type_=sa.Integer)
_INSERT = sa.insert(batch).returning(batch.c.id)
_ROOT = sa.update(batch).where(batch.c.id == _OWN_ID).values(root_id=batch.c.id)
_CARRIED = (
    sa.select(*COLUMNS, batch_document.c.version.label("carried_version"))
    .join(batch_document, batch_document.c.document_id == document.c.id)
    .where(batch_document.c.batch_id == _OWN_ID, batch_document.c.carried)
    .order_by(document.c.id)
)
_SET_VERSION = (
    sa.update(batch_document)
    .where(
        batch_document.c.batch_id == _OWN_ID, batch_document.c.document_id == sa.bindparam("known", type_=sa.Integer)
    )
    .values(version=sa.bindparam("version_now", type_=sa.Integer))
)


class Batches:
    """The batch table. `owner` identifies this worker in the rows it claims.

    On SQLite, one instance runs and leases follow its clock. On PostgreSQL, instances share the work and leases
    follow the server's clock: call `renew` every `renew_seconds`. A claim not renewed for `sure_seconds` may be
    lost; the epoch fences whatever its holder still commits.
    """

    def __init__(self, database: Database, owner: str, lease_seconds: float, *, alone: bool) -> None:
        self._database = database
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._longest_lease = timedelta(seconds=lease_seconds)
        self._alone = alone

    @property
    def renew_seconds(self) -> float | None:
        """How often to renew leases; None if not necessary."""
        return None if self._alone else self._lease_seconds / 3

    @property
    def sure_seconds(self) -> float:
        """How long after the start of a claim or a renewal no other worker can have taken the batch."""
        return math.inf if self._alone else self._lease_seconds * 2 / 3

    def claim(self, wanted: ClaimCriteria, now: datetime) -> Claim | None:
        """Claim one due batch that nobody holds, and raise its epoch; None if there is none."""
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
            if row is None or not self._may_reserve(connection, row, wanted, now):
                return None
            mine = connection.execute(
                _taking(is_sqlite=self._database.is_sqlite),
                {"batch_id": row.id, "seen_epoch": row.epoch, **self._lease(now)},
            ).one()
            return _claimed(connection, mine)

    def renew(self, now: datetime) -> Mapping[int, int]:
        """Renew all leases of this worker; returns its batches with their epochs.

        Skips a batch whose row is locked by a commit or by another worker.
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
                .values(_leased(is_sqlite=self._database.is_sqlite))
                .returning(batch.c.id, batch.c.epoch),
                self._lease(now),
            ).all()
        return {row.id: row.epoch for row in rows}

    def next_due(
        self, account_ids: Collection[int], now: datetime, performing: Collection[int] = ()
    ) -> datetime | None:
        """When the next batch or document of these accounts is due; None if nothing waits."""
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
        """Release a claimed batch unchanged; does nothing if another worker holds it by now."""
        self._give_back(claim, _UNLEASED)

    def postpone(self, claim: Claim, until: datetime) -> None:
        """Release a claimed batch, to be claimed no sooner than `until`; otherwise like `release`."""
        self._give_back(claim, {**_UNLEASED, "next_attempt_at": until})

    def try_now(self, account_ids: Collection[int], now: datetime) -> None:
        """Make due what nobody holds of these accounts' batches, except those whose document is unacknowledgeable."""
        carried = sa.select(batch_document.c.batch_id).join(document).where(document.c.unacknowledgeable)
        waits = (
            batch.c.account_id.in_(list(account_ids)),
            batch.c.state.in_(LIVE_STATES),
            batch.c.next_attempt_at > now,
            batch.c.lease_owner.is_(None),
            batch.c.id.not_in(carried.where(batch_document.c.batch_id == batch.c.id)),
        )
        with self._database.write() as connection:
            connection.execute(sa.update(batch).where(*waits).values(next_attempt_at=now))

    def release_all(self) -> None:
        """Clear the leases of dead workers: all of them on SQLite, where no other instance runs.

        Does nothing on PostgreSQL: other instances may be running, and leases of dead ones expire.
        """
        if self._alone:
            self._clear_leases(batch.c.lease_owner.is_not(None))

    def release_leases(self) -> None:
        """Clear this worker's leases when it ends, so that others need not wait until they expire."""
        self._clear_leases(batch.c.lease_owner == self._owner)

    def spooled(self) -> set[str]:
        """The parcels that live batches wait for; that of a reserved batch may be in the spool but not committed."""
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(batch.c.id, batch.c.job_id, batch.c.parcel).where(
                    batch.c.state.in_((BatchState.RESERVED, BatchState.FETCHED))
                )
            ).all()
        return {row.parcel or parcel_name(row.id, row.job_id) for row in rows}

    def reload(self, claim: Claim) -> Claim:
        """The same claim with its documents as they are now; the reserved versions stay."""
        with self._database.read() as connection:
            documents = {one.document_id: one.document for one in _carried(connection, claim.batch.id)}
        carried = (replace(one, document=documents.get(one.document_id, one.document)) for one in claim.documents)
        return replace(claim, documents=tuple(carried))

    def carrying(self, document_id: int) -> Claim | None:
        """The live batch that carries this document (row id), whoever holds it; None if there is none."""
        mine = batch_document.c.document_id == document_id, batch_document.c.carried
        query = sa.select(batch).join(batch_document).where(*mine, batch.c.state.in_(LIVE_STATES))
        with self._database.read() as connection:
            row = connection.execute(query.order_by(batch.c.id.desc())).first()
            return None if row is None else Claim(as_batch(row), _carried(connection, row.id))

    def to_recall(self, account_id: int) -> tuple[Claim, ...]:
        """An account's planned batches that nobody holds."""
        planned = batch.c.account_id == account_id, batch.c.state == BatchState.PLANNED, batch.c.lease_owner.is_(None)
        with self._database.read() as connection:
            rows = connection.execute(sa.select(batch).where(*planned).order_by(batch.c.id)).all()
            return tuple(Claim(as_batch(row), _carried(connection, row.id)) for row in rows)

    def sibling_was_accepted(self, of: Batch) -> bool:
        """Whether the service ever accepted a part of the batch from which this one was split."""
        accepted = batch.c.root_id == of.root_id, batch.c.reserved_at.is_not(None)
        with self._database.read() as connection:
            return connection.execute(sa.select(batch.c.id).where(*accepted).limit(1)).first() is not None

    def move(self, connection: Connection, move: BatchMove, now: datetime) -> None:
        """Move a batch in the caller's transaction.

        StaleLease if another worker holds a batch that we had claimed; Outdated if an unclaimed one is held or moved.
        """
        before, after = move.before, move.after
        statement = _moving(
            is_sqlite=self._database.is_sqlite, claimed=move.claimed, keeping=move.claimed and self._keeps(after)
        )
        values = {name: getattr(after, name) for name in _SET_BY_MOVES}
        seen = {"batch_id": before.id, "seen_epoch": before.epoch, "seen_state": before.state}
        moved = connection.execute(statement, {**values, **seen, **self._lease(now), "updated_at": now})
        if moved.rowcount == 1:
            return
        if move.claimed:
            raise StaleLease(f"batch {before.id}: another worker has taken it; this result is discarded")
        raise Outdated(f"batch {before.id} is held by a worker, or has changed since it was read")

    def is_as_left(self, after: Batch) -> bool:
        """Whether the row is exactly as a move left it and nobody has claimed it since."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(batch).where(batch.c.id == after.id)).one()
        return as_batch(row) == after and (row.lease_owner is None or self._keeps(after))

    def _lease(self, now: datetime) -> dict[str, Any]:
        return {"owner": self._owner, **lease_terms(now, self._lease_seconds)}

    def _keeps(self, after: Batch) -> bool:
        """Whether to keep the lease: if hosts share the work, only this one has the parcel in its spool."""
        return after.state is BatchState.FETCHED and not self._alone

    def _give_back(self, claim: Claim, values: Mapping[str, Any]) -> None:
        seen = {"batch_id": claim.batch.id, "seen_epoch": claim.batch.epoch}
        with self._database.write() as connection:
            connection.execute(sa.update(batch).where(_THIS).values(values), seen)

    def _clear_leases(self, whose: sa.ColumnElement[bool]) -> None:
        with self._database.write() as connection:
            connection.execute(sa.update(batch).where(batch.c.state.in_(LIVE_STATES), whose).values(_UNLEASED))

    def _may_reserve(
        self, connection: Connection, row: Row[*tuple[Any, ...]], wanted: ClaimCriteria, now: datetime
    ) -> bool:
        """Whether the account may have another job in flight; locks the account while counting (BOUNDED)."""
        if self._database.is_sqlite or row.state != BatchState.PLANNED:
            return True
        lock_account(connection, row.account_id)
        others = sa.select(others_in_flight(is_sqlite=self._database.is_sqlite)).where(batch.c.id == row.id)
        return bool(connection.execute(others, {"now": now}).scalar_one() < wanted.jobs_in_flight)


_THIS = sa.and_(batch.c.id == sa.bindparam("batch_id"), batch.c.epoch == sa.bindparam("seen_epoch"))
_UNLEASED: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}


def _leased(*, is_sqlite: bool) -> dict[str, Any]:
    return {"lease_owner": OWNER, "lease_until": lease_end(is_sqlite=is_sqlite)}


@functools.cache
def _taking(*, is_sqlite: bool) -> sa.sql.dml.ReturningUpdate[Any]:
    return (
        sa.update(batch).where(_THIS).values(epoch=batch.c.epoch + 1, **_leased(is_sqlite=is_sqlite)).returning(batch)
    )


@functools.cache
def _moving(*, is_sqlite: bool, claimed: bool, keeping: bool) -> sa.Update:
    """Moves a batch that this worker holds (`claimed`), or that nobody holds; the new values are its parameters."""
    clock = lease_clock(is_sqlite=is_sqlite)
    free = sa.or_(batch.c.lease_until.is_(None), batch.c.lease_until <= clock)
    still = batch.c.state == sa.bindparam("seen_state"), batch.c.lease_owner == OWNER if claimed else free
    set_to = {name: sa.bindparam(name, type_=batch.c[name].type) for name in (*_SET_BY_MOVES, "updated_at")}
    lease = _leased(is_sqlite=is_sqlite) if keeping else _UNLEASED
    return sa.update(batch).where(_THIS, *still).values(**set_to, **lease)


def insert_batch(connection: Connection, account_id: int, new: NewBatch, now: datetime) -> int:
    """Insert a batch with its documents; returns its id."""
    row = {
        "account_id": account_id,
        "root_id": new.root_id or 0,
        "state": new.state,
        "purpose": new.purpose,
        "size": len(new.versions),
        "next_attempt_at": now,
        "created_at": now,
        "updated_at": now,
    }
    batch_id = int(connection.execute(_INSERT, row).scalar_one())
    if new.root_id is None:
        connection.execute(_ROOT, {"own_id": batch_id})
    carried = [
        {"batch_id": batch_id, "document_id": document_id, "version": version}
        for document_id, version in new.versions.items()
    ]
    connection.execute(sa.insert(batch_document), carried)
    return batch_id


def as_batch(row: Row[*tuple[Any, ...]]) -> Batch:
    """The Batch of a row that has all its columns."""
    values = {name: getattr(row, name) for name in FIELDS}
    return Batch(**{**values, "state": BatchState(row.state), "purpose": Purpose(row.purpose)})


def _carried(connection: Connection, batch_id: int) -> tuple[CarriedDocument, ...]:
    rows = connection.execute(_CARRIED, {"own_id": batch_id}).all()
    return tuple(CarriedDocument(as_document(row), row.carried_version) for row in rows)


def _claimed(connection: Connection, row: Row[*tuple[Any, ...]]) -> Claim:
    """The claim to the batch of this row. A planned batch is updated to the current versions of its documents."""
    carried = _carried(connection, row.id)
    if row.state == BatchState.PLANNED:
        newer = [one for one in carried if one.document.version != one.version]
        for one in newer:
            connection.execute(
                _SET_VERSION, {"own_id": row.id, "known": one.document_id, "version_now": one.document.version}
            )
        carried = tuple(replace(one, version=one.document.version) for one in carried)
    return Claim(as_batch(row), carried)
