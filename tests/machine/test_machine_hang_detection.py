"""Threads that hang are noticed; threads that wait on purpose, or end in order, are not taken for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from easytracking_sync.effects import SystemClock
from easytracking_sync.machine.engine import Engine, Lane
from easytracking_sync.machine.engine_threads import EFFECT_SECONDS, Crew
from easytracking_sync.machine.hang_detection import Turns
from easytracking_sync.machine.observer import Silent

SECONDS = 10.0


class FastClock(SystemClock):
    """The machine's time, which may be ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


def test_a_turn_is_late_after_the_patience_or_after_its_own_bound(clock: FastClock) -> None:
    turns = Turns(clock, patience_seconds=60)
    turns.begin()
    assert turns.late() == ()
    clock.ahead = 61
    assert turns.late() == ("MainThread",)
    turns.begin(3600)
    clock.ahead += 61
    assert turns.late() == ()
    clock.ahead += 3600
    assert turns.late() == ("MainThread",)


def test_a_thread_that_rests_or_has_left_is_never_late(clock: FastClock) -> None:
    turns = Turns(clock, patience_seconds=60)
    turns.begin()
    turns.rest()
    clock.ahead = 1e6
    assert turns.late() == ()
    turns.begin()
    turns.leave()
    clock.ahead += 1e6
    assert turns.late() == ()


def test_a_thread_that_died_without_a_word_counts_as_hung(clock: FastClock) -> None:
    turns = Turns(clock, patience_seconds=60)
    thread = threading.Thread(target=turns.rest, name="short-7")
    thread.start()
    thread.join()
    assert turns.late() == ("short-7",)


class Hanging:
    """An engine whose `claim` or `perform` hangs until the test lets go."""

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

    def claim(self, lane: Lane) -> Any:
        self._hang("claim")
        return self._claims.pop() if lane is Lane.FETCH and self._claims else None

    def perform(self, claim: Any) -> None:
        self._hang("perform")

    def next_due(self) -> None:
        return None


def watched(engine: Hanging, clock: FastClock, look: Callable[[Crew], None]) -> None:
    crew = Crew(cast("Engine", engine), clock, Silent(), workers=1, patience_seconds=60)
    crew.start()
    assert engine.reached.wait(SECONDS)
    look(crew)
    engine.let_go.set()
    crew.stop()
    assert crew.join(SECONDS)


def test_a_hung_dispatcher_is_noticed(clock: FastClock) -> None:
    def look(crew: Crew) -> None:
        assert crew.turns.late() == ()
        clock.ahead = 61
        assert crew.turns.late() == ("dispatch",)

    watched(Hanging(claim=True), clock, look)


def test_a_worker_may_take_as_long_as_the_longest_call_and_then_hangs(clock: FastClock) -> None:
    """The dispatcher goes on meanwhile."""

    def look(crew: Crew) -> None:
        clock.ahead = EFFECT_SECONDS - 1
        crew.wake()
        assert "fetch-0" not in crew.turns.late()
        clock.ahead = EFFECT_SECONDS + 1
        assert "fetch-0" in crew.turns.late()

    watched(Hanging(perform=True), clock, look)
