"""Mending what a comparison found: what is missing or rotten is fetched, what is unmarked is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from easytracking_sync.app import CatchUp, Outcome, Progress, catch_up
from easytracking_sync.app.reconcile import Proof
from easytracking_sync.app.scrub import is_suspicious
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done, besides the catch-up's own outcome."""

    outcome: Outcome
    reopened: int = 0  # documents whose bytes had rotten or were not there
    retried: int = 0  # documents in quarantine, or that could not be acknowledged, tried again now
    left_alone: tuple[str, ...] = ()  # accounts with more rotten than whole: a disk that is not mounted?


def repair(
    settings: Settings,
    archive: Archive,
    proofs: Sequence[Proof],
    start: date | None,
    end: date | None,
    *,
    effects: Effects,
    observer: Observer,
    progress: Progress | None = None,
) -> Repaired:
    """Do what these proofs ask for, for their accounts and days; safe to repeat and to interrupt.

    While a service runs, it does the work. Raises what `catch_up` raises.
    """
    known = {entry.identity: entry for entry in archive.accounts.entries()}
    now = effects.clock.now()
    reopened = retried = 0
    left_alone = []
    for proof in proofs:
        entry = known.get(settings.accounts[proof.account].identity)
        if entry is None:
            continue
        if is_suspicious(len(proof.rotten), proof.files):
            left_alone.append(proof.account)
        else:
            reopened += archive.integrity.refetch(proof.rotten, now)
        reopened += archive.integrity.refetch_bare(entry.id, proof.bare, now)
        wanted = {*proof.missing, *proof.unmarked}
        troubled = [
            one for one in archive.catalogue.troubled() if one.account == entry.label and one.doc_id in wanted
        ]
        hastened = archive.remedies.retry(troubled, now)
        retried += hastened.fetches + hastened.acknowledgements
    outcome = catch_up(
        settings,
        CatchUp(tuple(proof.account for proof in proofs), start, end),
        effects=effects,
        progress=progress,
        observer=observer,
    )
    return Repaired(outcome, reopened, retried, tuple(left_alone))
