"""Threads that list: each takes one account's cycle and goes through it, while the others list other accounts."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from easytracking_sync.app.floor import Floor
from easytracking_sync.app.listing import Lister
from easytracking_sync.app.station import Station
from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.effects import Effects
from easytracking_sync.errors import CredentialsRefused, Fatal, Permanent, StorageFault, Transient
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.crew import Crew
from easytracking_sync.machine.discovery import Cycle, Span, again
from easytracking_sync.machine.observer import Observer

MOST_LISTERS = 8
LOOK_SECONDS = 0.25
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Rest:
    """Seconds that held more than one list may hold: to be listed again once acknowledging has made room."""

    account: Account
    span: Span
    acknowledged: int  # by the whole engine, when they were listed


@dataclass(slots=True)
class Listed:
    """What all cycles so far came to."""

    windows: int = 0
    unreadable: int = 0
    found: dict[int, int] = field(default_factory=dict)  # account → new documents in its last cycle
    troubles: dict[int, str] = field(default_factory=dict)  # account → why its list does not come
    problems: list[str] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    failure: BaseException | None = None


OnEnd = Callable[[CycleRecord | None], object]


@dataclass(frozen=True, slots=True)
class _Asked:
    account: Account
    span: Span
    on_end: OnEnd | None
    patient: bool


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
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._busy: set[int] = set()
        self._floor = Floor(at_work.archive.leases, effects.clock, self._stop)

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
            return not self._busy

    def ask(self, account: Account, span: Span, on_end: OnEnd | None = None, *, patient: bool = True) -> bool:
        """List this span of the account; False where the account is being listed already.

        `on_end` is called with the cycle's record, from the thread that listed, when it ended in whatever way. While
        another instance lists the account, a patient asker waits, any other goes without.
        """
        with self._lock:
            if account.id in self._busy:
                return False
            self._busy.add(account.id)
        self._asked.put(_Asked(account, span, on_end, patient))
        return True

    def take_rests(self) -> list[Rest]:
        """What is to be listed again, each once."""
        with self._lock:
            rests, self.listed.rests = self.listed.rests, []
        return rests

    def _work(self) -> None:
        self._crew.turns.rest()
        while not self._stop.is_set():
            try:
                asked = self._asked.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            record = None
            try:
                record = self._list_alone(asked)
            except (Transient, Permanent) as trouble:
                self._note(asked.account, trouble)
                facts = {"account": asked.account.label, "reason": str(trouble)}
                self._observer.note("cycle.failed", level="error", **facts)
            except (Fatal, Exception) as failure:  # noqa: BLE001  whoever watches the listers raises it
                self.listed.failure = failure
            finally:
                self._crew.turns.rest()
                with self._lock:
                    self._busy.discard(asked.account.id)
                if asked.on_end is not None:
                    asked.on_end(record)
                self._crew.changed.set()
        self._crew.turns.leave()

    def _list_alone(self, asked: _Asked) -> CycleRecord | None:
        with self._floor.of(asked.account.id, patient=asked.patient) as is_ours:
            if is_ours:
                return self._list(asked.account, asked.span)
            self._observer.note("cycle.elsewhere", level="debug", account=asked.account.label)
            return None

    def _list(self, account: Account, span: Span) -> CycleRecord:
        gate = self._station.engine.gate
        cycle = Cycle(self._station.archive.pool, gate, self._effects.clock, self._observer, account, span)
        acknowledged = self._station.engine.tally.acknowledged
        policy, turns = self._station.engine.policy, self._crew.turns
        lister = Lister(self._effects, policy, self._observer, self._stop, turns)
        try:
            lister.list_through(cycle, self._note_step, lambda cycle, trouble: self._note(cycle.account, trouble))
        except CredentialsRefused as refusal:
            return self._write_down(cycle, str(refusal))
        record = self._write_down(cycle, INTERRUPTED if self._stop.is_set() else None)
        with self._lock:
            self.listed.unreadable += cycle.unreadable
            self.listed.problems += cycle.problems
            if (rest := again(cycle)) is not None:
                self.listed.rests.append(Rest(account, rest, acknowledged))
        return record

    def _note_step(self, cycle: Cycle) -> None:
        self._floor.keep(cycle.account.id)
        with self._lock:
            self.listed.windows += 1
            self.listed.found[cycle.account.id] = cycle.absorbed.discovered
            self.listed.troubles.pop(cycle.account.id, None)
        self._crew.wake()

    def _note(self, account: Account, trouble: Transient | Permanent) -> None:
        with self._lock:
            self.listed.troubles[account.id] = str(trouble)
        if isinstance(trouble, StorageFault):
            self._station.engine.storage_failure = str(trouble)

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
