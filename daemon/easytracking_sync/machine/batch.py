"""The lifecycle of a batch: what may happen in each state, and what follows.

A batch is 1 to 100 documents of one account. Its state alone says which effect comes next; waiting is not a
state but `next_attempt_at`. `TABLE` is complete: a (state, event) pair that is not in it is an error.
`advance` is pure: no clock, no randomness, no effects.
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
    """The result of an effect, or what an operator or the account's pause did to the batch."""

    JOB_CREATED = "job_created"
    REFUSED = "refused"  # the service answered 403 or 400
    SINGLED_OUT = "singled_out"  # the service fails over this batch again and again, but answers other calls
    PAUSED = "paused"  # the account pauses because every reservation is refused
    PENDING = "pending"  # 202: the job is not ready
    PARCEL_SPOOLED = "parcel_spooled"  # the complete zip is in the spool
    JOB_LOST = "job_lost"  # 403, 404, 400, a torn body, or overdue
    DOCUMENTS_STORED = "documents_stored"  # committed; the batch continues with these only
    NOTHING_USABLE = "nothing_usable"  # the parcel is intact but holds nothing that was requested
    PARCEL_BAD = "parcel_bad"
    PARCEL_GONE = "parcel_gone"  # the spool file is missing (another host, a tmpfs)
    STORAGE_FAILED = "storage_failed"  # disk full, I/O error
    READ_BACK_FAILED = "read_back_failed"  # stored files are missing or damaged: nothing may be acknowledged
    ACCEPTED = "accepted"  # the phase is set, was already set, or is not to be set
    CLOSED = "closed"  # an operator accepted its only document
    RETRIED = "retried"  # an operator retries its only document now
    UNAVAILABLE = "unavailable"  # transient: no answer, or an unexpected one


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """What happened, with the details that the next state needs."""

    happened: BatchHappened
    reason: str = ""  # for people; never a secret, never a document's content
    job_id: str | None = None
    parcel: str | None = None
    stored: int = 0  # how many documents stay in the batch
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The decision: the batch afterwards, and what happens to each of its documents, if anything.

    `halves_in` is the state of the two halves that replace it. With `by_verdict`, each document has its own outcome
    (`machine.verdict`).
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


def _refused(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT), halves_in=PLANNED)
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), DocumentHappened.FAILED)


def _recalled(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    # Otherwise it would occupy a job slot while the account is probed with one document an hour.
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), DocumentHappened.RECALLED)


def _poll_later(batch: Batch, event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    pause = max(policy.poll(batch.polls), min(event.retry_after or 0.0, policy.retry_cap_seconds))
    return Advance(replace(batch, failures=0, polls=batch.polls + 1, next_attempt_at=_later(now, pause)))


def _fetched(batch: Batch, event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
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


def _again(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    return Advance(replace(_emptied(batch), next_attempt_at=now))


def _unspooled(batch: Batch, _event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    # The service resets a job when it answers, so each attempt costs a new job: use the longest pause at once.
    return Advance(replace(_emptied(batch), next_attempt_at=_later(now, policy.longest_pause)))


def _emptied(batch: Batch) -> Batch:
    return replace(batch, state=PLANNED, job_id=None, parcel=None, failures=0, polls=0, deadline_at=None)


def _stored(batch: Batch, event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    stored = replace(batch, state=STORED, size=event.stored, parcel=None, failures=0, next_attempt_at=now)
    return Advance(stored, by_verdict=True)


def _abandoned(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    return Advance(replace(batch, state=ABANDONED, parcel=None, next_attempt_at=now), by_verdict=True)


def _acknowledged(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    done = replace(batch, state=ACKNOWLEDGED, failures=0, next_attempt_at=now)
    return Advance(done, DocumentHappened.ACKNOWLEDGED)


def _unacknowledged(batch: Batch, _event: BatchEvent, now: datetime, policy: Policy) -> Advance:
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT), halves_in=STORED)
    daily = _later(now, policy.unacknowledgeable_retry_seconds)
    return Advance(replace(batch, next_attempt_at=daily), DocumentHappened.REFUSED)


def _closed(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), DocumentHappened.ACCEPTED)


def _retried(batch: Batch, _event: BatchEvent, now: datetime, _policy: Policy) -> Advance:
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
