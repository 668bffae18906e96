"""One document's history, and what happens to it next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from easytracking_sync.app.status import shortage_of
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.archive.document_entries import DocumentEntry, HistoryEntry
from easytracking_sync.archive.opening import Archive
from easytracking_sync.settings import Settings
from easytracking_sync.terms import AcknowledgeWith, Batch, Claim, DocumentState


class Prospect(StrEnum):
    """What happens to a document next, or what prevents it. The comments name the fields of its Expectation."""

    FETCHED = "fetched"  # at
    FETCHED_AGAIN = "fetched_again"  # at, reason
    ATTEMPTS_FAILED = "attempts_failed"  # number of `most`, at, reason
    IN_BATCH = "in_batch"  # at, batch
    NO_BATCH = "no_batch"
    ACKNOWLEDGEMENT_REFUSED = "acknowledgement_refused"  # reason
    QUARANTINED = "quarantined"  # number of attempts, at, reason
    DONE = "done"
    DONE_WITHOUT_TRACE = "done_without_trace"  # the account acknowledges nothing
    NOT_ACKNOWLEDGED = "not_acknowledged"  # until it is listed again
    NEVER_ACKNOWLEDGED = "never_acknowledged"  # since it is held
    INCOMPLETE = "incomplete"  # reason: the missing types
    WITHDRAWN = "withdrawn"
    ACCEPTED = "accepted"  # reason
    HELD = "held"  # number of the phase
    ACCOUNT_PAUSED = "account_paused"  # at, reason
    LIST_FAILS = "list_fails"  # reason
    NOT_CONFIGURED = "not_configured"
    DISK_FULL = "disk_full"  # reason


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing to expect. Without `at`, or if it has passed: as soon as possible."""

    what: Prospect
    at: datetime | None = None
    reason: str = ""
    number: int = 0
    most: int = 0
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A document, its history (oldest first), and what to expect, in the order to show it."""

    document: DocumentEntry
    history: tuple[HistoryEntry, ...]
    expectations: tuple[Expectation, ...]


NOT_DONE = (
    DocumentState.DISCOVERED,
    DocumentState.BATCHED,
    DocumentState.STORED,
    DocumentState.QUARANTINED,
)


def explain_document(archive: Archive, settings: Settings, named: str, now: datetime) -> Explanation:
    """Explain the document `[ACCOUNT/]ID`; UsageError if it is unknown or several accounts have it."""
    document = archive.document_search.find(named)
    (overview,) = archive.account_statuses.overviews((document.account,))
    expected = [*_next(archive, settings, document, overview)]
    if document.state in NOT_DONE:
        expected += _obstacles(settings, overview, now)
    if document.state in {DocumentState.DISCOVERED, DocumentState.QUARANTINED} and (short := shortage_of(archive)):
        expected.append(Expectation(Prospect.DISK_FULL, reason=str(short)))
    return Explanation(document, archive.document_search.history(document), tuple(expected))


def _next(
    archive: Archive, settings: Settings, document: DocumentEntry, overview: AccountOverview
) -> Iterator[Expectation]:
    at, reason = document.next_attempt_at, document.reason or ""
    acknowledge = _acknowledges(settings, overview)
    match document.state:
        case DocumentState.DISCOVERED if document.attempts:
            most = settings.sync.max_attempts
            yield Expectation(Prospect.ATTEMPTS_FAILED, at, reason, document.attempts, most)
        case DocumentState.DISCOVERED:
            yield Expectation(Prospect.FETCHED_AGAIN if reason else Prospect.FETCHED, at, reason)
        case DocumentState.BATCHED | DocumentState.STORED:
            if document.unacknowledgeable:
                yield Expectation(Prospect.ACKNOWLEDGEMENT_REFUSED, reason=reason)
            yield _in_batch(archive.batches.carrying(document.row_id))
        case DocumentState.QUARANTINED:
            yield Expectation(Prospect.QUARANTINED, at, reason, document.attempts)
        case DocumentState.ACKNOWLEDGED:
            yield from _is_stored(document, acknowledge)
        case DocumentState.WITHDRAWN:
            yield Expectation(Prospect.WITHDRAWN)
        case DocumentState.ACCEPTED:
            yield Expectation(Prospect.ACCEPTED, reason=reason)
    if document.held:
        yield Expectation(Prospect.HELD, number=2 if acknowledge is AcknowledgeWith.PHASE2 else 1)


def _in_batch(claim: Claim | None) -> Expectation:
    if claim is None:
        return Expectation(Prospect.NO_BATCH)
    return Expectation(Prospect.IN_BATCH, claim.batch.next_attempt_at, batch=claim.batch)


def _is_stored(document: DocumentEntry, acknowledge: AcknowledgeWith | None) -> Iterator[Expectation]:
    if document.acknowledged_at is not None:
        yield Expectation(Prospect.DONE)
    elif acknowledge is AcknowledgeWith.NONE:
        yield Expectation(Prospect.DONE_WITHOUT_TRACE)
    else:
        yield Expectation(Prospect.NEVER_ACKNOWLEDGED if document.held else Prospect.NOT_ACKNOWLEDGED)
    if document.missing_types:
        yield Expectation(Prospect.INCOMPLETE, reason=", ".join(document.missing_types))


def _obstacles(settings: Settings, overview: AccountOverview, now: datetime) -> Iterator[Expectation]:
    if overview.paused_until is not None and overview.paused_until > now:
        why = overview.pause_message or str(overview.pause_reason)
        yield Expectation(Prospect.ACCOUNT_PAUSED, overview.paused_until, why)
    if overview.trouble and overview.trouble != overview.pause_message:
        yield Expectation(Prospect.LIST_FAILS, reason=overview.trouble)
    if overview.identity not in settings.labels:
        yield Expectation(Prospect.NOT_CONFIGURED)


def _acknowledges(settings: Settings, overview: AccountOverview) -> AcknowledgeWith | None:
    label = settings.labels.get(overview.identity)
    return None if label is None else settings.accounts[label].acknowledge
