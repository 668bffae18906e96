"""The machine on one screen: what may happen to a batch in each state, and what follows.

A batch is 1 to 100 documents of one account. Its state alone says which effect comes next; waiting is not a
state but `next_attempt_at`. `TABLE` is the whole truth: a (state, event) pair that is not in it is an error.
`advance` is pure: no clock, no chance, no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState

PLANNED, RESERVED, FETCHED, STORED, ACKNOWLEDGED, SPLIT, ABANDONED = BatchState


class BatchHappened(StrEnum):
    """What an effect came back with, or what a person or the account's pause did to the batch."""

    JOB_CREATED = "job_created"
    REFUSED = "refused"  # the service said 403 or 400
    SINGLED_OUT = "singled_out"  # the service fails over this batch again and again, and answers other calls
    PAUSED = "paused"  # the account pauses: everything it reserves is refused
    PENDING = "pending"  # 202: the job is not ready
    PARCEL_SPOOLED = "parcel_spooled"  # the zip lies whole in the spool
    JOB_LOST = "job_lost"  # 403, 404, 400, a torn body, or overdue
    DOCUMENTS_STORED = "documents_stored"  # committed; the batch goes on with these alone
    NOTHING_USABLE = "nothing_usable"  # the parcel is whole but holds nothing that was asked for
    PARCEL_BAD = "parcel_bad"
    PARCEL_GONE = "parcel_gone"  # the spool file is not there (another host, a tmpfs)
    STORAGE_FAILED = "storage_failed"  # disk full, I/O error
    READ_BACK_FAILED = "read_back_failed"  # what was stored is not there whole: nothing may be acknowledged
    ACCEPTED = "accepted"  # the phase is set, was set already, or is not wanted
    CLOSED = "closed"  # a person accepted its one document as it is
    RETRIED = "retried"  # a person wants its one document tried now
    UNAVAILABLE = "unavailable"  # transient: no answer, or not one of the service's own


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """What happened, with what the next state needs to know of it."""

    happened: BatchHappened
    reason: str = ""  # for people; never a secret, never a document's content
    job_id: str | None = None
    parcel: str | None = None
    stored: int = 0  # how many documents go on
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The decision: the batch as it shall be, and what happens to every document it carries, if anything does.

    `halves_in` names the state of the halves that take its place. What a parcel means to its documents differs from
    one to the next (`machine.verdict`): `by_verdict` says so.
    """

    batch: Batch
    documents: DocumentHappened | None = None
    halves_in: BatchState | None = None
    by_verdict: bool = False


Move = Callable[[Batch, BatchEvent, datetime, Policy], Advance]


class InvalidTransition(Exception):
    """A (state, event) pair outside the table: a bug, never something a user can cause."""


def advance(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    """What follows when `event` happens to `batch`; raises InvalidTransition outside the table."""
    move = TABLE.get((batch.state, event.happened))
    if move is None:
        raise InvalidTransition(f"batch {batch.id}: {event.happened} cannot happen in {batch.state}")
    return move(batch, event, now, policy)


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _wait(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    failures = batch.failures + 1
    pause = policy.backoff(failures, event.retry_after)
    return Advance(replace(batch, failures=failures, next_attempt_at=_later(now, pause)))


def _reserved(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    return Advance(
        replace(
            batch,
            state=RESERVED,
            job_id=event.job_id,
            failures=0,
            polls=0,
            reserved_at=now,
            deadline_at=_later(now, policy.deadline(batch.losses)),
            next_attempt_at=_later(now, policy.poll_first_seconds),
        )
    )


def _refused(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event, policy
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT), halves_in=PLANNED)
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), DocumentHappened.FAILED)


def _recalled(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    # Left where it is, it would hold a place in flight while the account is tried one document an hour.
    del event, policy
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), DocumentHappened.RECALLED)


def _poll_later(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    pause = max(policy.poll(batch.polls), min(event.retry_after or 0.0, policy.retry_cap_seconds))
    return Advance(replace(batch, failures=0, polls=batch.polls + 1, next_attempt_at=_later(now, pause)))


def _fetched(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del policy
    return Advance(replace(batch, state=FETCHED, parcel=event.parcel, job_id=None, failures=0, next_attempt_at=now))


def _lost(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    damaged = DocumentHappened.DAMAGED if event.happened is BatchHappened.READ_BACK_FAILED else None
    losses = batch.losses + 1
    if losses < policy.most_losses:
        pause = policy.backoff(losses)
        return Advance(replace(_emptied(batch), losses=losses, next_attempt_at=_later(now, pause)), damaged)
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT, losses=losses), damaged, halves_in=PLANNED)
    return Advance(replace(batch, state=ABANDONED, losses=losses, next_attempt_at=now), DocumentHappened.FAILED)


def _again(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(_emptied(batch), next_attempt_at=now))


def _unspooled(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    # The service resets a job as it answers, so each try costs it a parcel: the longest pause at once.
    del event
    return Advance(replace(_emptied(batch), next_attempt_at=_later(now, policy.longest_pause)))


def _emptied(batch: Batch) -> Batch:
    return replace(batch, state=PLANNED, job_id=None, parcel=None, failures=0, polls=0, deadline_at=None)


def _stored(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del policy
    stored = replace(batch, state=STORED, size=event.stored, parcel=None, failures=0, next_attempt_at=now)
    return Advance(stored, by_verdict=True)


def _abandoned(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(batch, state=ABANDONED, parcel=None, next_attempt_at=now), by_verdict=True)


def _acknowledged(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event, policy
    done = replace(batch, state=ACKNOWLEDGED, failures=0, next_attempt_at=now)
    return Advance(done, DocumentHappened.ACKNOWLEDGED)


def _unacknowledged(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT), halves_in=STORED)
    daily = _later(now, policy.unacknowledgeable_retry_seconds)
    return Advance(replace(batch, next_attempt_at=daily), DocumentHappened.REFUSED)


def _closed(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), DocumentHappened.ACCEPTED)


def _retried(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(batch, next_attempt_at=now))


_H = BatchHappened

TABLE: Mapping[tuple[BatchState, BatchHappened], Move] = {
    # PLANNED → reserve
    (PLANNED, _H.JOB_CREATED): _reserved,
    (PLANNED, _H.REFUSED): _refused,
    (PLANNED, _H.SINGLED_OUT): _refused,
    (PLANNED, _H.PAUSED): _recalled,
    (PLANNED, _H.STORAGE_FAILED): _wait,
    (PLANNED, _H.UNAVAILABLE): _wait,
    # RESERVED → fetch
    (RESERVED, _H.PENDING): _poll_later,
    (RESERVED, _H.PARCEL_SPOOLED): _fetched,
    (RESERVED, _H.JOB_LOST): _lost,
    (RESERVED, _H.SINGLED_OUT): _refused,
    (RESERVED, _H.STORAGE_FAILED): _unspooled,
    (RESERVED, _H.UNAVAILABLE): _wait,
    # FETCHED → store
    (FETCHED, _H.DOCUMENTS_STORED): _stored,
    (FETCHED, _H.NOTHING_USABLE): _abandoned,
    (FETCHED, _H.PARCEL_BAD): _lost,
    (FETCHED, _H.PARCEL_GONE): _again,
    (FETCHED, _H.STORAGE_FAILED): _wait,
    (FETCHED, _H.UNAVAILABLE): _wait,
    # STORED → acknowledge
    (STORED, _H.ACCEPTED): _acknowledged,
    (STORED, _H.REFUSED): _unacknowledged,
    (STORED, _H.SINGLED_OUT): _unacknowledged,
    (STORED, _H.READ_BACK_FAILED): _lost,
    (STORED, _H.CLOSED): _closed,
    (STORED, _H.RETRIED): _retried,
    (STORED, _H.STORAGE_FAILED): _wait,
    (STORED, _H.UNAVAILABLE): _wait,
}
