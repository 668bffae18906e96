"""Listing and fetching side by side until nothing is left that can move, or until it is time to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from easytracking_sync.app.composition import Station, farewell
from easytracking_sync.app.listers import LOOK_SECONDS, NO_PROGRESS_SECONDS, Listers
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.engine_threads import Crew
from easytracking_sync.machine.listing.cycle import Span
from easytracking_sync.machine.observer import Observer
from easytracking_sync.terms import PauseReason

COUNT_EVERY_SECONDS = 1.0


class Shows(Protocol):
    """Whoever draws the progress."""

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a drain ended; `why_unfinished` is empty where everything is done that can be."""

    why_unfinished: str
    unreadable: int
    bugs: int


class Drain:
    """One run over these spans. Threads list, the crew moves batches, the caller's thread watches."""

    def __init__(
        self, at_work: Station, spans: Mapping[int, Span], effects: Effects, observer: Observer, *, workers: int
    ) -> None:
        self._station = at_work
        self._clock = effects.clock
        self._crew = Crew(at_work.engine, effects.clock, observer, workers=workers)
        self._listers = Listers(at_work, self._crew, effects, observer, kind="catch-up")
        for account in at_work.accounts:
            self._listers.ask(account, spans[account.id])

    def run(self, deadline_seconds: float | None, progress: Shows | None) -> Ended:
        """Until the end, the deadline, or a stop; raises what is Fatal, and a bug."""
        self._crew.start()
        self._listers.start()
        try:
            why = self._watch(deadline_seconds, progress)
        finally:
            self._listers.stop()
            farewell(self._crew, self._station.accounts)
        failure = self._crew.failure or self._listers.listed.failure
        if failure is not None:
            raise failure
        return Ended(why, self._listers.listed.unreadable, self._crew.bugs)

    @property
    def reasons(self) -> Mapping[int, str]:
        """Account → why its list did not come."""
        return self._listers.listed.troubles

    def _watch(self, deadline_seconds: float | None, progress: Shows | None) -> str:
        engine, listed = self._station.engine, self._listers.listed
        begun = moved_at = counted_at = self._clock.monotonic()
        before = (0, 0)
        while True:
            self._crew.changed.clear()
            self._clock.wait(self._crew.changed, LOOK_SECONDS)
            now = self._clock.monotonic()
            if self._crew.failure or listed.failure:
                return "stopped"
            if engine.storage_failure:
                return "storage failed"
            at_rest = self._crew.is_idle and self._listers.is_idle
            if now - counted_at < COUNT_EVERY_SECONDS and not at_rest:
                continue
            counted_at = now
            waiting = self._count_waiting()
            if progress is not None:
                doing = "fetching" if self._listers.is_idle else "listing and fetching"
                found = sum(listed.found.values())
                progress.show(listed=found, archived=engine.tally.documents, waiting=waiting, doing=doing)
            if (state := (sum(listed.windows.values()), engine.tally.moves)) != before:
                before, moved_at = state, now
            if at_rest and not self._movable() and not self._list_the_rests():
                return self._left_over(waiting)
            if deadline_seconds is not None and now - begun >= deadline_seconds:
                return self._late(f"the deadline of {deadline_seconds:g} seconds passed", waiting)
            if deadline_seconds is None and now - moved_at >= NO_PROGRESS_SECONDS:
                return self._late(f"nothing moved for {NO_PROGRESS_SECONDS / 60:g} minutes", waiting)

    def _count_waiting(self) -> int:
        try:
            return sum(self._station.archive.pool.waiting(self._station.account_ids).values())
        except DatabaseUnavailable:
            return 0

    def _movable(self) -> bool:
        """Whether anything waits that an account which is not paused may still bring home in this run."""
        try:
            waiting = self._station.archive.pool.waiting(self._station.account_ids)
            pauses = self._station.archive.accounts.pauses(self._clock.now())
        except DatabaseUnavailable:
            return True
        return any(count and account_id not in pauses for account_id, count in waiting.items())

    def _list_the_rests(self) -> bool:
        """Whether there are seconds to list again: only as long as acknowledging makes room in their answer."""
        asked = False
        for rest in self._listers.take_rests():
            if self._station.engine.tally.acknowledged > rest.acknowledged:
                asked |= self._listers.ask(rest.account, rest.span)
            else:
                problems = self._listers.listed.problems.setdefault(rest.account.id, [])
                problems.append(f"{rest.account.label}: one second holds more documents than a list may")
        return asked

    def _left_over(self, waiting: int) -> str:
        pauses = self._station.archive.accounts.pauses(self._clock.now())
        paused = [
            account.label for account in self._station.accounts if pauses.get(account.id) is PauseReason.PERMISSION
        ]
        reasons = [problem for problems in self._listers.listed.problems.values() for problem in problems]
        if paused:
            reasons.append(f"{', '.join(paused)} paused: the service refuses every document")
        if waiting and reasons:
            reasons.append(f"{waiting} documents waiting")
        return "; ".join(reasons)

    def _late(self, why: str, waiting: int) -> str:
        listing = "" if self._listers.is_idle else "the list is not complete"
        troubles = sorted(set(self._listers.listed.troubles.values()))
        return "; ".join(part for part in (why, f"{waiting} documents waiting", listing, *troubles) if part)
