"""The crew's keeper: leases are renewed while anything is performed, and given back when nothing is."""

from __future__ import annotations

import threading
from typing import Any, cast

from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.engine import Engine, Lane
from easytracking_sync.machine.engine_threads import Crew
from easytracking_sync.machine.observer import Silent
from easytracking_sync.terms import Claim

PATIENCE_SECONDS = 10.0


class OneLongEffect:
    """An engine with one claim, whose effect lasts until it was renewed often enough."""

    def __init__(self, renew_seconds: float | None, *, failing: int = 0) -> None:
        self.renew_seconds = renew_seconds
        self.renewed = 0
        self.let_go_after: list[bool] = []
        self.storage_failure: str | None = None
        self._failing = failing
        self._enough = threading.Event()
        self._ended = False
        self._claims = ["the only one"]

    def claim(self, lane: Lane) -> Any:
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

    def let_go(self) -> None:
        self.let_go_after.append(self._ended)


def worked(engine: OneLongEffect) -> Crew:
    """A crew that was started and, as soon as the effect ended, stopped."""
    crew = Crew(cast("Engine", engine), SystemClock(), Silent(), workers=1)
    crew.start()
    assert crew.changed.wait(PATIENCE_SECONDS)
    crew.stop()
    assert crew.join(PATIENCE_SECONDS)
    return crew


def test_what_takes_long_is_renewed_meanwhile_and_given_back_only_at_the_end() -> None:
    engine = OneLongEffect(0.01)
    crew = worked(engine)
    assert engine.renewed >= 3
    assert engine.let_go_after == [True]
    assert crew.failure is None


def test_a_renewal_that_fails_is_tried_again_soon_and_stops_nothing() -> None:
    engine = OneLongEffect(0.05, failing=4)
    assert worked(engine).failure is None
    assert engine.renewed >= 7


def test_where_leases_do_not_run_out_nothing_is_renewed() -> None:
    engine = OneLongEffect(None)
    engine._enough.set()
    worked(engine)
    assert (engine.renewed, engine.let_go_after) == (0, [])
