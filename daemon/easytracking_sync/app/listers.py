"""Threads that list. A cycle that waits for its service waits without a thread and keeps no account waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from easytracking_sync.app.composition import Station
from easytracking_sync.app.listing import Lister
from easytracking_sync.app.reach import Reach
from easytracking_sync.archive.cycles import CycleRecord
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
from easytracking_sync.machine.engine_threads import Crew
from easytracking_sync.machine.listing.cycle import Cycle, Span, again
from easytracking_sync.machine.listing.lease import Floor
from easytracking_sync.machine.observer import Observer

MOST_LISTERS = 8
LOOK_SECONDS = 0.25
INTERRUPTED = "interrupted"
MOST_PROBLEMS = 20
NO_PROGRESS_SECONDS = 900.0
"""Work that somebody waits for, without a deadline, ends after this long without a single step forward."""
ASK_AGAIN_SECONDS = 1.0
"""While another instance lists the account."""

STEP_SECONDS = 3600.0
"""Longer than any step that does not hang: a list may take five minutes to come, and as long to be taken in."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Seconds that held more than one list may hold: to be listed again once acknowledging has made room."""

    account: Account
    span: Span
    acknowledged: int  # by the whole engine, when they were listed


@dataclass(slots=True)
class Listed:
    """What all cycles so far came to."""

    windows: dict[int, int] = field(default_factory=dict)  # account → windows that came
    unreadable: int = 0
    found: dict[int, int] = field(default_factory=dict)  # account → new documents in its last cycle
    troubles: dict[int, str] = field(default_factory=dict)  # account → why its list does not come
    problems: dict[int, list[str]] = field(default_factory=dict)  # account → what its cycles left open
    rests: list[Rest] = field(default_factory=list)
    failure: BaseException | None = None


OnEnd = Callable[[CycleRecord | None], object]


@dataclass(slots=True)
class _Listing:
    """One cycle on its way, from being asked for to its end; touched by one thread at a time."""

    account: Account
    cycle: Cycle
    acknowledged: int  # by the whole engine, when it began
    on_end: OnEnd | None
    patient: bool
    due_at: float = 0.0  # monotonic
    failures: int = 0
    failing_since: float = 0.0


