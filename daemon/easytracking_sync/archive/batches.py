"""Batches on their way: claimed by one worker, moved by one transaction, fenced by their epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive import journal
from easytracking_sync.archive.accounts import count_refusal, forget_refusals, lock_account
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.landing import Terms, land, set_back
from easytracking_sync.archive.leases import lease_clock, lease_end
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.archive.tables import account, batch, batch_document, document, event
from easytracking_sync.errors import StaleLease
from easytracking_sync.terms import (
    LIVE_STATES,
    Batch,
    BatchState,
    CarriedDocument,
    Claim,
    DocumentState,
    Fate,
    Landed,
    PauseReason,
    Purpose,
)

BATCH_COLUMNS = (
    "id",
    "account_id",
    "root_id",
    "state",
    "purpose",
    "size",
    "next_attempt_at",
    "epoch",
    "failures",
    "losses",
    "polls",
    "job_id",
    "reserved_at",
    "deadline_at",
    "parcel",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which batches a worker may claim now."""

    account_ids: Collection[int]
    states: Collection[BatchState]
    jobs_in_flight: int
    may_reserve: bool = True  # False while the disk has no room
    performing: Collection[int] = ()  # batches this worker is at; its other leases are leftovers of a lost commit


@dataclass(frozen=True, slots=True)
class Commit:
    """One move of one batch, with all that changes in the same transaction."""

    claim: Claim
    after: Batch
    name: str  # the event's, `noun.past`
    terms: Terms
    reason: str = ""
    fate: Fate = Fate.CARRIED
    halves_in: BatchState | None = None
    landed: tuple[Landed, ...] = ()
    unacknowledgeable: bool = False
    accepted: bool = False  # the service took a reservation
    told: bool = True  # the service was told; False where the account leaves no trace
    refusals_to_pause: int | None = None  # given when a single document was refused
    pause_seconds: float = 0.0


class Batches:
    """The batch table. `owner` names this worker in the rows it claims.

    On SQLite one instance works alone, and a lease runs by its clock. On PostgreSQL several share the work: a lease
    runs by the server's clock, and whoever works longer than `renew_seconds` calls `renew` that often. A claim that
    was not renewed for `sure_seconds` may be lost already; whatever its holder commits is fenced by the epoch.
    """

    def __init__(self, database: Database, owner: str, lease_seconds: float) -> None:
        self._database = database
        self._owner = owner
        self._lease_seconds = lease_seconds

    @property
    def renew_seconds(self) -> float | None:
        """How often leases are to be renewed; None where they need not be."""
        return None if self._database.is_sqlite else self._lease_seconds / 3

    @property
    def sure_seconds(self) -> float:
        """How long after a claim or a renewal was begun nobody else can have taken the batch."""
        return math.inf if self._database.is_sqlite else self._lease_seconds * 2 / 3

    def claim(self, wanted: Wanted, now: datetime) -> Claim | None:
        """Take one due batch that nobody holds, and raise its epoch; None where there is none."""
        clock = lease_clock(self._database, now)
        query = _claimable(wanted, self._owner, clock, now)
        with self._database.read() as connection:
            if connection.execute(query).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True, key_share=True, of=batch)).first()
            if row is None or not self._has_room(connection, row, wanted, clock):
                return None
            claimed = connection.execute(
                sa.update(batch)
                .where(batch.c.id == row.id, batch.c.epoch == row.epoch)
                .values(epoch=row.epoch + 1, **self._mine(now))
                .returning(batch)
            ).one()
            return Claim(_as_batch(claimed), _carried(connection, row.id))

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
                .values(**self._mine(now))
                .returning(batch.c.id, batch.c.epoch)
            ).all()
        return {row.id: row.epoch for row in rows}

    def next_due(
        self, account_ids: Collection[int], now: datetime, performing: Collection[int] = ()
    ) -> datetime | None:
        """When the next batch or document of these accounts falls due; None where nothing waits."""
        batches = sa.select(sa.func.min(batch.c.next_attempt_at)).where(
            batch.c.account_id.in_(account_ids),
            batch.c.state.in_(LIVE_STATES),
            _is_free(self._owner, lease_clock(self._database, now), performing),
        )
        documents = sa.select(sa.func.min(document.c.next_attempt_at)).where(
            document.c.account_id.in_(account_ids),
            document.c.state.in_((DocumentState.DISCOVERED, DocumentState.QUARANTINED)),
        )
        with self._database.read() as connection:
            found = [connection.execute(query).scalar_one() for query in (batches, documents)]
        return min((moment for moment in found if moment is not None), default=None)

    def release(self, claim: Claim) -> None:
        """Give a claimed batch back as it was; nothing happens if someone else holds it by now."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(batch)
                .where(batch.c.id == claim.batch.id, batch.c.epoch == claim.batch.epoch)
                .values(lease_owner=None, lease_until=None)
            )

    def postpone(self, claim: Claim, until: datetime) -> None:
        """Give a claimed batch back to be claimed no sooner than `until`; as `release` otherwise."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(batch)
                .where(batch.c.id == claim.batch.id, batch.c.epoch == claim.batch.epoch)
                .values(lease_owner=None, lease_until=None, next_attempt_at=until)
            )

    def release_all(self) -> None:
        """Void the leases of dead workers: all, for the one instance that holds a SQLite archive alone.

        On a server nothing is done: others may be alive, and what the dead held runs out by itself.
        """
        if self._database.is_sqlite:
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
            _lock_documents(connection, commit.claim)
            _settle(connection, commit, now)
            if commit.halves_in is not None:
                _split(connection, commit.claim, commit.halves_in, now)
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
        return _as_batch(row) == after and (row.lease_owner is None or self._keeps(after))

    def _mine(self, now: datetime) -> dict[str, Any]:
        return {"lease_owner": self._owner, "lease_until": lease_end(self._database, now, self._lease_seconds)}

    def _keeps(self, after: Batch) -> bool:
        """Where several hosts share the work, a parcel in this one's spool is for this one to store."""
        return after.state is BatchState.FETCHED and not self._database.is_sqlite

    def _void(self, whose: sa.ColumnElement[bool]) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(batch)
                .where(batch.c.state.in_(LIVE_STATES), whose)
                .values(lease_owner=None, lease_until=None)
            )

    def _has_room(
        self,
        connection: Connection,
        row: Row[*tuple[Any, ...]],
        wanted: Wanted,
        clock: sa.ColumnElement[datetime],
    ) -> bool:
        """Two instances that claim for one account at once count one after the other (BOUNDED)."""
        if self._database.is_sqlite or row.state != BatchState.PLANNED:
            return True
        lock_account(connection, row.account_id)
        others = sa.select(_others_in_flight(clock)).where(batch.c.id == row.id)
        return bool(connection.execute(others).scalar_one() < wanted.jobs_in_flight)

    def _move(self, connection: Connection, commit: Commit, now: datetime) -> None:
        before, after = commit.claim.batch, commit.after
        values = {column: getattr(after, column) for column in BATCH_COLUMNS if column not in ("id", "epoch")}
        held = self._mine(now) if self._keeps(after) else {"lease_owner": None, "lease_until": None}
        moved = connection.execute(
            sa.update(batch)
            .where(
                batch.c.id == before.id,
                batch.c.epoch == before.epoch,
                batch.c.state == before.state,
                batch.c.lease_owner == self._owner,
            )
            .values(**values, **held, updated_at=now)
        )
        if moved.rowcount != 1:
            raise StaleLease(f"batch {before.id}: another worker holds it by now; this result is dropped")


