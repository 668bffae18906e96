"""The lifecycle of a delivery: what may happen in each state, and what follows.

A delivery is one version of one document for one sink. It is pending until the sink has it, and failed if the sink
refused it; both are tried again for ever, at last once a day. Waiting is not a state but `next_attempt_at`. `TABLE`
is complete: a (state, event) pair that is not in it is an error. `advance` is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from easytracking_sync.deliver.sink import Put

DAY_SECONDS = 86_400.0


class DeliveryState(StrEnum):
    """Whether the sink has this version of the document."""

    PENDING = "pending"  # not yet
    DELIVERED = "delivered"  # there is a receipt
    FAILED = "failed"  # the sink refused it: a person must look; tried again daily


PENDING, DELIVERED, FAILED = DeliveryState


class DeliveryHappened(StrEnum):
    """The result of an attempt, what an operator did, or what another delivery showed."""

    ACCEPTED = "accepted"  # every file is at the sink, or the receiver answered that it took the message
    UNAVAILABLE = "unavailable"  # transient: no answer, a full disk, or "later"
    REFUSED = "refused"  # permanent: too large, other bytes under its name, a rejection
    GONE = "gone"  # the receiver answered 410: the sink itself is to be used no more
    RETRIED = "retried"  # an operator wants the next attempt now
    REDELIVERED = "redelivered"  # an operator wants it delivered once more
    SINK_BACK = "sink_back"  # the sink accepts others again after a time of failures


@dataclass(frozen=True, slots=True)
class FileReceipt:
    """One file at the sink, with the hash of the bytes that it holds. SAME: an earlier attempt had written it."""

    name: str
    sha256: str
    put: Put


@dataclass(frozen=True, slots=True)
class Receipt:
    """What proves a delivery: the files at the sink, or the receiver's answer."""

    files: tuple[FileReceipt, ...] = ()
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the ledger. Only a delivered one has no `next_attempt_at`."""

    id: int
    sink: str
    document_id: int  # the archive's row id
    version: int
    state: DeliveryState
    next_attempt_at: datetime | None
    attempts: int = 0  # failed attempts since it was wanted
    reason: str | None = None  # of the last failure
    failed_at: datetime | None = None
    delivered_at: datetime | None = None
    receipt: Receipt | None = None  # of the last success, also while it is delivered once more

    def __post_init__(self) -> None:
        if (self.state is DELIVERED) != (self.next_attempt_at is None):
            raise ValueError(f"delivery {self.id}: {self.state} with the next attempt at {self.next_attempt_at}")


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """What happened, with the details that the next state needs."""

    happened: DeliveryHappened
    reason: str = ""  # for people; never a secret, never a document's content
    retry_after: float | None = None
    receipt: Receipt | None = None  # with ACCEPTED


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds. `jitter` is a random number in [0, 1) drawn for this decision by the caller."""

    first_seconds: float = 10.0
    longest_seconds: float = DAY_SECONDS
    sink_longest_seconds: float = 300.0
    jitter: float = 1.0

    def pause(self, failures: int, retry_after: float | None = None, longest: float | None = None) -> float:
        """After the `failures`-th failure in a row (1, 2, …): doubled up to `longest`, half of it random.

        A Retry-After is respected up to a day.
        """
        doubled = self.first_seconds * 2.0 ** min(max(failures, 1) - 1, 32)
        pause = min(doubled, self.longest_seconds if longest is None else longest) * (1 + self.jitter) / 2
        return max(pause, min(retry_after or 0.0, DAY_SECONDS))


Move = Callable[[Delivery, DeliveryEvent, datetime, Patience], Delivery]


class InvalidTransition(Exception):
    """A (state, event) pair outside the table: a bug, never something a user can cause."""


def advance(delivery: Delivery, event: DeliveryEvent, now: datetime, patience: Patience) -> Delivery:
    """The delivery after `event`; raises InvalidTransition outside the table."""
    move = TABLE.get((delivery.state, event.happened))
    if move is None:
        raise InvalidTransition(f"delivery {delivery.id}: {event.happened} cannot happen in {delivery.state}")
    return move(delivery, event, now, patience)


def _delivered(delivery: Delivery, event: DeliveryEvent, now: datetime, patience: Patience) -> Delivery:
    del patience
    if event.receipt is None:
        raise InvalidTransition(f"delivery {delivery.id}: accepted without a receipt")
    return replace(
        delivery,
        state=DELIVERED,
        next_attempt_at=None,
        attempts=0,
        reason=None,
        failed_at=None,
        delivered_at=now,
        receipt=event.receipt,
    )


def _wait(delivery: Delivery, event: DeliveryEvent, now: datetime, patience: Patience) -> Delivery:
    return _failed_for(patience.pause(delivery.attempts + 1, event.retry_after), delivery, event, now)


def _wait_a_day(delivery: Delivery, event: DeliveryEvent, now: datetime, patience: Patience) -> Delivery:
    return _failed_for(patience.longest_seconds, delivery, event, now)


def _refused(delivery: Delivery, event: DeliveryEvent, now: datetime, patience: Patience) -> Delivery:
    return replace(_wait_a_day(delivery, event, now, patience), state=FAILED)


def _now(delivery: Delivery, event: DeliveryEvent, now: datetime, patience: Patience) -> Delivery:
    del event, patience
    return replace(delivery, state=PENDING, attempts=0, next_attempt_at=now)


def _failed_for(seconds: float, delivery: Delivery, event: DeliveryEvent, now: datetime) -> Delivery:
    return replace(
        delivery,
        attempts=delivery.attempts + 1,
        reason=event.reason,
        failed_at=now,
        next_attempt_at=now + timedelta(seconds=seconds),
    )


_H = DeliveryHappened

TABLE: Mapping[tuple[DeliveryState, DeliveryHappened], Move] = {
    (PENDING, _H.ACCEPTED): _delivered,
    (PENDING, _H.UNAVAILABLE): _wait,
    (PENDING, _H.REFUSED): _refused,
    (PENDING, _H.GONE): _wait_a_day,
    (PENDING, _H.RETRIED): _now,
    (PENDING, _H.SINK_BACK): _now,
    (FAILED, _H.ACCEPTED): _delivered,
    (FAILED, _H.UNAVAILABLE): _wait_a_day,
    (FAILED, _H.REFUSED): _refused,
    (FAILED, _H.GONE): _wait_a_day,
    (FAILED, _H.RETRIED): _now,
    (DELIVERED, _H.REDELIVERED): _now,
}
