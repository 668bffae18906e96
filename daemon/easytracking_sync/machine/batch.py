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

from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState, Fate

PLANNED, RESERVED, FETCHED, STORED, ACKNOWLEDGED, SPLIT, ABANDONED = BatchState


class Happened(StrEnum):
    """What an effect came back with."""

    JOB_CREATED = "job_created"
    REFUSED = "refused"  # the service said 403 or 400
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
    CLOSED = "closed"  # the operator accepted the document as it is
    UNAVAILABLE = "unavailable"  # transient: no answer, or not one of the service's own


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, with what the next state needs to know of it."""

    happened: Happened
    reason: str = ""  # for people; never a secret, never a document's content
    job_id: str | None = None
    known_at: datetime | None = None  # the newest version of its documents that was known before the call
    parcel: str | None = None
    stored: int = 0  # how many documents go on
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The decision: the batch as it shall be, and its documents' fate. `halves_in` names the halves' state."""

    batch: Batch
    fate: Fate = Fate.CARRIED
    halves_in: BatchState | None = None
    unacknowledgeable: bool = False


Move = Callable[[Batch, Event, datetime, Policy], Advance]


class InvalidTransition(Exception):
    """A (state, event) pair outside the table: a bug, never something a user can cause."""


def advance(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    """What follows when `event` happens to `batch`; raises InvalidTransition outside the table."""
    move = TABLE.get((batch.state, event.happened))
    if move is None:
        raise InvalidTransition(f"batch {batch.id}: {event.happened} cannot happen in {batch.state}")
    return move(batch, event, now, policy)


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _wait(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    failures = batch.failures + 1
    pause = policy.backoff(failures, event.retry_after)
    return Advance(replace(batch, failures=failures, next_attempt_at=_later(now, pause)))


def _reserved(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    return Advance(
        replace(
            batch,
            state=RESERVED,
            job_id=event.job_id,
            failures=0,
            polls=0,
            reserved_at=event.known_at or now,
            deadline_at=_later(now, policy.deadline(batch.losses)),
            next_attempt_at=_later(now, policy.poll_first_seconds),
        )
    )


def _refused(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event, policy
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT), halves_in=PLANNED)
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), Fate.SUSPECTED)


def _recalled(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    # Left where it is, it would hold a place in flight while the account is tried one document an hour.
    del event, policy
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), Fate.SUSPECTED)


def _poll_later(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    pause = max(policy.poll(batch.polls), min(event.retry_after or 0.0, policy.retry_cap_seconds))
    return Advance(replace(batch, failures=0, polls=batch.polls + 1, next_attempt_at=_later(now, pause)))


def _fetched(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del policy
    return Advance(replace(batch, state=FETCHED, parcel=event.parcel, job_id=None, failures=0, next_attempt_at=now))


def _lost(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event
    losses = batch.losses + 1
    if losses < policy.most_losses:
        pause = policy.backoff(losses)
        return Advance(replace(_emptied(batch), losses=losses, next_attempt_at=_later(now, pause)))
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT, losses=losses), halves_in=PLANNED)
    return Advance(replace(batch, state=ABANDONED, losses=losses, next_attempt_at=now), Fate.SUSPECTED)


def _again(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(_emptied(batch), next_attempt_at=now))


def _unspooled(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    # The service resets a job as it answers, so each try costs it a parcel: the longest pause at once.
    del event
    return Advance(replace(_emptied(batch), next_attempt_at=_later(now, policy.longest_pause)))


def _emptied(batch: Batch) -> Batch:
    return replace(batch, state=PLANNED, job_id=None, parcel=None, failures=0, polls=0, deadline_at=None)


def _stored(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del policy
    stored = replace(batch, state=STORED, size=event.stored, parcel=None, failures=0, next_attempt_at=now)
    return Advance(stored, Fate.LANDED)


def _abandoned(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(batch, state=ABANDONED, parcel=None, next_attempt_at=now), Fate.LANDED)


def _acknowledged(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(batch, state=ACKNOWLEDGED, failures=0, next_attempt_at=now), Fate.ACKNOWLEDGED)


def _unacknowledged(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event
    if batch.size > 1:
        return Advance(replace(batch, state=SPLIT), halves_in=STORED)
    daily = _later(now, policy.unacknowledgeable_retry_seconds)
    return Advance(replace(batch, next_attempt_at=daily), unacknowledgeable=True)


def _closed(batch: Batch, event: Event, now: datetime, policy: Policy) -> Advance:
    del event, policy
    return Advance(replace(batch, state=ABANDONED, next_attempt_at=now), Fate.CLOSED)


TABLE: Mapping[tuple[BatchState, Happened], Move] = {
    # PLANNED → reserve
    (PLANNED, Happened.JOB_CREATED): _reserved,
    (PLANNED, Happened.REFUSED): _refused,
    (PLANNED, Happened.PAUSED): _recalled,
    (PLANNED, Happened.STORAGE_FAILED): _wait,
    (PLANNED, Happened.UNAVAILABLE): _wait,
    # RESERVED → fetch
    (RESERVED, Happened.PENDING): _poll_later,
    (RESERVED, Happened.PARCEL_SPOOLED): _fetched,
    (RESERVED, Happened.JOB_LOST): _lost,
    (RESERVED, Happened.STORAGE_FAILED): _unspooled,
    (RESERVED, Happened.UNAVAILABLE): _wait,
    # FETCHED → store
    (FETCHED, Happened.DOCUMENTS_STORED): _stored,
    (FETCHED, Happened.NOTHING_USABLE): _abandoned,
    (FETCHED, Happened.PARCEL_BAD): _lost,
    (FETCHED, Happened.PARCEL_GONE): _again,
    (FETCHED, Happened.STORAGE_FAILED): _wait,
    (FETCHED, Happened.UNAVAILABLE): _wait,
    # STORED → acknowledge
    (STORED, Happened.ACCEPTED): _acknowledged,
    (STORED, Happened.REFUSED): _unacknowledged,
    (STORED, Happened.READ_BACK_FAILED): _lost,
    (STORED, Happened.CLOSED): _closed,
    (STORED, Happened.STORAGE_FAILED): _wait,
    (STORED, Happened.UNAVAILABLE): _wait,
}
