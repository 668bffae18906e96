"""Threads that list accounts. A cycle that waits for a retry occupies no thread and delays no other account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import (
    CredentialsRefused,
    DatabaseUnavailable,
    Fatal,
    Permanent,
    StorageFault,
    Transient,
)
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.circuit_breaker import ArchivePauses
from easytracking_sync.machine.engine import Engine
from easytracking_sync.machine.engine_threads import EngineThreads
from easytracking_sync.machine.intake import Intake
from easytracking_sync.machine.listing.cycle import Cycle
from easytracking_sync.machine.listing.lease import ListingLease
from easytracking_sync.machine.listing.patience import Patience, PatientCycle
from easytracking_sync.machine.listing.scope import Scope
from easytracking_sync.machine.observer import Observer

MOST_THREADS = 8
LOOK_SECONDS = 0.25
INTERRUPTED = "interrupted"
MOST_PROBLEMS = 20
LEASE_RETRY_SECONDS = 1.0
"""Pause before asking again for an account that another instance is listing."""

STEP_SECONDS = 3600.0
"""A longer step is a hang: a list may take five minutes to arrive and as long to be taken in."""

OnEnd = Callable[[CycleRecord | None], object]


@dataclass(frozen=True, slots=True)
class Remainder:
    """Seconds with more documents than a list may return; list them again after acknowledging has made room."""

    account: Account
    scope: Scope
    acknowledged: int  # by the engine, when they were listed


@dataclass(slots=True)
class ListingState:
    """What all cycles so far have found and met, by account id."""

    windows: dict[int, int] = field(default_factory=dict)  # windows listed
    found: dict[int, int] = field(default_factory=dict)  # new documents in the last cycle
    troubles: dict[int, str] = field(default_factory=dict)  # why the account cannot be listed
    problems: dict[int, list[str]] = field(default_factory=dict)  # what its cycles left incomplete
    remainders: list[Remainder] = field(default_factory=list)
    unreadable: int = 0  # list elements without an id
    failure: BaseException | None = None  # Fatal or a bug: the program must stop


@dataclass(slots=True)
class _Request:
    """A requested cycle; used by one thread at a time."""

    run: PatientCycle
    acknowledged: int  # by the engine, when it was requested
    on_end: OnEnd | None
    waits: bool
    due_at: float = 0.0  # monotonic

    @property
    def account(self) -> Account:
        return self.run.cycle.account


class ListingThreads:
    """Runs the requested cycles, at most one per account at a time. `kind` names the cycles in the archive."""

    def __init__(
        self,
        archive: Archive,
        engine: Engine,
        engine_threads: EngineThreads,
        effects: Effects,
        observer: Observer,
        *,
        kind: str,
    ) -> None:
        self.state = ListingState()
        self._archive = archive
        self._engine = engine
        self._engine_threads = engine_threads
        self._clock = effects.clock
        self._observer = observer
        self._kind = kind
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._work = threading.Semaphore(0)
        self._waiting: list[_Request] = []
        self._running: set[int] = set()  # account ids
        self._intake = Intake(archive, engine.policy)
        self._lease = ListingLease(archive.leases, effects.clock)
        self._patience = Patience(ArchivePauses(archive.accounts, engine.policy), engine.policy, effects, observer)

    def start(self, accounts: int) -> None:
        """Start enough threads for this many accounts; call it once."""
        for number in range(max(1, min(MOST_THREADS, accounts))):
            threading.Thread(target=self._run, name=f"list-{number}", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing more. A call under way continues, or breaks off when its client is closed."""
        self._stop.set()

    @property
    def is_idle(self) -> bool:
        """Whether no cycle is running or waiting."""
        with self._lock:
            return not (self._running or self._waiting)

    def request(self, account: Account, scope: Scope, on_end: OnEnd | None = None, *, waits: bool = True) -> bool:
        """Run a cycle over this scope. `on_end` is called with its record, or None if it could not be run to an end.

        If the account is being listed already, here or by another instance, the cycle `waits`, or is not run: False
        if this is known at once, else `on_end` gets None.
        """
        with self._lock:
            if not waits and self._has_work(account.id):
                return False
            circuit_breaker, acknowledged = self._engine.circuit_breaker, self._engine.tally.acknowledged
            gaps = partial(self._archive.cycles.gaps, account.id)
            cycle = Cycle(self._intake, circuit_breaker, self._clock, self._observer, account, scope, gaps)
            run = PatientCycle(
                cycle, self._patience, self._stop, on_answer=self._note_answer, on_failure=self._note_trouble
            )
            self._waiting.append(_Request(run, acknowledged, on_end, waits))
        self._work.release()
        return True

    def retry_now(self, account_id: int) -> None:
        """Retry a cycle that waits for its service at once, and as patiently as at first."""
        self._patience.forget(account_id)
        with self._lock:
            for request in self._waiting:
                if request.account.id == account_id:
                    request.due_at = self._clock.monotonic()
                    request.run.retry_patiently()
        self._work.release()

    def drop(self, account_id: int) -> None:
        """The account has changed: end its waiting cycles."""
        self._patience.forget(account_id)
        with self._lock:
            dropped = [request for request in self._waiting if request.account.id == account_id]
            self._waiting = [request for request in self._waiting if request.account.id != account_id]
        for request in dropped:
            self._end(request, None)

    def take_remainders(self) -> list[Remainder]:
        """What to list again; each is returned once."""
        with self._lock:
            remainders, self.state.remainders = self.state.remainders, []
        return remainders

    def _run(self) -> None:
        hang_detector = self._engine_threads.hang_detector
        hang_detector.pause()
        while not self._stop.is_set():
            self._work.acquire(timeout=LOOK_SECONDS)
            while not self._stop.is_set() and (request := self._take()) is not None:
                hang_detector.begin(STEP_SECONDS)
                self._proceed(request)
                hang_detector.pause()
        hang_detector.end()

    def _take(self) -> _Request | None:
        now = self._clock.monotonic()
        with self._lock:
            for request in self._waiting:
                if request.due_at <= now and request.account.id not in self._running:
                    self._waiting.remove(request)
                    self._running.add(request.account.id)
                    return request
        return None

    def _has_work(self, account_id: int) -> bool:
        return account_id in self._running or any(one.account.id == account_id for one in self._waiting)

    def _proceed(self, request: _Request) -> None:
        """List until the cycle ends or has to wait."""
        account, record, pause = request.account, None, None
        try:
            with self._lease.held(account.id) as is_held:
                if is_held:
                    pause, record = self._list(request)
                else:
                    pause = LEASE_RETRY_SECONDS if request.waits else None
                    self._observer.note(EventName.CYCLE_ELSEWHERE, account=account.label)
        except (Transient, Permanent) as trouble:
            pause = None
            self._note_trouble(account, trouble)
            self._observer.note(EventName.CYCLE_FAILED, account=account.label, reason=str(trouble))
        except (Fatal, Exception) as failure:  # noqa: BLE001  raised by the caller that watches these threads
            pause = None
            self.state.failure = failure
        with self._lock:
            self._running.discard(account.id)
            if pause is not None:
                request.due_at = self._clock.monotonic() + pause
                self._waiting.append(request)
        if pause is None:
            self._end(request, record)

    def _list(self, request: _Request) -> tuple[float | None, CycleRecord | None]:
        """After how many seconds to proceed, or the record of the cycle that has ended."""
        try:
            pause = request.run.proceed()
        except CredentialsRefused as refusal:
            return None, self._record(request.run.cycle, str(refusal))
        return (pause, None) if pause is not None else (None, self._conclude(request))

    def _conclude(self, request: _Request) -> CycleRecord:
        cycle, given_up = request.run.cycle, request.run.given_up
        if given_up is not None:
            record = self._record(cycle, str(given_up))
            self._note_problems(cycle.account, [str(given_up)])
            return record
        record = self._record(cycle, INTERRUPTED if self._stop.is_set() else None)
        self._note_problems(cycle.account, cycle.problems)
        with self._lock:
            self.state.unreadable += cycle.unreadable
            if cycle.remainder is not None:
                self.state.remainders.append(Remainder(cycle.account, cycle.remainder, request.acknowledged))
        return record

    def _end(self, request: _Request, record: CycleRecord | None) -> None:
        if request.on_end is not None:
            request.on_end(record)
        self._engine_threads.changed.set()

    def _note_problems(self, account: Account, problems: Sequence[str]) -> None:
        with self._lock:
            known = self.state.problems.get(account.id, [])
            self.state.problems[account.id] = list(dict.fromkeys([*known, *problems]))[-MOST_PROBLEMS:]

    def _note_answer(self, cycle: Cycle) -> None:
        account = cycle.account
        self._lease.renew(account.id)
        self._archive.accounts.note_trouble(account.id, None)
        with self._lock:
            self.state.windows[account.id] = self.state.windows.get(account.id, 0) + 1
            self.state.found[account.id] = cycle.absorbed.discovered
            self.state.troubles.pop(account.id, None)
        self._engine_threads.wake()

    def _note_trouble(self, account: Account, trouble: Transient | Permanent) -> None:
        with self._lock:
            self.state.troubles[account.id] = str(trouble)
        if isinstance(trouble, StorageFault):
            self._engine.storage_failure = str(trouble)
        try:
            self._archive.accounts.note_trouble(account.id, str(trouble))
        except (DatabaseUnavailable, StorageFault):
            return  # the archive itself may be the trouble, which is reported anyway

    def _record(self, cycle: Cycle, outcome: str | None) -> CycleRecord:
        record = cycle.record(self._kind, outcome)
        self._archive.cycles.record(record, self._clock.now())
        self._observer.note(
            EventName.CYCLE_ENDED,
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
