"""When an address counts as dead: after a quarter of an hour without a connection. Then 1 h, 6 h, 24 h, daily."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.station import Recorder, Station, VirtualClock, Wish, build

from easytracking_sync.app.reach import Reach
from easytracking_sync.errors import ServiceUnavailable, Transient, Unreachable
from easytracking_sync.machine.pauses import Pauses
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import PauseReason

NO_LINE = Unreachable("demo1: token: no answer (connection refused)")
NO_ANSWER = ServiceUnavailable("demo1: list: 503")
WISH = Wish()
PATIENCE = Policy().list_patience_seconds


class Bench:
    """Two accounts of an archive, and whoever judges their addresses."""

    def __init__(self, folder: Path) -> None:
        self.station: Station = build(folder, wishes={"demo1": WISH, "demo2": WISH})
        self.clock: VirtualClock = self.station.clock
        self.notes = Recorder()
        self.one, self.two = self.station.accounts.values()
        self.pauses = Pauses(self.station.archive.accounts, Policy())
        self.reach = Reach(self.pauses, self.clock, self.notes, Policy())

    def fails(self, trouble: Transient = NO_LINE, *, since: float, account: int = 0) -> bool:
        return self.reach.gives_up((self.one, self.two)[account], trouble, self.clock.monotonic() - since)

    def paused(self, account: int = 0) -> PauseReason | None:
        return self.station.archive.accounts.paused((self.one, self.two)[account].id, self.clock.now())

    def wait(self, **how_long: float) -> None:
        self.clock.forward(timedelta(**how_long))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_outage_that_ends_within_a_quarter_of_an_hour_is_waited_out(bench: Bench) -> None:
    assert not bench.fails(since=0)
    assert not bench.fails(since=PATIENCE - 1)
    assert bench.paused() is None


def test_a_service_that_answers_badly_for_long_ends_the_cycle_and_pauses_nothing(bench: Bench) -> None:
    """The next cycle by the schedule tries again."""
    assert bench.fails(NO_ANSWER, since=PATIENCE)
    assert bench.paused() is None


def test_a_dead_address_pauses_its_account_alone_ever_longer(bench: Bench) -> None:
    pauses = []
    assert bench.fails(since=PATIENCE)
    for hours in (1, 6, 24, 24):
        assert bench.paused() is PauseReason.UNREACHABLE
        assert bench.paused(1) is None
        bench.wait(hours=hours, seconds=-1)
        assert bench.paused() is PauseReason.UNREACHABLE
        bench.wait(seconds=1)
        assert bench.paused() is None
        pauses.append(hours)
        assert bench.fails(since=0), "a single try tells"
    assert len(bench.notes.named("account.unreachable")) == len(pauses) + 1


def test_one_that_answers_again_ends_the_pauses_of_all_and_the_steps_begin_anew(bench: Bench) -> None:
    """As a rule it was our own line."""
    for account in (0, 1):
        assert bench.fails(since=PATIENCE, account=account)
    bench.reach.answered(bench.one)
    assert (bench.paused(0), bench.paused(1)) == (None, None)
    assert not bench.fails(since=0)
    assert bench.fails(since=PATIENCE)
    bench.wait(hours=1)
    assert bench.paused() is None


def test_answers_while_nothing_is_dead_change_nothing(bench: Bench) -> None:
    """Nor do they end pauses of another kind."""
    bench.pauses.pause_slowly(bench.two.id, PauseReason.CREDENTIALS, "401", bench.clock.now())
    bench.reach.answered(bench.one)
    assert bench.fails(since=PATIENCE)
    bench.reach.answered(bench.one)
    assert bench.paused(1) is PauseReason.CREDENTIALS
    assert len(bench.notes.named("account.reachable")) == 1


def test_an_account_that_was_changed_is_tried_as_patiently_as_at_first(bench: Bench) -> None:
    assert bench.fails(since=PATIENCE)
    bench.reach.forget(bench.one.id)
    assert not bench.fails(since=0)
