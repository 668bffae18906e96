"""Batches on their way: claimed by one worker, moved by one transaction, fenced by their epoch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from easytracking_sync.archive import journal
from easytracking_sync.archive.accounts import count_refusal, forget_refusals
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.landing import Terms, land, set_back
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.archive.tables import account, batch, batch_document, document
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
    """The batch table. `owner` names this worker in the rows it claims."""

    def __init__(self, database: Database, owner: str, lease_seconds: float) -> None:
        self._database = database
        self._owner = owner
        self._lease = timedelta(seconds=lease_seconds)

    def claim(self, wanted: Wanted, now: datetime) -> Claim | None:
        """Take one due batch that nobody holds, and raise its epoch; None where there is none."""
        query = _claimable(wanted, self._owner, now)
        with self._database.read() as connection:
            if connection.execute(query).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True, of=batch)).first()
            if row is None:
                return None
            claimed = connection.execute(
                sa.update(batch)
                .where(batch.c.id == row.id, batch.c.epoch == row.epoch)
                .values(epoch=row.epoch + 1, lease_owner=self._owner, lease_until=now + self._lease)
                .returning(batch)
            ).one()
            return Claim(_as_batch(claimed), _carried(connection, row.id))

    def next_due(self, account_ids: Collection[int], now: datetime) -> datetime | None:
        """When the next batch or document of these accounts falls due; None where nothing waits."""
        batches = sa.select(sa.func.min(batch.c.next_attempt_at)).where(
            batch.c.account_id.in_(account_ids),
            batch.c.state.in_(LIVE_STATES),
            sa.or_(batch.c.lease_until.is_(None), batch.c.lease_until <= now),
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
        """Void every lease: for the one instance that holds an archive alone, as it starts."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(batch)
                .where(batch.c.state.in_(LIVE_STATES), batch.c.lease_owner.is_not(None))
                .values(lease_owner=None, lease_until=None)
            )

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
        """Move the batch, its documents, halves and journal at once. StaleLease if the epoch is not ours any more.

        An unknown outcome (the commit's answer lost) is found by reading again: `was_committed`.
        """
        with self._database.write() as connection:
            _move(connection, commit, now)
            if commit.accepted:
                forget_refusals(connection, commit.after.account_id)
            _settle(connection, commit, now)
            if commit.halves_in is not None:
                _split(connection, commit.claim, commit.halves_in, now)
            if commit.after.state != commit.claim.batch.state or commit.unacknowledgeable:
                detail: journal.Detail = {"documents": commit.after.size, "reason": commit.reason}
                journal.record(
                    connection,
                    commit.name,
                    now,
                    account_id=commit.after.account_id,
                    batch_id=commit.after.id,
                    detail=detail,
                )

    def was_committed(self, commit: Commit) -> bool:
        """Whether this very move is in the database: by its epoch, its state and that nobody holds it."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(batch).where(batch.c.id == commit.after.id)).one()
        same = row.epoch == commit.after.epoch and row.state == commit.after.state
        return bool(same and row.lease_owner is None)


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


def _claimable(wanted: Wanted, owner: str, now: datetime) -> sa.Select[Any]:
    paused = sa.and_(account.c.paused_until.is_not(None), account.c.paused_until > now)
    refused_login = paused & (account.c.pause_reason == PauseReason.CREDENTIALS)
    ready = [
        batch.c.state == BatchState.FETCHED,  # needs no service
        batch.c.state.in_((BatchState.RESERVED, BatchState.STORED)) & ~refused_login,
    ]
    if wanted.may_reserve:
        room = _others_in_flight(now) < wanted.jobs_in_flight
        ready.append((batch.c.state == BatchState.PLANNED) & ~paused & room)
    return (
        sa.select(batch)
        .join(account, account.c.id == batch.c.account_id)
        .where(
            batch.c.account_id.in_(wanted.account_ids),
            batch.c.state.in_(wanted.states),
            batch.c.next_attempt_at <= now,
            sa.or_(
                batch.c.lease_until.is_(None),
                batch.c.lease_until <= now,
                (batch.c.lease_owner == owner) & batch.c.id.not_in(wanted.performing),
            ),
            sa.or_(*ready),
        )
        .order_by(batch.c.next_attempt_at, batch.c.id)
        .limit(1)
    )


def _others_in_flight(now: datetime) -> sa.ScalarSelect[int]:
    """Beside the batch itself: one whose reservation this worker could not commit must not stand in its own way."""
    other = batch.alias("other")
    being_reserved = (other.c.state == BatchState.PLANNED) & (other.c.lease_until > now)
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


def _move(connection: Connection, commit: Commit, now: datetime) -> None:
    before, after = commit.claim.batch, commit.after
    values = {column: getattr(after, column) for column in BATCH_COLUMNS if column not in ("id", "epoch")}
    moved = connection.execute(
        sa.update(batch)
        .where(batch.c.id == before.id, batch.c.epoch == before.epoch, batch.c.state == before.state)
        .values(**values, updated_at=now, lease_owner=None, lease_until=None)
    )
    if moved.rowcount != 1:
        raise StaleLease(f"batch {before.id}: another worker holds it by now; this result is dropped")


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
