"""Threads that keep the engine going: one hands out claims, two groups perform them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable, Fatal, Permanent, StorageFault, Transient
from easytracking_sync.machine.engine import Engine, Lane
from easytracking_sync.machine.hang_detection import PATIENCE_SECONDS, Turns
from easytracking_sync.machine.observer import Observer
from easytracking_sync.terms import Claim

LONGEST_IDLE_SECONDS = 1.0
TROUBLE_PAUSE_SECONDS = 2.0
EFFECT_SECONDS = 7200.0
"""Longer than any effect that does not hang: a call may take half an hour, a parcel of 10 GB is stored in less."""


@dataclass(slots=True)
class _Group:
    """Threads of one lane; `free` counts those that wait for a claim."""

    lane: Lane
    free: threading.Semaphore
    claims: queue.SimpleQueue[Claim | None] = field(default_factory=queue.SimpleQueue)
    threads: list[threading.Thread] = field(default_factory=list)


class Crew:
    """`workers` threads for short effects and as many for fetches, fed by one that claims what is due.

    `changed` is set whenever an effect ended. `failure` is the Fatal error, or the bug, that stopped the crew.
    `turns` tells which of its threads hang, or died.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        observer: Observer,
        *,
        workers: int,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.turns = Turns(clock, patience_seconds=patience_seconds)
        self.changed = threading.Event()
        self.failure: BaseException | None = None
        self.bugs = 0
        self._engine = engine
        self._clock = clock
        self._observer = observer
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._at_work = 0
        self._groups = [_Group(lane, threading.Semaphore(workers)) for lane in (Lane.SHORT, Lane.FETCH)]
        self._workers = workers
        self._dispatcher = threading.Thread(target=self._dispatch, name="dispatch", daemon=True)
        self._ended = threading.Event()  # nothing is performed any more
        self._let_go = threading.Event()  # and nothing is held

    def start(self) -> None:
        """Begin to work; once."""
        for group in self._groups:
            for number in range(self._workers):
                name = f"{group.lane.name.lower()}-{number}"
                thread = threading.Thread(target=self._work, args=(group,), name=name, daemon=True)
                group.threads.append(thread)
                thread.start()
        self._dispatcher.start()
        renew_seconds = self._engine.renew_seconds
        if renew_seconds is None:
            self._let_go.set()
        else:
            threading.Thread(target=self._keep, args=(renew_seconds,), name="keep", daemon=True).start()

    def wake(self) -> None:
        """There may be something to claim now."""
        self._wake.set()

    @property
    def is_idle(self) -> bool:
        """Whether no effect is under way."""
        with self._lock:
            return self._at_work == 0

    def stop(self) -> None:
        """Claim nothing more; what is under way goes on."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Wait at most so long for what is under way after `stop`; whether all has ended."""
        until = self._clock.monotonic() + seconds
        while not self.is_idle and self._clock.monotonic() < until:
            self.changed.clear()
            self._clock.wait(self.changed, 0.1)
        if self.is_idle:
            self._ended.set()
            self._clock.wait(self._let_go, until - self._clock.monotonic())
        for group in self._groups:
            for _ in group.threads:
                group.claims.put(None)
        return self.is_idle

    def _dispatch(self) -> None:
        while not self._stop.is_set():
            self.turns.begin()
            self._wake.clear()
            idle = LONGEST_IDLE_SECONDS
            try:
                for group in self._groups:
                    self._hand_out(group)
                idle = self._idle_seconds()
            except Fatal as error:
                self._fail(error)
            except Transient as trouble:
                self._note_trouble(trouble)
                idle = TROUBLE_PAUSE_SECONDS
            except Exception as bug:  # noqa: BLE001  a bug must stop the program visibly, not one thread silently
                self._fail(bug)
            if not self._stop.is_set():
                self._clock.wait(self._wake, idle)
        self.turns.leave()

    def _hand_out(self, group: _Group) -> None:
        while not self._stop.is_set() and group.free.acquire(blocking=False):
            self.turns.begin()
            try:
                claim = self._engine.claim(group.lane)
            except BaseException:
                group.free.release()
                raise
            if claim is None:
                group.free.release()
                return
            with self._lock:
                self._at_work += 1
            group.claims.put(claim)

    def _idle_seconds(self) -> float:
        due = self._engine.next_due()
        if due is None:
            return LONGEST_IDLE_SECONDS
        ahead = (due - self._clock.now()).total_seconds()
        return min(LONGEST_IDLE_SECONDS, ahead) if ahead > 0 else LONGEST_IDLE_SECONDS

    def _keep(self, renew_seconds: float) -> None:
        """Hold on to what is being performed; a renewal that fails is tried again soon."""
        pause = renew_seconds
        while not self._clock.wait(self._ended, pause):
            self.turns.begin()
            pause = renew_seconds if self._tell_the_archive(self._engine.renew) else renew_seconds / 5
            self.turns.rest()
        self._tell_the_archive(self._engine.let_go)
        self.turns.leave()
        self._let_go.set()

    def _tell_the_archive(self, what: Callable[[], None]) -> bool:
        try:
            what()
        except (Transient, Permanent) as trouble:
            self._note_trouble(trouble)
            return False
        except (Fatal, Exception) as error:  # noqa: BLE001  a bug must stop the program visibly
            self._fail(error)
            return False
        return True

    def _work(self, group: _Group) -> None:
        self.turns.rest()
        while (claim := group.claims.get()) is not None:
            self.turns.begin(EFFECT_SECONDS)
            try:
                self._engine.perform(claim)
            except Fatal as error:
                self._fail(error)
            except (Transient, Permanent) as trouble:
                self._note_trouble(trouble)
            except Exception as bug:  # noqa: BLE001  one batch's bug must not stop the others
                self._note_bug(claim, bug)
            finally:
                self.turns.rest()
                with self._lock:
                    self._at_work -= 1
                group.free.release()
                self.changed.set()
                self._wake.set()
        self.turns.leave()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.stop()
        self.changed.set()

    def _note_trouble(self, trouble: Transient | Permanent) -> None:
        level = "error" if isinstance(trouble, StorageFault | DatabaseUnavailable) else "warning"
        if isinstance(trouble, StorageFault):
            self._engine.storage_failure = str(trouble)
        self._observer.note("engine.troubled", level=level, reason=str(trouble))

    def _note_bug(self, claim: Claim, bug: Exception) -> None:
        self.bugs += 1
        self._observer.note(
            "batch.crashed", level="critical", batch=claim.batch.id, error=type(bug).__name__, exc_info=bug
        )
        try:
            self._engine.put_off(claim)
        except (Transient, Permanent) as trouble:
            self._note_trouble(trouble)
        except Fatal as error:
            self._fail(error)
