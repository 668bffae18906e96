"""From the result of an effect to everything that changes with it, as one transition. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from easytracking_sync.events import EventName
from easytracking_sync.machine.batch import Advance, BatchEvent, BatchHappened, advance
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import RefusalDecision, count_refusal, forget_refusals
from easytracking_sync.machine.verdict import Verdict
from easytracking_sync.terms import Batch, BatchState, Claim, Document, KnownFile, PauseStatus, Purpose
from easytracking_sync.transition import (
    BatchMove,
    Detail,
    DocumentMove,
    NewBatch,
    NewFile,
    SeenFile,
    Transition,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an effect: the batch's event, and details for the documents' changes."""

    event: BatchEvent
    verdicts: tuple[Verdict, ...] = ()
    known: Mapping[int, Sequence[KnownFile]] = field(default_factory=dict)  # the documents' files, by row id
    told: bool = True  # the service was told that they are stored


@dataclass(frozen=True, slots=True)
class Permission:
    """What the archive knows when a reservation was accepted or refused; decides whether the account pauses."""

    account: PauseStatus
    sibling_accepted: bool = False  # another part of the original batch was accepted
    suspects: tuple[Document, ...] = ()  # in the pool, failed once, since the refusals began
    planned: tuple[Claim, ...] = ()  # the account's batches that are not reserved yet


def concerns_permission(claim: Claim, event: BatchEvent) -> bool:
    """Whether `decide` needs to know the account's permission."""
    single = event.happened is BatchHappened.REFUSED and len(claim.documents) == 1
    return claim.batch.state is BatchState.PLANNED and (single or event.happened is BatchHappened.JOB_CREATED)


def decide(
    claim: Claim, outcome: Outcome, now: datetime, policy: Policy, permission: Permission | None = None
) -> Transition:
    """Everything that changes: the batch, its documents, halves, files and the account.

    `permission` is needed where `concerns_permission` says so. Raises what the two tables raise.
    """
    event = outcome.event
    outcome = replace(outcome, verdicts=_as_now(claim, outcome.verdicts))
    advanced = advance(claim.batch, event, now, policy)
    counted = _counted(claim, event, now, policy, permission)
    documents = _document_moves(claim, outcome, advanced, counted, now, policy)
    transition = Transition(
        account_id=claim.batch.account_id,
        batches=(_batch_move(claim, advanced, event, outcome.verdicts, documents),),
        documents=documents + _changed_bytes(claim, outcome),
        new_batches=_halves(claim, advanced),
        new_files=_new_files(outcome),
        seen_files=_seen_files(outcome),
        account=counted.account,
    )
    return _paused(transition, permission, now, policy) if counted.pauses and permission is not None else transition


