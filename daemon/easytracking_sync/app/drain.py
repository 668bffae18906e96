"""Listing and fetching side by side until nothing is left that can move, or until it is time to stop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from easytracking_sync.app.listing import Lister
from easytracking_sync.app.station import Station
from easytracking_sync.effects import Effects
from easytracking_sync.errors import (
    CredentialsRefused,
    DatabaseUnavailable,
    Fatal,
    Permanent,
    StorageFault,
    Transient,
)
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.crew import Crew
from easytracking_sync.machine.discovery import Cycle, Span, again
from easytracking_sync.machine.observer import Observer

MOST_LISTERS = 8
NO_PROGRESS_SECONDS = 900.0
"""Without a deadline, a one-shot gives up after this long without a single step forward."""
LOOK_SECONDS = 0.25
COUNT_EVERY_SECONDS = 1.0
FAREWELL_SECONDS = 5.0


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
        self._effects = effects
        self._observer = observer
        self._crew = Crew(at_work.engine, effects.clock, observer, workers=workers)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._to_list: queue.SimpleQueue[tuple[Account, Span]] = queue.SimpleQueue()
        self._listing = 0
        self._windows = 0
        self._found: dict[int, int] = {}
        self._rest: list[tuple[Account, Span, int]] = []
        self._unreadable = 0
        self._problems: list[str] = []
        self._troubles: dict[int, str] = {}
        self._failure: BaseException | None = None
        for account in at_work.accounts:
            self._add(account, spans[account.id])

    def run(self, deadline_seconds: float | None, progress: Shows | None) -> Ended:
        """Until the end, the deadline, or a stop; raises what is Fatal."""
        self._crew.start()
        for number in range(min(MOST_LISTERS, len(self._station.accounts))):
            threading.Thread(target=self._list, name=f"list-{number}", daemon=True).start()
        try:
            why = self._watch(deadline_seconds, progress)
        finally:
            self._stop.set()
            self._crew.stop()
            for account in self._station.accounts:
                if not self._crew.is_idle:
                    self._crew.join(FAREWELL_SECONDS)
                account.service.close()
            self._crew.join(FAREWELL_SECONDS)
        failure = self._crew.failure or self._failure
        if failure is not None:
            raise failure
        return Ended(why, self._unreadable, self._crew.bugs)

    def _watch(self, deadline_seconds: float | None, progress: Shows | None) -> str:
        clock = self._effects.clock
        begun = moved_at = counted_at = clock.monotonic()
        before: tuple[int, ...] = ()
        while True:
            self._crew.changed.clear()
            clock.wait(self._crew.changed, LOOK_SECONDS)
            now = clock.monotonic()
            if self._crew.failure or self._failure or self._station.engine.storage_failure:
                return "storage failed" if self._station.engine.storage_failure else "stopped"
            if now - counted_at < COUNT_EVERY_SECONDS and not (self._crew.is_idle and self._listing == 0):
                continue
            counted_at = now
            waiting = self._count_waiting()
            tally = self._station.engine.tally
            if progress is not None:
                doing = "listing and fetching" if self._listing else "fetching"
                progress.show(
                    listed=sum(self._found.values()), archived=tally.documents, waiting=waiting, doing=doing
                )
            state = (self._windows, tally.moves)
            if state != before:
                before, moved_at = state, now
            if self._listing == 0 and self._crew.is_idle and not self._movable() and not self._list_the_rest():
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
            now = self._effects.clock.now()
            return any(
                count and self._station.archive.accounts.paused(account_id, now) is None
                for account_id, count in waiting.items()
            )
        except DatabaseUnavailable:
            return True

    def _left_over(self, waiting: int) -> str:
        refused = self._station.engine.gate.refused
        now = self._effects.clock.now()
        paused = [
            account.label
            for account in self._station.accounts
            if account.id not in refused and self._station.archive.accounts.paused(account.id, now)
        ]
        reasons = list(self._problems)
        if paused:
            reasons.append(f"{', '.join(paused)} paused: the service refuses every document")
        if waiting and reasons:
            reasons.append(f"{waiting} documents waiting")
        return "; ".join(reasons)

    def _late(self, why: str, waiting: int) -> str:
        troubles = sorted(set(self._troubles.values()))
        listing = "the list is not complete" if self._listing else ""
        return "; ".join(part for part in (why, f"{waiting} documents waiting", listing, *troubles) if part)

    def _add(self, account: Account, span: Span) -> None:
        with self._lock:
            self._listing += 1
        self._to_list.put((account, span))

    def _list(self) -> None:
        while not self._stop.is_set():
            try:
                account, span = self._to_list.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            try:
                self._list_account(account, span)
            except (Transient, Permanent) as trouble:
                self._problems.append(str(trouble))
            except (Fatal, Exception) as failure:  # noqa: BLE001  it is raised again by the caller's thread
                self._failure = failure
            finally:
                with self._lock:
                    self._listing -= 1
                self._crew.changed.set()

    def _list_account(self, account: Account, span: Span) -> None:
        cycle = Cycle(
            self._station.archive.pool,
            self._station.engine.gate,
            self._effects.clock,
            self._observer,
            account,
            span,
        )
        acknowledged = self._station.engine.tally.acknowledged
        lister = Lister(self._effects, self._station.engine.policy, self._observer, self._stop)
        try:
            lister.list_through(cycle, self._note_step, self._note_trouble)
        except CredentialsRefused as refusal:
            self._write_down(cycle, str(refusal))
            return
        self._write_down(cycle, "interrupted" if self._stop.is_set() else None)
        with self._lock:
            self._unreadable += cycle.unreadable
            self._problems += cycle.problems
            if (rest := again(cycle)) is not None:
                self._rest.append((account, rest, acknowledged))

    def _note_step(self, cycle: Cycle) -> None:
        with self._lock:
            self._windows += 1
            self._found[cycle.account.id] = cycle.absorbed.discovered
            self._troubles.pop(cycle.account.id, None)
        self._crew.wake()

    def _note_trouble(self, cycle: Cycle, trouble: Transient) -> None:
        with self._lock:
            self._troubles[cycle.account.id] = str(trouble)
        if isinstance(trouble, StorageFault):
            self._station.engine.storage_failure = str(trouble)

    def _write_down(self, cycle: Cycle, outcome: str | None) -> None:
        record = cycle.record("catch-up", outcome)
        self._station.archive.cycles.record(record, self._effects.clock.now())
        self._observer.note(
            "cycle.ended",
            level="info" if record.outcome == "complete" else "warning",
            account=cycle.account.label,
            windows=record.windows,
            listed=record.listed,
            discovered=record.discovered,
            changed=cycle.absorbed.changed,
            relisted=cycle.absorbed.relisted,
            outcome=record.outcome,
        )

    def _list_the_rest(self) -> bool:
        """Seconds that held more than one list may: list them again, as long as acknowledging made room."""
        with self._lock:
            rest, self._rest = self._rest, []
        for account, span, acknowledged in rest:
            if self._station.engine.tally.acknowledged > acknowledged:
                self._add(account, span)
            else:
                self._problems.append(f"{account.label}: more documents in one second than a list may hold")
        return self._listing > 0