def insert_batch(
    connection: Connection,
    account_id: int,
    state: BatchState,
    purpose: Purpose,
    document_ids: Sequence[int],
    now: datetime,
    *,
    parent: Batch | None = None,
) -> int:
    """A new batch carrying these documents; the caller moves the documents' own state."""
    row = {
        "account_id": account_id,
        "root_id": 0 if parent is None else parent.root_id,
        "state": state,
        "purpose": purpose,
        "size": len(document_ids),
        "next_attempt_at": now,
        "reserved_at": _reserved_at(state, parent, now),
        "created_at": now,
        "updated_at": now,
    }
    batch_id = int(connection.execute(sa.insert(batch).returning(batch.c.id), row).scalar_one())
    if parent is None:
        connection.execute(sa.update(batch).where(batch.c.id == batch_id).values(root_id=batch_id))
    carried = [{"batch_id": batch_id, "document_id": document_id} for document_id in document_ids]
    connection.execute(sa.insert(batch_document), carried)
    return batch_id


def _reserved_at(state: BatchState, parent: Batch | None, now: datetime) -> datetime | None:
    """What is only to be acknowledged counts as reserved; halves that are to be reserved do not, yet."""
    if state is not BatchState.STORED:
        return None
    return now if parent is None else parent.reserved_at


def _claimable(wanted: Wanted, owner: str, clock: sa.ColumnElement[datetime], now: datetime) -> sa.Select[Any]:
    paused = sa.and_(account.c.paused_until.is_not(None), account.c.paused_until > now)
    refused_login = paused & (account.c.pause_reason == PauseReason.CREDENTIALS)
    ready = [
        batch.c.state == BatchState.FETCHED,  # needs no service
        batch.c.state.in_((BatchState.RESERVED, BatchState.STORED)) & ~refused_login,
    ]
    if wanted.may_reserve:
        room = _others_in_flight(clock) < wanted.jobs_in_flight
        ready.append((batch.c.state == BatchState.PLANNED) & ~paused & room)
    return (
        sa.select(batch)
        .join(account, account.c.id == batch.c.account_id)
        .where(
            batch.c.account_id.in_(wanted.account_ids),
            batch.c.state.in_(wanted.states),
            batch.c.next_attempt_at <= now,
            _is_free(owner, clock, wanted.performing),
            sa.or_(*ready),
        )
        .order_by(batch.c.next_attempt_at, batch.c.id)
        .limit(1)
    )


