"""What a batch's move means to its documents, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.accounts import count_refusal
from easytracking_sync.archive.batch_rows import insert_batch
from easytracking_sync.archive.landing import Terms, land, set_back
from easytracking_sync.archive.leases import NOW
from easytracking_sync.archive.tables import Instant, batch_document, document
from easytracking_sync.archive.versions import next_version
from easytracking_sync.terms import Batch, BatchState, Claim, DocumentState, Fate, Landed

_STORED = document.c.id.in_(sa.bindparam("ids", expanding=True)), document.c.state == DocumentState.STORED
_TOLD = {"acknowledged_at": sa.bindparam("told_at", type_=Instant), "unacknowledgeable": False, "reason": None}
_HOME = sa.update(document).where(*_STORED).values(state=DocumentState.ACKNOWLEDGED, next_attempt_at=None, **_TOLD)
_AROUND_AGAIN = (
    sa.update(document)
    .where(*_STORED, document.c.wanted_at > sa.bindparam("reserved_at", type_=Instant))
    .values(state=DocumentState.DISCOVERED, next_attempt_at=NOW, **_TOLD)
    .returning(document.c.id)
)


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


def lock_documents(connection: Connection, claim: Claim) -> None:
    """What a listing means to these documents, and what the commit does, come one after the other."""
    if connection.dialect.name == "sqlite":
        return
    ids = [carried.document_id for carried in claim.documents]
    query = sa.select(document.c.id).where(document.c.id.in_(ids)).order_by(document.c.id)
    connection.execute(query.with_for_update(key_share=True))


def settle(connection: Connection, commit: Commit, now: datetime) -> None:
    """Move the documents as the move's fate says, and make the halves of a batch that was split."""
    _follow(connection, commit, now)
    if commit.halves_in is not None:
        _split(connection, commit.claim, commit.halves_in, now)


def _follow(connection: Connection, commit: Commit, now: datetime) -> None:
    ids = [carried.document_id for carried in commit.claim.documents]
    match commit.fate:
        case Fate.CARRIED:
            # What was read back was not whole: it travels again.
            if BatchState.PLANNED in (commit.after.state, commit.halves_in):
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
    told = {"ids": ids, "told_at": told_at}
    again = connection.execute(_AROUND_AGAIN, {**told, "reserved_at": reserved_at, "now": now}).scalars()
    for document_id in again.all():  # what came of the older one must not count as the newer's
        wanted_at = next_version(connection, document_id, now)
        connection.execute(sa.update(document).where(document.c.id == document_id).values(wanted_at=wanted_at))
    connection.execute(_HOME, told)


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
