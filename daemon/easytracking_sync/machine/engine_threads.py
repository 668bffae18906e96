"""Threads that run the engine: one dispatches claims, two groups of workers perform them, one renews leases."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable, Fatal, Permanent, StorageFault, Transient
from easytracking_sync.events import EventName
from easytracking_sync.machine.engine import Engine, Lane
from easytracking_sync.machine.hang_detection import HANG_SECONDS, HangDetector
from easytracking_sync.machine.observer import Observer
from easytracking_sync.terms import Claim

LONGEST_IDLE_SECONDS = 1.0
TROUBLE_PAUSE_SECONDS = 2.0
EFFECT_SECONDS = 7200.0
"""A longer effect is a hang: a call takes half an hour at most, storing a parcel of 10 GB takes less."""


@dataclass(slots=True)
class _Group:
    """The workers of one lane; `free` counts those without a claim."""

    lane: Lane
    free: int
    claims: queue.SimpleQueue[Claim | None] = field(default_factory=queue.SimpleQueue)
    threads: list[threading.Thread] = field(default_factory=list)


class EngineThreads:
    """`workers` threads for short effects, as many for fetches, and one that claims due batches for them.

    `changed` is set when an effect has ended. `failure` is the Fatal error or the bug that stopped the threads.
    `hang_detector` tells which threads hang or have died.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        observer: Observer,
        *,
        workers: int,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self.hang_detector = HangDetector(clock, hang_seconds=hang_seconds)
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
        self._groups = [_Group(lane, workers) for lane in (Lane.SHORT, Lane.FETCH)]
        self._workers = workers
        self._dispatcher = threading.Thread(target=self._dispatch, name="dispatch", daemon=True)
        self._ended = threading.Event()  # no effect is under way
        self._released = threading.Event()  # and no lease is held

    def start(self) -> None:
        """Start working; call it once."""
        for group in self._groups:
            for number in range(self._workers):
                name = f"{group.lane.name.lower()}-{number}"
                thread = threading.Thread(target=self._work, args=(group,), name=name, daemon=True)
                group.threads.append(thread)
                thread.start()
        self._dispatcher.start()
        renew_seconds = self._engine.renew_seconds
        if renew_seconds is None:
            self._released.set()
        else:
            threading.Thread(target=self._renew_leases, args=(renew_seconds,), name="renew", daemon=True).start()

    def wake(self) -> None:
        """Look for due batches now."""
        self._wake.set()

    @property
    def is_idle(self) -> bool:
        """Whether no effect is under way."""
        with self._lock:
            return self._at_work == 0

    def stop(self) -> None:
        """Claim nothing more. Effects under way continue."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """After `stop`, wait at most this long for the effects under way; whether all have ended."""
        until = self._clock.monotonic() + seconds
        while not self.is_idle and self._clock.monotonic() < until:
            self.changed.clear()
            self._clock.wait(self.changed, 0.1)
        if self.is_idle:
            self._ended.set()
            self._clock.wait(self._released, until - self._clock.monotonic())
        for group in self._groups:
            for _ in group.threads:
                group.claims.put(None)
        return self.is_idle

    def _dispatch(self) -> None:
        while not self._stop.is_set():
            self.hang_detector.begin()
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
            except Exception as bug:  # noqa: BLE001  a bug must stop the program, not one thread silently
                self._fail(bug)
            if not self._stop.is_set():
                self._clock.wait(self._wake, idle)
        self.hang_detector.end()

    def _hand_out(self, group: _Group) -> None:
        while not self._stop.is_set() and group.free:  # only this thread takes workers, so that none goes missing
            self.hang_detector.begin()
            claim = self._engine.claim(group.lane, group.free)
            if claim is None:
                return
            with self._lock:
                self._at_work += 1
                group.free -= 1
            group.claims.put(claim)

    def _idle_seconds(self) -> float:
        due = self._engine.next_due()
        if due is None:
            return LONGEST_IDLE_SECONDS
        ahead = (due - self._clock.now()).total_seconds()
        return min(LONGEST_IDLE_SECONDS, ahead) if ahead > 0 else LONGEST_IDLE_SECONDS

    def _renew_leases(self, renew_seconds: float) -> None:
        """Renew the leases of claims under way until all have ended; after a failure, retry soon."""
        pause = renew_seconds
        while not self._clock.wait(self._ended, pause):
            self.hang_detector.begin()
            pause = renew_seconds if self._try(self._engine.renew) else renew_seconds / 5
            self.hang_detector.pause()
        self._try(self._engine.release_leases)
        self.hang_detector.end()
        self._released.set()

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except (Transient, Permanent) as trouble:
            self._note_trouble(trouble)
            return False
        except (Fatal, Exception) as error:  # noqa: BLE001  a bug must stop the program
            self._fail(error)
            return False
        return True

    def _work(self, group: _Group) -> None:
        self.hang_detector.pause()
        while (claim := group.claims.get()) is not None:
            self.hang_detector.begin(EFFECT_SECONDS)
            try:
                self._engine.perform(claim)
            except Fatal as error:
                self._fail(error)
            except (Transient, Permanent) as trouble:
                self._note_trouble(trouble)
            except Exception as bug:  # noqa: BLE001  one batch's bug must not stop the others
                self._note_bug(claim, bug)
            finally:
                self.hang_detector.pause()
                with self._lock:
                    self._at_work -= 1
                    group.free += 1
                self.changed.set()
                self._wake.set()
        self.hang_detector.end()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.stop()
        self.changed.set()

    def _note_trouble(self, trouble: Transient | Permanent) -> None:
        level = "error" if isinstance(trouble, StorageFault | DatabaseUnavailable) else "warning"
        if isinstance(trouble, StorageFault):
            self._engine.storage_failure = str(trouble)
        self._observer.note(EventName.ENGINE_TROUBLED, level=level, reason=str(trouble))

    def _note_bug(self, claim: Claim, bug: Exception) -> None:
        self.bugs += 1
        self._observer.note(EventName.BATCH_CRASHED, batch=claim.batch.id, error=type(bug).__name__, exc_info=bug)
        self._try(partial(self._engine.postpone, claim))