def _is_free(owner: str, clock: sa.ColumnElement[datetime], performing: Collection[int]) -> sa.ColumnElement[bool]:
    """Held by nobody any more, or by this worker without its being at it (kept for it, or a lost commit's rest)."""
    return sa.or_(
        batch.c.lease_until.is_(None),
        batch.c.lease_until <= clock,
        (batch.c.lease_owner == owner) & batch.c.id.not_in(performing),
    )


def _others_in_flight(clock: sa.ColumnElement[datetime]) -> sa.ScalarSelect[int]:
    """Beside the batch itself: one whose reservation this worker could not commit must not stand in its own way."""
    other = batch.alias("other")
    being_reserved = (other.c.state == BatchState.PLANNED) & (other.c.lease_until > clock)
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


def _as_batch(row: Row[*tuple[Any, ...]]) -> Batch:
    values = {column: getattr(row, column) for column in BATCH_COLUMNS}
    return Batch(**{**values, "state": BatchState(row.state), "purpose": Purpose(row.purpose)})


def _carried(connection: Connection, batch_id: int) -> tuple[CarriedDocument, ...]:
    rows = connection.execute(
        sa.select(document.c.id, document.c.doc_id)
        .join(batch_document, batch_document.c.document_id == document.c.id)
        .where(batch_document.c.batch_id == batch_id, batch_document.c.carried)
        .order_by(document.c.id)
    )
    return tuple(CarriedDocument(row.id, row.doc_id) for row in rows)


def _lock_documents(connection: Connection, claim: Claim) -> None:
    """What a listing means to these documents, and what the commit does, come one after the other."""
    if connection.dialect.name == "sqlite":
        return
    ids = [carried.document_id for carried in claim.documents]
    query = sa.select(document.c.id).where(document.c.id.in_(ids)).order_by(document.c.id)
    connection.execute(query.with_for_update(key_share=True))


def _settle(connection: Connection, commit: Commit, now: datetime) -> None:
    ids = [carried.document_id for carried in commit.claim.documents]
    match commit.fate:
        case Fate.CARRIED:
            if BatchState.PLANNED in (
                commit.after.state,
                commit.halves_in,
            ):  # what was read back was not whole: it travels again
                _update(connection, ids, state=DocumentState.BATCHED)
            if commit.unacknowledgeable:
                _update(connection, ids, unacknowledgeable=True, reason=commit.reason, failed_at=now)
        case Fate.LANDED:
            land(connection, commit.claim, commit.landed, commit.terms, now)
        case Fate.ACKNOWLEDGED:
            _acknowledge(connection, ids, commit.claim.batch.reserved_at or now, now if commit.told else None, now)
        case Fate.SUSPECTED:
            _suspect(connection, commit, now)
        case Fate.CLOSED:
            _update(connection, ids, state=DocumentState.ACCEPTED, next_attempt_at=None, reason=commit.reason)


def _acknowledge(
    connection: Connection, ids: Sequence[int], reserved_at: datetime, told_at: datetime | None, now: datetime
) -> None:
    """A version listed after the older one was reserved sends the document around once more."""
    newer = document.c.wanted_at > reserved_at
    for again, values in (
        (newer, {"state": DocumentState.DISCOVERED, "next_attempt_at": now}),
        (~newer, {"state": DocumentState.ACKNOWLEDGED, "next_attempt_at": None}),
    ):
        connection.execute(
            sa.update(document)
            .where(document.c.id.in_(ids), document.c.state == DocumentState.STORED, again)
            .values(**values, acknowledged_at=told_at, unacknowledgeable=False, reason=None)
        )


def _suspect(connection: Connection, commit: Commit, now: datetime) -> None:
    counts, not_before = True, now
    if commit.refusals_to_pause is not None:
        refusal = count_refusal(
            connection,
            commit.claim.batch,
            now,
            to_pause=commit.refusals_to_pause,
            pause_seconds=commit.pause_seconds,
        )
        counts, not_before = refusal.counts, refusal.paused_until or now
    for carried in commit.claim.documents:
        set_back(
            connection,
            commit.claim,
            carried.document_id,
            commit.terms.setback,
            commit.reason,
            now,
            counts=counts,
            not_before=not_before,
        )


def _split(connection: Connection, claim: Claim, state: BatchState, now: datetime) -> None:
    ids = [carried.document_id for carried in claim.documents]
    middle = (len(ids) + 1) // 2
    connection.execute(
        sa.update(batch_document).where(batch_document.c.batch_id == claim.batch.id).values(carried=False)
    )
    for half in (ids[:middle], ids[middle:]):
        insert_batch(connection, claim.batch.account_id, state, claim.batch.purpose, half, now, parent=claim.batch)


def _update(connection: Connection, ids: Sequence[int], **values: Any) -> None:
    connection.execute(sa.update(document).where(document.c.id.in_(ids)).values(**values))
