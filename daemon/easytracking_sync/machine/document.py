"""The lifecycle of a document: what may happen to it in each state, and what follows.

Built like `machine.batch`. A document waits in the pool (DISCOVERED) or in quarantine until `next_attempt_at`,
travels with exactly one live batch (BATCHED, STORED), and ends ACKNOWLEDGED, WITHDRAWN or ACCEPTED, from where only
the service or an operator brings it back. `TABLE` is complete: a (state, event) pair that is not in it is an
error. `change` is pure: no clock, no randomness, no effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from easytracking_sync.events import EventName
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Document, DocumentState
from easytracking_sync.transition import DocumentMove

DISCOVERED, BATCHED, STORED, ACKNOWLEDGED, QUARANTINED, WITHDRAWN, ACCEPTED = DocumentState


class DocumentHappened(StrEnum):
    """What can happen to a document; the journal's event is `document.` and this word."""

    BATCHED = "batched"  # a batch includes it
    STORED = "stored"  # its original, and what else was fetched, is committed
    ASKED_AGAIN = "asked_again"  # a requested type is missing and is requested again
    SET_APART = "set_apart"  # its file names collide with another document's
    FAILED = "failed"  # it was refused, or fetched without its original
    RECALLED = "recalled"  # its batch was recalled before it was reserved
    PARDONED = "pardoned"  # an attempt is not counted: the account lost its permission
    DAMAGED = "damaged"  # its stored files cannot be read back
    REFUSED = "refused"  # the service refuses the acknowledgement
    ACKNOWLEDGED = "acknowledged"  # read back, and acknowledged if the account does so
    WITHDRAWN = "withdrawn"  # a complete listing of both phases no longer has it
    RETURNED = "returned"  # it is listed again
    CHANGED = "changed"  # its list fields changed
    RELISTED = "relisted"  # acknowledged here, but listed as unmarked
    REFETCHED = "refetched"  # the same, for an account with on_relist = refetch
    ROTTEN = "rotten"  # stored files are damaged or missing
    BARE = "bare"  # it counts as stored but has no file
    RETRIED = "retried"  # an operator retries it now
    ACCEPTED = "accepted"  # an operator closes it as it is
    HELD = "held"  # an operator cleared its phase with this program
    RELEASED = "released"  # an operator set it again


@dataclass(frozen=True, slots=True)
class DocumentEvent:
    """What happened, with the details that the next state needs."""

    happened: DocumentHappened
    reason: str = ""  # for people; never a secret, never a document's content
    missing: tuple[str, ...] = ()  # STORED: requested types that the service did not give
    version: int | None = None  # ACKNOWLEDGED: the version that is stored
    told: bool = True  # ACKNOWLEDGED: the service was told
    counts: bool = True  # FAILED: it counts as an attempt
    suspect: bool = False  # RECALLED: its batch was half of a refused one
    not_before: datetime | None = None  # FAILED, RECALLED, PARDONED: the account is paused until then


Move = Callable[[Document, DocumentEvent, datetime, Policy], Document]


class InvalidDocumentChange(Exception):
    """A (state, event) pair outside the table: a bug, never something a user can cause."""


def change(document: Document, event: DocumentEvent, now: datetime, policy: Policy) -> Document:
    """The document as it is after `event`; raises InvalidDocumentChange outside the table."""
    move = TABLE.get((document.state, event.happened))
    if move is None:
        raise InvalidDocumentChange(f"document {document.id}: {event.happened} cannot happen in {document.state}")
    return move(document, event, now, policy)


def moved(
    document: Document, event: DocumentEvent, now: datetime, policy: Policy, batch_id: int | None = None
) -> DocumentMove:
    """The change together with its journal row."""
    after = change(document, event, now, policy)
    detail: dict[str, str | int] = {}
    if event.reason:
        detail["reason"] = event.reason
    if event.missing:
        detail["missing"] = ",".join(event.missing)
    if event.happened is DocumentHappened.FAILED:
        detail["attempts"] = after.attempts
    return DocumentMove(document, after, _journal_name(document, event, after), detail, batch_id)


def _journal_name(before: Document, event: DocumentEvent, after: Document) -> EventName:
    """Three changes have their own names, so that operators, notifications and deliveries can tell them apart."""
    if event.happened is DocumentHappened.FAILED and after.state is QUARANTINED:
        return EventName.DOCUMENT_QUARANTINED
    if event.happened is DocumentHappened.ACKNOWLEDGED and after.state is DISCOVERED:
        return EventName.DOCUMENT_OVERTAKEN
    if event.happened is DocumentHappened.STORED and before.stored_at is not None:
        return EventName.DOCUMENT_STORED_AGAIN
    return EventName(f"document.{event.happened}")


def _batched(document: Document, _event: DocumentEvent, _now: datetime, _policy: Policy) -> Document:
    return replace(document, state=BATCHED, next_attempt_at=None, unacknowledgeable=False)


