"""Threads that hang are detected; threads that pause or have ended normally do not count as hung."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from easytracking_sync.effects import SystemClock
from easytracking_sync.machine.engine import Engine, Lane
from easytracking_sync.machine.engine_threads import EFFECT_SECONDS, EngineThreads
from easytracking_sync.machine.hang_detection import HangDetector
from easytracking_sync.machine.observer import Silent

SECONDS = 10.0


class FastClock(SystemClock):
    """The system's clock, moved ahead by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


def test_a_thread_hangs_after_the_default_limit_or_the_limit_of_its_step(clock: FastClock) -> None:
    detector = HangDetector(clock, hang_seconds=60)
    detector.begin()
    assert detector.hung() == ()
    clock.ahead = 61
    assert detector.hung() == ("MainThread",)
    detector.begin(3600)
    clock.ahead += 61
    assert detector.hung() == ()
    clock.ahead += 3600
    assert detector.hung() == ("MainThread",)


def test_a_thread_that_pauses_or_has_ended_never_hangs(clock: FastClock) -> None:
    detector = HangDetector(clock, hang_seconds=60)
    detector.begin()
    detector.pause()
    clock.ahead = 1e6
    assert detector.hung() == ()
    detector.begin()
    detector.end()
    clock.ahead += 1e6
    assert detector.hung() == ()


def test_a_thread_that_died_counts_as_hung(clock: FastClock) -> None:
    detector = HangDetector(clock, hang_seconds=60)
    thread = threading.Thread(target=detector.pause, name="short-7")
    thread.start()
    thread.join()
    assert detector.hung() == ("short-7",)


class Hanging:
    """An engine whose `claim` or `perform` hangs until the test releases it."""

    renew_seconds = None
    storage_failure: str | None = None

    def __init__(self, *, claim: bool = False, perform: bool = False) -> None:
        self.let_go = threading.Event()
        self.reached = threading.Event()
        self._hangs = {"claim": claim, "perform": perform}
        self._claims = ["the only one"]

    def _hang(self, where: str) -> None:
        if self._hangs[where]:
            self.reached.set()
            self.let_go.wait(SECONDS)

    def claim(self, lane: Lane, free_threads: int) -> Any:
        self._hang("claim")
        return self._claims.pop() if lane is Lane.FETCH and self._claims else None

    def perform(self, claim: Any) -> None:
        self._hang("perform")

    def next_due(self) -> None:
        return None


def watched(engine: Hanging, clock: FastClock, look: Callable[[EngineThreads], None]) -> None:
    threads = EngineThreads(cast("Engine", engine), clock, Silent(), workers=1, hang_seconds=60)
    threads.start()
    assert engine.reached.wait(SECONDS)
    look(threads)
    engine.let_go.set()
    threads.stop()
    assert threads.join(SECONDS)


def test_a_hanging_dispatcher_is_detected(clock: FastClock) -> None:
    def look(threads: EngineThreads) -> None:
        assert threads.hang_detector.hung() == ()
        clock.ahead = 61
        assert threads.hang_detector.hung() == ("dispatch",)

    watched(Hanging(claim=True), clock, look)


def test_a_worker_hangs_only_after_the_longest_effect(clock: FastClock) -> None:
    """The dispatcher continues meanwhile."""

    def look(threads: EngineThreads) -> None:
        clock.ahead = EFFECT_SECONDS - 1
        threads.wake()
        assert "fetch-0" not in threads.hang_detector.hung()
        clock.ahead = EFFECT_SECONDS + 1
        assert "fetch-0" in threads.hang_detector.hung()

    watched(Hanging(perform=True), clock, look)
