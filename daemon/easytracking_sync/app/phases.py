"""The four phase calls, at the operator's wish, in hundreds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from easytracking_sync.app.composition import service_of
from easytracking_sync.archive.entries import DocumentEntry
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import Refused, SyncError, UsageError
from easytracking_sync.remote import EasyTracking
from easytracking_sync.settings import Settings
from easytracking_sync.terms import MOST_IDS_PER_CALL, AcknowledgeWith, DocumentState

HOME = (DocumentState.STORED, DocumentState.ACKNOWLEDGED)


class Verb(StrEnum):
    """What is done to the phase."""

    SET = "set"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """How one document fared: `trouble` is why nothing is known to have changed."""

    document: DocumentEntry
    trouble: SyncError | None = None


def change_phase(
    settings: Settings,
    archive: Archive,
    documents: Sequence[DocumentEntry],
    verb: Verb,
    phase: int,
    *,
    force: bool,
    effects: Effects,
) -> list[PhaseChange]:
    """Set or clear a phase at the service, and hold what was cleared: it is left alone until its phase is set again.

    UsageError before any call for an account the configuration does not have, and, unless forced, where `set` of
    phase 1, or of the phase that acknowledges, names a document that is not stored here. One refused document does
    not keep the others from it; a service that refuses the login, or does not answer, is not asked again. Repeating
    is safe.
    """
    by_account: dict[str, list[DocumentEntry]] = defaultdict(list)
    for document in {document.row_id: document for document in documents}.values():
        by_account[document.account].append(document)
    for label, theirs in by_account.items():
        if label not in settings.accounts:
            raise UsageError(f"the configuration has no account {label}, so its service cannot be called")
        if verb is Verb.SET and not force:
            _require_stored(theirs, phase, settings.accounts[label].acknowledge)
    changes: list[PhaseChange] = []
    for label, theirs in by_account.items():
        with service_of(settings, label, effects) as service:
            changes += _change(archive, service, theirs, verb, phase, settings.accounts[label].acknowledge, effects)
    return changes


def _require_stored(documents: Collection[DocumentEntry], phase: int, acknowledge: AcknowledgeWith) -> None:
    absent = [document.shown_id for document in documents if document.state not in HOME]
    if absent and phase in {1, own_phase(acknowledge)}:
        shown = ", ".join(absent[:5]) + (" …" if len(absent) > 5 else "")
        raise UsageError(
            f"not stored here: {shown}; setting phase {phase} would hide them (--force does it all the same)"
        )


def own_phase(acknowledge: AcknowledgeWith) -> int:
    """The phase that tells us what is new; with `none` still the first, which the list is asked by."""
    return 2 if acknowledge is AcknowledgeWith.PHASE2 else 1


def _change(
    archive: Archive,
    service: EasyTracking,
    documents: Sequence[DocumentEntry],
    verb: Verb,
    phase: int,
    acknowledge: AcknowledgeWith,
    effects: Effects,
) -> list[PhaseChange]:
    ours = phase == own_phase(acknowledge)
    if ours and verb is Verb.CLEAR:  # held first: a listing in between must not set it again
        archive.remedies.hold(documents, effects.clock.now(), held=True)
    call = {
        (Verb.SET, 1): service.set_phase_1,
        (Verb.CLEAR, 1): service.clear_phase_1,
        (Verb.SET, 2): service.set_phase_2,
        (Verb.CLEAR, 2): service.clear_phase_2,
    }[verb, phase]
    changes = _in_hundreds(call, documents)
    now = effects.clock.now()
    done = [change.document for change in changes if change.trouble is None]
    if ours and verb is Verb.SET:
        archive.remedies.hold(done, now, held=False)
    elif ours:  # where no answer came, the phase may be cleared: those stay held
        refused = [change.document for change in changes if isinstance(change.trouble, Refused)]
        archive.remedies.hold([document for document in refused if not document.held], now, held=False)
    archive.remedies.note(done, "phase.set" if verb is Verb.SET else "phase.cleared", {"phase": phase}, now)
    return changes


def _in_hundreds(call: Callable[[Collection[int]], None], documents: Sequence[DocumentEntry]) -> list[PhaseChange]:
    changes: list[PhaseChange] = []
    for start in range(0, len(documents), MOST_IDS_PER_CALL):
        changes += _tell(call, documents[start : start + MOST_IDS_PER_CALL])
        last = changes[-1].trouble
        if last is not None and not isinstance(last, Refused):
            changes += [PhaseChange(document, last) for document in documents[start + MOST_IDS_PER_CALL :]]
            break
    return changes


def _tell(call: Callable[[Collection[int]], None], documents: Sequence[DocumentEntry]) -> list[PhaseChange]:
    """One call; where it is refused, its halves, down to the single document that is at fault."""
    try:
        call([document.doc_id for document in documents])
    except Refused as refusal:
        if len(documents) == 1:
            return [PhaseChange(documents[0], refusal)]
        middle = len(documents) // 2
        first = _tell(call, documents[:middle])
        last = first[-1].trouble
        if last is not None and not isinstance(last, Refused):
            return first + [PhaseChange(document, last) for document in documents[middle:]]
        return first + _tell(call, documents[middle:])
    except SyncError as trouble:
        return [PhaseChange(document, trouble) for document in documents]
    return [PhaseChange(document) for document in documents]
