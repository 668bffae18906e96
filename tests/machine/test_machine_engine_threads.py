"""The engine's threads renew the leases of effects under way and release them afterwards."""

from __future__ import annotations

import threading
from typing import Any, cast

from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.engine import Engine, Lane
from easytracking_sync.machine.engine_threads import EngineThreads
from easytracking_sync.machine.observer import Silent
from easytracking_sync.terms import Claim

PATIENCE_SECONDS = 10.0


class OneLongEffect:
    """An engine with one claim, whose effect lasts until its lease was renewed several times."""

    def __init__(self, renew_seconds: float | None, *, failing: int = 0) -> None:
        self.renew_seconds = renew_seconds
        self.renewed = 0
        self.let_go_after: list[bool] = []
        self.storage_failure: str | None = None
        self._failing = failing
        self._enough = threading.Event()
        self._ended = False
        self._claims = ["the only one"]

    def claim(self, lane: Lane, free_threads: int) -> Any:
        return self._claims.pop() if lane is Lane.FETCH and self._claims else None

    def perform(self, claim: Claim) -> None:
        assert self._enough.wait(PATIENCE_SECONDS) or self.renew_seconds is None
        self._ended = True

    def next_due(self) -> None:
        return None

    def renew(self) -> None:
        self.renewed += 1
        if self.renewed <= self._failing:
            raise DatabaseUnavailable("away")
        if self.renewed >= self._failing + 3:
            self._enough.set()

    def release_leases(self) -> None:
        self.let_go_after.append(self._ended)


def worked(engine: OneLongEffect) -> EngineThreads:
    """Threads that were started, and stopped once the effect had ended."""
    threads = EngineThreads(cast("Engine", engine), SystemClock(), Silent(), workers=1)
    threads.start()
    assert threads.changed.wait(PATIENCE_SECONDS)
    threads.stop()
    assert threads.join(PATIENCE_SECONDS)
    return threads


def test_the_lease_of_a_long_effect_is_renewed_and_released_after_its_end() -> None:
    engine = OneLongEffect(0.01)
    threads = worked(engine)
    assert engine.renewed >= 3
    assert engine.let_go_after == [True]
    assert threads.failure is None


def test_a_failed_renewal_is_retried_soon_and_stops_nothing() -> None:
    engine = OneLongEffect(0.05, failing=4)
    assert worked(engine).failure is None
    assert engine.renewed >= 7


def test_leases_that_do_not_expire_are_not_renewed() -> None:
    engine = OneLongEffect(None)
    engine._enough.set()
    worked(engine)
    assert (engine.renewed, engine.let_go_after) == (0, [])
