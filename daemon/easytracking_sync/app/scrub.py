"""The scrub: everything stored is read and hashed, and what has rotten is sent to be fetched again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from easytracking_sync.archive.integrity import Rotten
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Clock
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.machine.observer import Observer

SUSPICIOUS = 20
"""From so many rotten files on, more rotten than whole means a store that is not there rather than one that rots."""

HELD_BACK = 1000
"""Rotten files that wait for this judgement; also the most that are kept for showing."""


@dataclass(slots=True)
class ScrubOutcome:
    """What a scrub found. `shown` are the first of the rotten files."""

    files: int = 0
    bytes: int = 0
    rotten: int = 0
    lost: int = 0  # of them, older versions, which cannot come again
    refetched: int = 0  # documents
    suspicious: bool = False  # most of it is gone, so nothing was sent and the rest was not read
    shown: list[Rotten] = field(default_factory=list)


def scrub(
    archive: Archive,
    account_ids: Collection[int] | None,
    *,
    clock: Clock,
    observer: Observer,
    refetch_all: bool,
    on_step: Callable[[ScrubOutcome], object] = lambda _: None,
) -> ScrubOutcome:
    """Read and hash every file of these accounts (all where None), alarm about each rotten one, and send for it.

    Where more is rotten than whole, as with a disk that is not mounted, nothing is sent, unless `refetch_all`. Safe
    beside a service, safe to repeat.
    """
    outcome = ScrubOutcome()
    waiting: list[Rotten] = []
    for page in archive.integrity.scrub(account_ids):
        outcome.files += page.files
        outcome.bytes += page.bytes
        outcome.rotten += len(page.rotten)
        waiting += page.rotten
        on_step(outcome)
        if len(waiting) >= HELD_BACK:
            if is_suspicious(outcome.rotten, outcome.files) and not refetch_all:
                break
            _send(archive, waiting, outcome, clock, observer)
    if waiting and is_suspicious(outcome.rotten, outcome.files) and not refetch_all:
        outcome.suspicious = True
        outcome.shown += waiting[: HELD_BACK - len(outcome.shown)]
        observer.note("storage.gone", level="error", files=outcome.files, rotten=outcome.rotten)
    else:
        _send(archive, waiting, outcome, clock, observer)
    return outcome


def is_suspicious(rotten: int, files: int) -> bool:
    """Whether so much is rotten that the store is rather not there, as with a disk that is not mounted."""
    return rotten >= SUSPICIOUS and rotten * 2 > files


def _send(archive: Archive, waiting: list[Rotten], outcome: ScrubOutcome, clock: Clock, observer: Observer) -> None:
    """Alarm, and send to be fetched again; `waiting` is empty afterwards."""
    for one in waiting:
        observer.note(
            "file.rotten", level="error", account=one.account, document=one.doc_id, type=one.type, sha256=one.sha256
        )
    outcome.lost += sum(not one.current for one in waiting)
    outcome.refetched += Corrections(archive).fetch_rotten(waiting, clock.now())
    outcome.shown += waiting[: HELD_BACK - len(outcome.shown)]
    waiting.clear()