def _as_now(claim: Claim, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts with the documents as the claim has them; the claim is read again if one has changed."""
    carried = {one.document_id: one for one in claim.documents}
    return tuple(replace(one, carried=carried[one.carried.document_id]) for one in verdicts)


def _counted(
    claim: Claim, event: BatchEvent, now: datetime, policy: Policy, permission: Permission | None
) -> RefusalDecision:
    if permission is None or not concerns_permission(claim, event):
        return RefusalDecision(None, counts=True)
    if event.happened is BatchHappened.JOB_CREATED:
        return RefusalDecision(forget_refusals(permission.account), counts=True)
    return count_refusal(permission.account, claim.batch, now, policy, sibling_accepted=permission.sibling_accepted)


def _document_moves(
    claim: Claim, outcome: Outcome, advanced: Advance, counted: RefusalDecision, now: datetime, policy: Policy
) -> tuple[DocumentMove, ...]:
    own = claim.batch.id
    if advanced.by_verdict:
        return tuple(moved(one.carried.document, one.event, now, policy, own) for one in outcome.verdicts)
    if advanced.documents is None:
        return ()
    event = DocumentEvent(advanced.documents, outcome.event.reason, told=outcome.told, counts=counted.counts)
    if counted.pauses and counted.account is not None:
        event = replace(event, not_before=counted.account.after.paused_until)
    if advanced.documents is DocumentHappened.ACKNOWLEDGED:
        event = replace(event, reason="")
    return tuple(
        moved(one.document, replace(event, version=one.version), now, policy, own) for one in claim.documents
    )


def _batch_move(
    claim: Claim,
    advanced: Advance,
    event: BatchEvent,
    verdicts: Sequence[Verdict],
    documents: Sequence[DocumentMove],
) -> BatchMove:
    before, after = claim.batch, advanced.batch
    detail: dict[str, str | int] = {"documents": after.size, "epoch": after.epoch}
    if event.reason:
        detail["reason"] = event.reason
    return BatchMove(
        before,
        after,
        batch_event_name(before, after, event),
        detail,
        leaving=_leaving(claim, advanced, verdicts, documents),
    )


def _leaving(
    claim: Claim, advanced: Advance, verdicts: Sequence[Verdict], documents: Sequence[DocumentMove]
) -> tuple[int, ...]:
    """The documents that leave the batch for a half or the pool. Acknowledged and accepted documents stay linked."""
    if advanced.halves_in is not None:
        return claim.document_ids
    if advanced.by_verdict:
        return tuple(one.carried.document_id for one in verdicts if not one.is_stored)
    if advanced.documents in (DocumentHappened.FAILED, DocumentHappened.RECALLED):
        return tuple(move.before.id for move in documents)
    return ()


def _halves(claim: Claim, advanced: Advance) -> tuple[NewBatch, ...]:
    if advanced.halves_in is None:
        return ()
    middle = (len(claim.documents) + 1) // 2
    return tuple(
        NewBatch(
            advanced.halves_in,
            claim.batch.purpose,
            {one.document_id: one.version for one in half},
            root_id=claim.batch.root_id,
        )
        for half in (claim.documents[:middle], claim.documents[middle:])
    )


def _new_files(outcome: Outcome) -> tuple[NewFile, ...]:
    """Files that were not stored before, each once (SINGLE-COPY, NO-OVERWRITE)."""
    made: list[NewFile] = []
    for one in outcome.verdicts:
        known = outcome.known.get(one.carried.document_id, ())
        have = {(file.type, file.sha256) for file in known}
        ordinal = len(known)
        for file in one.files:
            if (file.type, file.sha256) not in have:
                have.add((file.type, file.sha256))
                made.append(NewFile(one.carried.document_id, ordinal, file, one.carried.version))
                ordinal += 1
    return tuple(made)


def _seen_files(outcome: Outcome) -> tuple[SeenFile, ...]:
    """Files that were already stored, and belong to this version too."""
    return tuple(
        SeenFile(known, one.carried.version)
        for one in outcome.verdicts
        for known in outcome.known.get(one.carried.document_id, ())
        if known.version < one.carried.version
        and any((file.type, file.sha256) == (known.type, known.sha256) for file in one.files)
    )


def _changed_bytes(claim: Claim, outcome: Outcome) -> tuple[DocumentMove, ...]:
    """A journal row for each new file of a type that the document already had."""
    types = {document_id: {file.type for file in known} for document_id, known in outcome.known.items()}
    documents = {one.carried.document_id: one.carried.document for one in outcome.verdicts}
    changed = [new for new in _new_files(outcome) if new.file.type in types.get(new.document_id, ())]
    return tuple(
        DocumentMove(
            documents[new.document_id],
            documents[new.document_id],
            EventName.DOCUMENT_BYTES_CHANGED,
            {"type": new.file.type, "sha256": new.file.sha256},
            claim.batch.id,
        )
        for new in changed
    )


def _paused(transition: Transition, permission: Permission, now: datetime, policy: Policy) -> Transition:
    """The account pauses: do not count the attempts, and recall the batches that are not reserved yet.

    Otherwise these batches would occupy every job slot, each hourly probe would be one of them, and documents that
    arrive meanwhile would never be requested. Halves of a refused batch are suspects.
    """
    move = transition.account
    until = move.after.paused_until if move is not None else None
    own = transition.batches[0].before.id
    pardon = DocumentEvent(DocumentHappened.PARDONED, not_before=until)
    pardoned = tuple(moved(document, pardon, now, policy) for document in permission.suspects)
    recalled = [claim for claim in permission.planned if claim.batch.id != own and _is_recalled(claim.batch)]
    batches = tuple(_recall(claim, now, policy) for claim in recalled)
    documents = tuple(
        moved(
            one.document,
            DocumentEvent(DocumentHappened.RECALLED, suspect=claim.batch.root_id != claim.batch.id, not_before=until),
            now,
            policy,
            claim.batch.id,
        )
        for claim in recalled
        for one in claim.documents
    )
    return replace(
        transition,
        batches=transition.batches + batches,
        documents=transition.documents + pardoned + documents,
    )


def _is_recalled(batch: Batch) -> bool:
    return batch.purpose in (Purpose.FRESH, Purpose.SUSPECT)


def _recall(claim: Claim, now: datetime, policy: Policy) -> BatchMove:
    reason = "the account pauses because every document is refused"
    recalled = advance(claim.batch, BatchEvent(BatchHappened.PAUSED, reason), now, policy).batch
    return unclaimed(claim.batch, recalled, EventName.BATCH_ABANDONED, reason, leaving=claim.document_ids)


def unclaimed(
    before: Batch, after: Batch, name: EventName, reason: str, *, leaving: tuple[int, ...] = ()
) -> BatchMove:
    """The move of a batch that no worker holds; its epoch fences it like any other."""
    after = replace(after, epoch=before.epoch + 1)
    detail: Detail = {"reason": reason, "epoch": after.epoch}
    return BatchMove(before, after, name, detail, claimed=False, leaving=leaving)


def batch_event_name(before: Batch, after: Batch, event: BatchEvent) -> EventName | None:
    """The event's name in the journal and the log; None for a job that is not ready."""
    if event.happened is BatchHappened.PENDING:
        return None
    if after.state is BatchState.PLANNED and before.state is not BatchState.PLANNED:
        return EventName.BATCH_LOST if event.happened is not BatchHappened.PARCEL_GONE else EventName.PARCEL_GONE
    if after.state is before.state:
        return EventName(f"batch.{event.happened}")
    if before.purpose is Purpose.RELISTED and after.state is BatchState.ACKNOWLEDGED:
        return EventName.BATCH_ACKNOWLEDGED_AGAIN
    return EventName(f"batch.{after.state}")