class Listers:
    """Lists what is asked for; an account is never listed twice at once. `kind` names the cycles in the archive."""

    def __init__(self, at_work: Station, crew: Crew, effects: Effects, observer: Observer, *, kind: str) -> None:
        self.listed = Listed()
        self._station = at_work
        self._crew = crew
        self._effects = effects
        self._observer = observer
        self._kind = kind
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._come = threading.Semaphore(0)
        self._waiting: list[_Listing] = []
        self._under_way: set[int] = set()  # accounts in a thread's hands
        self._floor = Floor(at_work.archive.leases, effects.clock)
        self._reach = Reach(at_work.archive.accounts, effects.clock, observer, at_work.engine.policy)
        self._lister = Lister(effects, at_work.engine.policy, observer, self._stop)

    def start(self) -> None:
        """Begin to work; once."""
        for number in range(max(1, min(MOST_LISTERS, len(self._station.accounts)))):
            threading.Thread(target=self._work, name=f"list-{number}", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing more; a call under way goes on, or breaks off when its service is closed."""
        self._stop.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being listed or waits to be."""
        with self._lock:
            return not (self._under_way or self._waiting)

    def ask(self, account: Account, span: Span, on_end: OnEnd | None = None, *, patient: bool = True) -> bool:
        """List this span of the account. `on_end` is called with the cycle's record when it ended in whatever way.

        While the account is being listed already, here or by another instance, a patient asker waits, any other goes
        without: False where that is known at once, else there is no record.
        """
        engine = self._station.engine
        with self._lock:
            if not patient and self._has_work(account.id):
                return False
            cycle = Cycle(self._station.archive.pool, engine.gate, self._effects.clock, self._observer, account, span)
            self._waiting.append(_Listing(account, cycle, engine.tally.acknowledged, on_end, patient))
        self._come.release()
        return True

    def try_now(self, account_id: int) -> None:
        """A list that waits for its service to answer is tried at once, and as patiently as at first."""
        self._reach.forget(account_id)
        with self._lock:
            for listing in self._waiting:
                if listing.account.id == account_id:
                    listing.due_at = self._effects.clock.monotonic()
                    listing.failures = 0
        self._come.release()

    def drop(self, account_id: int) -> None:
        """The account is another by now: its list, if it waits for the service to answer, ends as it is."""
        self._reach.forget(account_id)
        with self._lock:
            dropped = [listing for listing in self._waiting if listing.account.id == account_id]
            self._waiting = [listing for listing in self._waiting if listing.account.id != account_id]
        for listing in dropped:
            self._finish(listing, None)

    def take_rests(self) -> list[Rest]:
        """What is to be listed again, each once."""
        with self._lock:
            rests, self.listed.rests = self.listed.rests, []
        return rests

    def _work(self) -> None:
        turns = self._crew.turns
        turns.rest()
        while not self._stop.is_set():
            self._come.acquire(timeout=LOOK_SECONDS)
            while not self._stop.is_set() and (listing := self._take()) is not None:
                turns.begin(STEP_SECONDS)
                self._go_on_with(listing)
                turns.rest()
        turns.leave()

    def _take(self) -> _Listing | None:
        now = self._effects.clock.monotonic()
        with self._lock:
            for listing in self._waiting:
                if listing.due_at <= now and listing.account.id not in self._under_way:
                    self._waiting.remove(listing)
                    self._under_way.add(listing.account.id)
                    return listing
        return None

    def _has_work(self, account_id: int) -> bool:
        return account_id in self._under_way or any(one.account.id == account_id for one in self._waiting)

    def _put_off(self, listing: _Listing, seconds: float) -> None:
        listing.due_at = self._effects.clock.monotonic() + seconds
        with self._lock:
            self._under_way.discard(listing.account.id)
            self._waiting.append(listing)

    def _go_on_with(self, listing: _Listing) -> None:
        """Until the listing's end, or until it has to wait."""
        record = None
        try:
            with self._floor.of(listing.account.id) as is_ours:
                if is_ours:
                    pause, record = self._list(listing)
                else:
                    pause = ASK_AGAIN_SECONDS if listing.patient else None
                    self._observer.note("cycle.elsewhere", level="debug", account=listing.account.label)
        except (Transient, Permanent) as trouble:
            pause = None
            self._note(listing.account, trouble)
            facts = {"account": listing.account.label, "reason": str(trouble)}
            self._observer.note("cycle.failed", level="error", **facts)
        except (Fatal, Exception) as failure:  # noqa: BLE001  whoever watches the listers raises it
            pause = None
            self.listed.failure = failure
        if pause is not None:
            self._put_off(listing, pause)
            return
        with self._lock:
            self._under_way.discard(listing.account.id)
        self._finish(listing, record)

    def _finish(self, listing: _Listing, record: CycleRecord | None) -> None:
        if listing.on_end is not None:
            listing.on_end(record)
        self._crew.changed.set()

    def _list(self, listing: _Listing) -> tuple[float | None, CycleRecord | None]:
        """After how many seconds to go on, or how it ended."""
        more = True
        try:
            while more and not self._stop.is_set():
                made = self._lister.step(listing.cycle, listing.failures)
                more = made.more
                if made.trouble is None:
                    self._note_step(listing)
                elif self._gives_up(listing, made.trouble):
                    return None, self._give_up(listing, made.trouble)
                else:
                    return made.pause_seconds, None
        except CredentialsRefused as refusal:
            return None, self._write_down(listing.cycle, str(refusal))
        return None, self._end(listing)

    def _gives_up(self, listing: _Listing, trouble: Transient) -> bool:
        if listing.failures == 0:
            listing.failing_since = self._effects.clock.monotonic()
        listing.failures += 1
        self._note(listing.account, trouble)
        return self._reach.gives_up(listing.account, trouble, listing.failing_since)

    def _give_up(self, listing: _Listing, trouble: Transient) -> CycleRecord:
        self._note_problems(listing.account, [str(trouble)])
        return self._write_down(listing.cycle, str(trouble))

    def _end(self, listing: _Listing) -> CycleRecord:
        cycle = listing.cycle
        record = self._write_down(cycle, INTERRUPTED if self._stop.is_set() else None)
        self._note_problems(cycle.account, cycle.problems)
        with self._lock:
            self.listed.unreadable += cycle.unreadable
            if (rest := again(cycle)) is not None:
                self.listed.rests.append(Rest(cycle.account, rest, listing.acknowledged))
        return record

    def _note_problems(self, account: Account, problems: Sequence[str]) -> None:
        with self._lock:
            before = self.listed.problems.get(account.id, [])
            self.listed.problems[account.id] = list(dict.fromkeys([*before, *problems]))[-MOST_PROBLEMS:]

    def _note_step(self, listing: _Listing) -> None:
        if self._stop.is_set():
            return
        account = listing.account
        listing.failures = 0
        self._floor.keep(account.id)
        self._reach.answered(account)
        self._station.archive.accounts.note_trouble(account.id, None)
        with self._lock:
            self.listed.windows[account.id] = self.listed.windows.get(account.id, 0) + 1
            self.listed.found[account.id] = listing.cycle.absorbed.discovered
            self.listed.troubles.pop(account.id, None)
        self._crew.wake()

    def _note(self, account: Account, trouble: Transient | Permanent) -> None:
        with self._lock:
            self.listed.troubles[account.id] = str(trouble)
        if isinstance(trouble, StorageFault):
            self._station.engine.storage_failure = str(trouble)
        try:
            self._station.archive.accounts.note_trouble(account.id, str(trouble))
        except (DatabaseUnavailable, StorageFault):
            return  # it may be the trouble itself; it is told all the same

    def _write_down(self, cycle: Cycle, outcome: str | None) -> CycleRecord:
        record = cycle.record(self._kind, outcome)
        self._station.archive.cycles.record(record, self._effects.clock.now())
        self._observer.note(
            "cycle.ended",
            level="info" if record.outcome in {"complete", INTERRUPTED} else "warning",
            account=cycle.account.label,
            windows=record.windows,
            listed=record.listed,
            discovered=record.discovered,
            changed=cycle.absorbed.changed,
            relisted=cycle.absorbed.relisted,
            outcome=record.outcome,
        )
        return record
