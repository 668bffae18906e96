"""Row 26 of the fault matrix: one document that the service fails over for ever holds up nobody else."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import SMALL, Harness, drain, settle

from easytracking_simulator import Fault, Faults, Kind, lost, status
from easytracking_sync.terms import DocumentState

HUNDRED = replace(SMALL, documents=100)
MINUTES = timedelta(minutes=10)
BROKEN = [
    pytest.param(status(500), id="500"),
    pytest.param(status(502), id="502"),
    pytest.param(status(504), id="504"),
    pytest.param(Fault(kind=Kind.TIMEOUT), id="time-out"),
    pytest.param(lost(), id="reset"),
]


def poison(harness: Harness, call: str, ids: Collection[int], fault: Fault) -> None:
    harness.simulator.faults = Faults(poison={call: dict.fromkeys(ids, fault)})


def splits(harness: Harness) -> int:
    return len(harness.observer.named("batch.split"))


@pytest.mark.parametrize("fault", BROKEN)
def test_row_26_of_a_hundred_documents_ninety_nine_are_home_within_minutes(make: Make, fault: Fault) -> None:
    """NO-POISON: a batch that alone is not reserved is split until the document stands alone."""
    harness = make(HUNDRED)
    bad = harness.simulator.ids()[41]
    poison(harness, "reserve", {bad}, fault)
    begun = harness.clock.now()
    last = begun

    def note_progress() -> None:
        nonlocal last
        if sum(state is DocumentState.ACKNOWLEDGED for state in states(harness).values()) < 99:
            last = harness.clock.now()

    settle(harness, deadline=timedelta(minutes=30), after_step=note_progress)
    assert_archived(harness, but={bad})
    assert last - begun < MINUTES
    assert entries(harness)[bad].attempts > 0


def test_row_26_the_one_document_ends_in_quarantine_with_its_reason(make: Make) -> None:
    """NO-LOSS: it is visible there, retried daily, and comes home once the service gives it."""
    harness = make(replace(SMALL, documents=10))
    bad = harness.simulator.ids()[3]
    poison(harness, "reserve", {bad}, status(500))
    settle(harness)
    assert_archived(harness, but={bad})
    entry = entries(harness)[bad]
    assert entry.state is DocumentState.QUARANTINED
    assert "the service failed (500)" in str(entry.reason)
    assert {one.attempts for doc_id, one in entries(harness).items() if doc_id != bad} == {0}
    harness.simulator.clear_faults()
    harness.clock.forward(timedelta(days=1))
    drain(harness)
    assert_archived(harness)


@pytest.mark.parametrize("places", [{0, 99}, {10, 60, 61}, {5, 30, 55, 80, 99}])
def test_row_26_several_such_documents_hold_up_nobody(make: Make, places: Collection[int]) -> None:
    """NO-POISON: even where both halves of the only batch fail."""
    harness = make(HUNDRED)
    bad = {harness.simulator.ids()[place] for place in places}
    poison(harness, "reserve", bad, status(500))
    settle(harness, deadline=timedelta(minutes=40))
    assert_archived(harness, but=bad)


@pytest.mark.parametrize("fault", [status(500), Fault(kind=Kind.TIMEOUT)])
def test_row_26_a_document_whose_job_is_never_given_is_found_in_minutes(make: Make, fault: Fault) -> None:
    """NO-POISON: the job need not become overdue, three times, for each halving."""
    harness = make(HUNDRED)
    bad = harness.simulator.ids()[77]
    poison(harness, "fetch", {bad}, fault)
    settle(harness, deadline=timedelta(minutes=30))
    assert_archived(harness, but={bad})


@pytest.mark.parametrize("fault", BROKEN[:4])
def test_row_26_a_document_that_cannot_be_marked_is_shown_and_its_neighbours_are_marked(
    make: Make, fault: Fault
) -> None:
    """NO-POISON: as with a refusal: stored, unacknowledgeable, tried daily."""
    harness = make(replace(SMALL, documents=30))
    bad = harness.simulator.ids()[17]
    poison(harness, "acknowledge", {bad}, fault)
    settle(harness, deadline=timedelta(minutes=30))
    assert_archived(harness, but={bad})
    entry = entries(harness)[bad]
    assert (entry.state, entry.unacknowledgeable) == (DocumentState.STORED, True)
    harness.simulator.clear_faults()
    harness.clock.forward(timedelta(days=1))
    drain(harness)
    assert_archived(harness)


def test_row_26_a_mark_that_was_set_before_the_call_failed_is_believed(make: Make) -> None:
    """The service marks all of them, and answers 500 whenever one of them is named."""
    harness = make(replace(SMALL, documents=8))
    bad = harness.simulator.ids()[5]
    poison(harness, "acknowledge", {bad}, status(500, applied=True))
    settle(harness, deadline=timedelta(minutes=30))
    assert_archived(harness)


@pytest.mark.parametrize("call", ["reserve", "fetch", "acknowledge"])
@pytest.mark.parametrize("fault", [status(500), Fault(kind=Kind.TIMEOUT), status(503)])
def test_row_26_an_outage_splits_nothing_and_counts_nothing(make: Make, call: str, fault: Fault) -> None:
    """Everything fails for two hours, from this call on; then the batch goes on as it was."""
    harness = make(HUNDRED)
    passes = {"reserve": 0, "fetch": 1, "acknowledge": 2}[call]
    settle(harness, deadline=timedelta(0))
    for _ in range(passes):
        harness.engine.step()
        harness.clock.forward(timedelta(seconds=3))
    harness.simulator.faults = Faults(always={"any": fault})
    drain(harness, until=harness.clock.now() + timedelta(hours=2))
    assert splits(harness) == 0
    harness.simulator.clear_faults()
    drain(harness)
    assert_archived(harness)
    assert splits(harness) == 0
    assert {entry.attempts for entry in entries(harness).values()} == {0}


def test_row_26_where_reserving_works_for_nobody_no_document_is_given_up(make: Make) -> None:
    """The list comes, and every reservation fails for three hours: little is split, nothing is in quarantine."""
    harness = make(HUNDRED)
    harness.simulator.faults = Faults(always={"reserve": status(500)})
    settle(harness, deadline=timedelta(hours=3))
    assert splits(harness) < 10
    assert DocumentState.QUARANTINED not in states(harness).values()
    harness.simulator.clear_faults()
    drain(harness)
    assert_archived(harness)


def test_row_26_a_login_that_fails_speaks_against_no_batch(make: Make) -> None:
    harness = make(HUNDRED)
    settle(harness, deadline=timedelta(0))
    harness.simulator.faults = Faults(always={"token": status(500)})
    harness.simulator.revoke_tokens()
    drain(harness, until=harness.clock.now() + timedelta(hours=2))
    assert splits(harness) == 0
