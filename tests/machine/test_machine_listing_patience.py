"""How long a failing list is retried, and when an address counts as unreachable: 15 minutes, then 1 h, 6 h, 24 h."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from tests.support.harness import Harness, Recorder, VirtualClock, Wish, build

from easytracking_sync.errors import ServiceUnavailable, Transient, Unreachable
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.circuit_breaker import ArchivePauses
from easytracking_sync.machine.listing import Cycle, Patience, PatientCycle
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import PauseReason

NO_LINE = Unreachable("demo1: token: no answer (connection refused)")
NO_ANSWER = ServiceUnavailable("demo1: list: 503")
WISH = Wish()
PATIENCE = Policy().list_patience_seconds


class Bench:
    """Two accounts of an archive, and the patience for their lists."""

    def __init__(self, folder: Path) -> None:
        self.harness: Harness = build(folder, wishes={"demo1": WISH, "demo2": WISH})
        self.clock: VirtualClock = self.harness.clock
        self.notes = Recorder()
        self.one, self.two = self.harness.accounts.values()
        self.pauses = ArchivePauses(self.harness.archive.accounts, Policy())
        self.patience = Patience(self.pauses, Policy(), self.harness.effects, self.notes)

    def fails(self, trouble: Transient = NO_LINE, *, failing: float, account: int = 0) -> bool:
        return self.patience.gives_up((self.one, self.two)[account], trouble, failing)

    def paused(self, account: int = 0) -> PauseReason | None:
        return self.harness.archive.accounts.paused((self.one, self.two)[account].id, self.clock.now())

    def wait(self, **how_long: float) -> None:
        self.clock.forward(timedelta(**how_long))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_outage_shorter_than_a_quarter_of_an_hour_is_waited_out(bench: Bench) -> None:
    assert not bench.fails(failing=0)
    assert not bench.fails(failing=PATIENCE - 1)
    assert bench.paused() is None


def test_a_service_that_fails_for_long_ends_the_cycle_and_pauses_no_account(bench: Bench) -> None:
    """The next scheduled cycle retries."""
    assert bench.fails(NO_ANSWER, failing=PATIENCE)
    assert bench.paused() is None


def test_an_unreachable_address_pauses_its_account_longer_each_time(bench: Bench) -> None:
    pauses = []
    assert bench.fails(failing=PATIENCE)
    for hours in (1, 6, 24, 24):
        assert bench.paused() is PauseReason.UNREACHABLE
        assert bench.paused(1) is None
        bench.wait(hours=hours, seconds=-1)
        assert bench.paused() is PauseReason.UNREACHABLE
        bench.wait(seconds=1)
        assert bench.paused() is None
        pauses.append(hours)
        assert bench.fails(failing=0), "one failure is enough"
    assert len(bench.notes.named("account.unreachable")) == len(pauses) + 1


def test_an_answer_resumes_all_unreachable_accounts_and_restarts_their_pauses(bench: Bench) -> None:
    """Usually our own network was down."""
    for account in (0, 1):
        assert bench.fails(failing=PATIENCE, account=account)
    bench.patience.answered(bench.one)
    assert (bench.paused(0), bench.paused(1)) == (None, None)
    assert not bench.fails(failing=0)
    assert bench.fails(failing=PATIENCE)
    bench.wait(hours=1)
    assert bench.paused() is None


def test_an_answer_ends_no_pause_for_another_reason(bench: Bench) -> None:
    bench.pauses.pause_slowly(bench.two.id, PauseReason.CREDENTIALS, "401", bench.clock.now())
    bench.patience.answered(bench.one)
    assert bench.fails(failing=PATIENCE)
    bench.patience.answered(bench.one)
    assert bench.paused(1) is PauseReason.CREDENTIALS
    assert len(bench.notes.named("account.reachable")) == 1


def test_a_changed_account_is_retried_as_patiently_as_at_first(bench: Bench) -> None:
    assert bench.fails(failing=PATIENCE)
    bench.patience.forget(bench.one.id)
    assert not bench.fails(failing=0)


class Scripted:
    """A cycle whose steps answer or fail as scripted; each takes `step_seconds`."""

    def __init__(self, bench: Bench, script: list[Transient | None], step_seconds: float) -> None:
        self.account: Account = bench.one
        self._bench = bench
        self._script = script
        self._step_seconds = step_seconds

    def step(self) -> bool:
        self._bench.wait(seconds=self._step_seconds)
        trouble = self._script.pop(0)
        if trouble is not None:
            raise trouble
        return bool(self._script)


def run(bench: Bench, script: list[Transient | None], step_seconds: float, until: float = math.inf) -> PatientCycle:
    """A cycle of these steps that was run to its end."""
    cycle = cast("Cycle", Scripted(bench, script, step_seconds))
    patient = PatientCycle(cycle, bench.patience, threading.Event(), until=until)
    patient.run()
    return patient


def test_a_cycle_that_fails_without_an_answer_is_given_up_after_the_patience(bench: Bench) -> None:
    patient = run(bench, [NO_ANSWER] * 100, PATIENCE / 4)
    assert patient.given_up is NO_ANSWER
    assert not patient.is_late
    failed = bench.notes.named("list.failed")
    assert 1 < len(failed) < 7


def test_an_answer_restarts_the_patience(bench: Bench) -> None:
    script: list[Transient | None] = [NO_ANSWER, NO_ANSWER, None] * 10
    assert run(bench, script, PATIENCE / 2 - 1).given_up is None
    assert script == []


def test_a_deadline_ends_a_list_that_answers_and_one_that_fails(bench: Bench) -> None:
    until = bench.clock.monotonic() + 100
    answering = run(bench, [None] * 50, 10, until)
    assert (answering.is_late, answering.given_up) == (True, None)
    failing = run(bench, [NO_ANSWER] * 50, 10, until)
    assert (failing.is_late, failing.given_up) == (False, NO_ANSWER)


def test_a_pause_before_a_deadline_is_never_too_short_to_pass(bench: Bench) -> None:
    """A clock may count in coarser steps than floats do."""
    assert run(bench, [NO_ANSWER] * 5, 0, bench.clock.monotonic() + 1e-9).given_up is NO_ANSWER


def test_a_list_that_is_complete_at_its_deadline_is_not_late(bench: Bench) -> None:
    assert not run(bench, [None, None], 50, bench.clock.monotonic() + 100).is_late


def test_a_call_that_a_stop_breaks_off_is_no_failure(bench: Bench) -> None:
    stop = threading.Event()

    class Stopping(Scripted):
        def step(self) -> bool:
            stop.set()
            return super().step()

    patient = PatientCycle(cast("Cycle", Stopping(bench, [NO_ANSWER], 0)), bench.patience, stop)
    patient.run()
    assert patient.given_up is None
    assert not bench.notes.named("list.failed")