def _stored(document: Document, event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    fresh = replace(document, attempts=0, asks=0, suspect=False, alone=False, reason=None)
    return replace(fresh, state=STORED, stored_at=now, missing_types=event.missing)


def _asked_again(document: Document, event: DocumentEvent, now: datetime, policy: Policy) -> Document:
    soon = now + timedelta(seconds=policy.backoff(1))
    return replace(document, state=DISCOVERED, asks=document.asks + 1, next_attempt_at=soon, reason=event.reason)


def _set_apart(document: Document, event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    return replace(document, state=DISCOVERED, alone=True, next_attempt_at=now, reason=event.reason)


def _failed(document: Document, event: DocumentEvent, now: datetime, policy: Policy) -> Document:
    attempts = document.attempts + event.counts
    again_at = now + timedelta(seconds=policy.document_retry(attempts))
    return replace(
        document,
        state=QUARANTINED if attempts >= policy.max_attempts else DISCOVERED,
        attempts=attempts,
        next_attempt_at=max(again_at, event.not_before or again_at),
        suspect=True,
        unacknowledgeable=False,
        reason=event.reason,
        failed_at=now,
    )


def _recalled(document: Document, event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    recalled = replace(document, state=DISCOVERED, next_attempt_at=max(now, event.not_before or now))
    return replace(recalled, suspect=True, failed_at=now) if event.suspect else recalled


def _pardoned(document: Document, event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    return replace(document, attempts=0, next_attempt_at=max(now, event.not_before or now))


def _refused(document: Document, event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    return replace(document, unacknowledgeable=True, reason=event.reason, failed_at=now)


def _acknowledged(document: Document, event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    """If a newer version is listed than the one stored, the document is fetched again and acknowledged then."""
    home = replace(document, unacknowledgeable=False, reason=None)
    if event.version is not None and document.version > event.version:
        return replace(home, state=DISCOVERED, next_attempt_at=now)
    return replace(home, state=ACKNOWLEDGED, acknowledged_at=now if event.told else None)


def _relisted(document: Document, _event: DocumentEvent, _now: datetime, _policy: Policy) -> Document:
    return replace(document, state=STORED)


def _withdrawn(document: Document, _event: DocumentEvent, _now: datetime, _policy: Policy) -> Document:
    return replace(document, state=WITHDRAWN, next_attempt_at=None)


def _newer(document: Document, _event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    """A newer version is to be fetched; the state does not change."""
    return replace(document, version=document.version + 1, wanted_at=now)


def _anew(document: Document, event: DocumentEvent, now: datetime, policy: Policy) -> Document:
    """Fetch it as if for the first time."""
    fresh = replace(document, attempts=0, asks=0, suspect=False, alone=False, reason=None)
    return replace(_newer(fresh, event, now, policy), state=DISCOVERED, next_attempt_at=now)


def _retried(document: Document, _event: DocumentEvent, now: datetime, _policy: Policy) -> Document:
    return replace(document, next_attempt_at=now)


def _accepted(document: Document, event: DocumentEvent, _now: datetime, _policy: Policy) -> Document:
    return replace(document, state=ACCEPTED, next_attempt_at=None, unacknowledgeable=False, reason=event.reason)


def _held(document: Document, event: DocumentEvent, _now: datetime, _policy: Policy) -> Document:
    return replace(document, held=event.happened is DocumentHappened.HELD)


_H = DocumentHappened

TABLE: Mapping[tuple[DocumentState, DocumentHappened], Move] = {
    # in the pool
    (DISCOVERED, _H.BATCHED): _batched,
    (DISCOVERED, _H.PARDONED): _pardoned,
    (DISCOVERED, _H.CHANGED): _newer,
    (DISCOVERED, _H.WITHDRAWN): _withdrawn,
    # in a batch that is to be reserved, fetched or stored
    (BATCHED, _H.STORED): _stored,
    (BATCHED, _H.ASKED_AGAIN): _asked_again,
    (BATCHED, _H.SET_APART): _set_apart,
    (BATCHED, _H.FAILED): _failed,
    (BATCHED, _H.RECALLED): _recalled,
    (BATCHED, _H.CHANGED): _newer,
    # in a batch that is to be acknowledged
    (STORED, _H.ACKNOWLEDGED): _acknowledged,
    (STORED, _H.REFUSED): _refused,
    (STORED, _H.DAMAGED): _batched,
    (STORED, _H.FAILED): _failed,
    (STORED, _H.ACCEPTED): _accepted,
    (STORED, _H.CHANGED): _newer,
    # stored and acknowledged
    (ACKNOWLEDGED, _H.RELISTED): _relisted,
    (ACKNOWLEDGED, _H.REFETCHED): _anew,
    (ACKNOWLEDGED, _H.CHANGED): _anew,
    (ACKNOWLEDGED, _H.ROTTEN): _anew,
    (ACKNOWLEDGED, _H.BARE): _anew,
    # in quarantine: retried daily and alone
    (QUARANTINED, _H.BATCHED): _batched,
    (QUARANTINED, _H.RETRIED): _retried,
    (QUARANTINED, _H.ACCEPTED): _accepted,
    (QUARANTINED, _H.CHANGED): _anew,
    (QUARANTINED, _H.WITHDRAWN): _withdrawn,
    # no longer listed
    (WITHDRAWN, _H.RETURNED): _anew,
    (WITHDRAWN, _H.CHANGED): _anew,
    # closed by an operator
    (ACCEPTED, _H.CHANGED): _newer,
    # an operator may hold and release a document in any state
    **{(state, happened): _held for state in DocumentState for happened in (_H.HELD, _H.RELEASED)},
}
