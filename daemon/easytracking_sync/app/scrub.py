"""The scrub: reads and hashes every stored file, and requests damaged ones again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.scrub import RottenFile
from easytracking_sync.effects import Clock
from easytracking_sync.events import EventName
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.machine.observer import Observer

SUSPICIOUS = 20
"""If at least this many files are damaged, and more than half, the store is probably not mounted."""

HELD_BACK = 1000
"""Collect this many damaged files before requesting them again; also the maximum to show."""


@dataclass(slots=True)
class ScrubOutcome:
    """What a scrub found."""

    files: int = 0
    bytes: int = 0
    rotten: int = 0  # damaged or missing files
    lost: int = 0  # of them, older versions, which cannot be fetched again
    refetched: int = 0  # documents to be fetched again
    suspicious: bool = False  # more than half is damaged, so the scrub stopped
    shown: list[RottenFile] = field(default_factory=list)  # the first damaged files


def scrub(
    archive: Archive,
    account_ids: Collection[int] | None,
    *,
    clock: Clock,
    observer: Observer,
    refetch_all: bool,
    on_step: Callable[[ScrubOutcome], object] = lambda _: None,
) -> ScrubOutcome:
    """Read and hash every file of these accounts (all if None); report each damaged file and request it again.

    If more than half is damaged, as with a disk that is not mounted, nothing is requested unless `refetch_all`. Safe
    beside a running service, and safe to repeat.
    """
    outcome = ScrubOutcome()
    waiting: list[RottenFile] = []
    for page in archive.scrubber.scrub(account_ids):
        outcome.files += page.files
        outcome.bytes += page.bytes
        outcome.rotten += len(page.rotten)
        waiting += page.rotten
        on_step(outcome)
        if len(waiting) >= HELD_BACK:
            if is_suspicious(outcome.rotten, outcome.files) and not refetch_all:
                break
            _refetch(archive, waiting, outcome, clock, observer)
    if waiting and is_suspicious(outcome.rotten, outcome.files) and not refetch_all:
        outcome.suspicious = True
        outcome.shown += waiting[: HELD_BACK - len(outcome.shown)]
        observer.note(EventName.STORAGE_GONE, files=outcome.files, rotten=outcome.rotten)
    else:
        _refetch(archive, waiting, outcome, clock, observer)
    return outcome


def is_suspicious(rotten: int, files: int) -> bool:
    """Whether so much is damaged that the store is probably not mounted."""
    return rotten >= SUSPICIOUS and rotten * 2 > files


def _refetch(
    archive: Archive, waiting: list[RottenFile], outcome: ScrubOutcome, clock: Clock, observer: Observer
) -> None:
    """Report and request again; empties `waiting`."""
    for one in waiting:
        observer.note(
            EventName.FILE_ROTTEN, account=one.account, document=one.doc_id, type=one.type, sha256=one.sha256
        )
    outcome.lost += sum(not one.current for one in waiting)
    outcome.refetched += Corrections(archive).fetch_rotten(waiting, clock.now())
    outcome.shown += waiting[: HELD_BACK - len(outcome.shown)]
    waiting.clear()
