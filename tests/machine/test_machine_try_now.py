"""What a person asks for is tried at once: no pause and no wait after a failure is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.machine.conftest import Make
from tests.machine.test_matrix_12_bounds import FullDisk
from tests.support.archive_checks import assert_archived, entries
from tests.support.harness import SMALL, Harness, Wish, settle

from easytracking_simulator import Fault, Faults, Kind
from easytracking_sync.machine.corrections import try_now
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import DocumentState

FEW = replace(SMALL, job_seconds=0.0)
AT_ONCE = Policy(poll_first_seconds=0.0)
A_WHILE = timedelta(minutes=10)


def refused() -> Faults:
    return Faults(always={"reserve": Fault(kind=Kind.STATUS, status=403)})


def unavailable(call: str) -> Faults:
    return Faults(always={call: Fault(kind=Kind.STATUS, status=500)})


@pytest.mark.parametrize(
    "faults",
    [refused, lambda: unavailable("reserve"), lambda: unavailable("fetch"), lambda: unavailable("acknowledge")],
)
def test_after_trouble_with_the_service_everything_is_tried_at_once(make: Make, faults: Callable[[], Faults]) -> None:
    """A permission that came back, an outage that ended: nobody waits for the next attempt."""
    harness = make(FEW, policy=AT_ONCE)
    harness.simulator.faults = faults()
    settle(harness, deadline=A_WHILE)
    step_without_waiting(harness)
    harness.simulator.clear_faults()
    expect_archived_at_once(harness)


def test_after_a_full_disk_everything_is_tried_at_once(make: Make) -> None:
    disk = FullDisk()
    harness = make(FEW, files=disk, policy=AT_ONCE)
    disk.full_at = "write"
    settle(harness, deadline=A_WHILE)
    step_without_waiting(harness)
    disk.full_at = ""
    expect_archived_at_once(harness)


def test_only_the_accounts_that_were_named_are_tried(make: Make) -> None:
    harness = make(replace(FEW, documents=20), policy=AT_ONCE, wishes={"demo1": Wish(), "demo2": Wish()})
    harness.simulator.faults = unavailable("reserve")
    settle(harness, deadline=A_WHILE)
    step_without_waiting(harness)
    harness.simulator.clear_faults()
    try_now(harness.archive, [harness.accounts["demo1"].id], harness.clock.now())
    step_without_waiting(harness)
    assert_archived(harness, "demo1")
    assert harness.archive.documents.waiting([harness.accounts["demo2"].id])


def test_quarantined_and_unacknowledgeable_documents_keep_their_day(make: Make) -> None:
    """There are commands for these; a catch-up by a timer must not ask for them each time."""
    harness = make(FEW, policy=replace(AT_ONCE, max_attempts=1))
    bad, unmarkable, *_ = sorted(harness.simulator.ids())
    harness.simulator.faults = Faults(refused=frozenset({bad}), unmarkable=frozenset({unmarkable}))
    settle(harness)
    assert entries(harness)[bad].state is DocumentState.QUARANTINED
    assert entries(harness)[unmarkable].unacknowledgeable
    calls = harness.simulator.count()
    try_now(harness.archive, harness.account_ids, harness.clock.now())
    step_without_waiting(harness)
    assert harness.simulator.count() == calls


def expect_archived_at_once(harness: Harness) -> None:
    assert sum(harness.archive.documents.waiting(harness.account_ids).values()) == len(harness.simulator.ids())
    step_without_waiting(harness)
    assert harness.simulator.marked() == frozenset(), "nothing was due before somebody asked"
    begun = harness.clock.now()
    try_now(harness.archive, harness.account_ids, begun)
    step_without_waiting(harness)
    assert_archived(harness)
    assert harness.clock.now() == begun


def step_without_waiting(harness: Harness) -> None:
    while harness.engine.step():
        pass
