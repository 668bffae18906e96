"""Sets and clears phases at the service for the operator, up to a hundred documents per call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from easytracking_sync.app.composition import client_of
from easytracking_sync.archive.document_entries import DocumentEntry
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import Refused, SyncError, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.remote import EasyTracking
from easytracking_sync.settings import Settings
from easytracking_sync.terms import MOST_IDS_PER_CALL, STORED_STATES, AcknowledgeWith


class Verb(StrEnum):
    """Whether to set or to clear a phase."""

    SET = "set"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """The result for one document; `trouble` is why its phase may be unchanged."""

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
    """Set or clear a phase at the service. A document whose acknowledging phase is cleared is held until it is set.

    UsageError, before any call, for an account that is not configured, and for setting phase 1 or the acknowledging
    phase of a document that is not stored here, unless `force` is given. A refused document does not affect the
    others. After a refused login or no answer, the account's service is not called again. Safe to repeat.
    """
    by_account: dict[str, list[DocumentEntry]] = defaultdict(list)
    for document in {document.row_id: document for document in documents}.values():
        by_account[document.account].append(document)
    for label, theirs in by_account.items():
        if label not in settings.accounts:
            raise UsageError(f"account {label} is not configured, so its service cannot be called")
        if verb is Verb.SET and not force:
            _require_stored(theirs, phase, settings.accounts[label].acknowledge)
    changes: list[PhaseChange] = []
    for label, theirs in by_account.items():
        with client_of(settings, label, effects) as client:
            changes += _change(archive, client, theirs, verb, phase, settings.accounts[label].acknowledge, effects)
    return changes


def _require_stored(documents: Collection[DocumentEntry], phase: int, acknowledge: AcknowledgeWith) -> None:
    absent = [document.shown_id for document in documents if document.state not in STORED_STATES]
    if absent and phase in {1, own_phase(acknowledge)}:
        shown = ", ".join(absent[:5]) + (" …" if len(absent) > 5 else "")
        raise UsageError(
            f"not stored here: {shown}; setting phase {phase} would mark them as downloaded; --force sets it anyway"
        )


def own_phase(acknowledge: AcknowledgeWith) -> int:
    """The phase that acknowledges; phase 1 for `none`, because lists are filtered by it."""
    return 2 if acknowledge is AcknowledgeWith.PHASE2 else 1


def _change(
    archive: Archive,
    client: EasyTracking,
    documents: Sequence[DocumentEntry],
    verb: Verb,
    phase: int,
    acknowledge: AcknowledgeWith,
    effects: Effects,
) -> list[PhaseChange]:
    ours = phase == own_phase(acknowledge)
    if ours and verb is Verb.CLEAR:  # hold first, or a cycle in between would set it again
        Corrections(archive).hold(documents, effects.clock.now(), held=True)
    call = {
        (Verb.SET, 1): client.set_phase_1,
        (Verb.CLEAR, 1): client.clear_phase_1,
        (Verb.SET, 2): client.set_phase_2,
        (Verb.CLEAR, 2): client.clear_phase_2,
    }[verb, phase]
    changes = _in_hundreds(call, documents)
    now = effects.clock.now()
    done = [change.document for change in changes if change.trouble is None]
    if ours and verb is Verb.SET:
        Corrections(archive).hold(done, now, held=False)
    elif ours:  # without an answer the phase may be cleared: keep those held
        refused = [change.document for change in changes if isinstance(change.trouble, Refused)]
        Corrections(archive).hold([document for document in refused if not document.held], now, held=False)
    Corrections(archive).note(
        done, EventName.PHASE_SET if verb is Verb.SET else EventName.PHASE_CLEARED, {"phase": phase}, now
    )
    return changes


def _in_hundreds(call: Callable[[Collection[int]], None], documents: Sequence[DocumentEntry]) -> list[PhaseChange]:
    changes: list[PhaseChange] = []
    for start in range(0, len(documents), MOST_IDS_PER_CALL):
        changes += _call(call, documents[start : start + MOST_IDS_PER_CALL])
        last = changes[-1].trouble
        if last is not None and not isinstance(last, Refused):
            changes += [PhaseChange(document, last) for document in documents[start + MOST_IDS_PER_CALL :]]
            break
    return changes


def _call(call: Callable[[Collection[int]], None], documents: Sequence[DocumentEntry]) -> list[PhaseChange]:
    """One call; if it is refused, one for each half, down to the refused documents."""
    try:
        call([document.doc_id for document in documents])
    except Refused as refusal:
        if len(documents) == 1:
            return [PhaseChange(documents[0], refusal)]
        middle = len(documents) // 2
        first = _call(call, documents[:middle])
        last = first[-1].trouble
        if last is not None and not isinstance(last, Refused):
            return first + [PhaseChange(document, last) for document in documents[middle:]]
        return first + _call(call, documents[middle:])
    except SyncError as trouble:
        return [PhaseChange(document, trouble) for document in documents]
    return [PhaseChange(document) for document in documents]
