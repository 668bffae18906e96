"""When the service fails over a batch alone, and when it just fails: the account's other calls tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.documents import batch

from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.suspicion import MOST_REMEMBERED, Suspicion
from easytracking_sync.terms import Batch, BatchState

POLICY = Policy()
MOST = POLICY.failures_to_single_out
PAUSE = POLICY.unproven_pause_seconds
ODD = batch(id=7, root_id=7)
OTHER = batch(id=8, root_id=8)
HALF = batch(id=9, root_id=7)


def fails(suspicion: Suspicion, one: Batch = ODD, *, times: int = MOST + 1, at: float = 0.0) -> list[bool]:
    """The batch fails so often, and after each failure another call is answered."""
    found = []
    for _ in range(times):
        found.append(suspicion.failed(one, at))
        suspicion.answered(one.account_id)
    return found


def test_a_batch_that_fails_while_the_same_call_works_for_others_is_singled_out() -> None:
    suspicion = Suspicion(POLICY)
    suspicion.failed(ODD, 0.0)
    suspicion.came_through(OTHER, proves=True)
    suspicion.answered(ODD.account_id)
    assert fails(suspicion, times=MOST) == [*[False] * (MOST - 1), True]


@given(st.lists(st.sampled_from([ODD, OTHER, HALF]), max_size=60), st.floats(0, 1e6))
def test_while_nothing_is_answered_nothing_is_singled_out(failing: list[Batch], at: float) -> None:
    """An outage counts nothing, however long it lasts."""
    suspicion = Suspicion(POLICY)
    suspicion.answered(ODD.account_id)
    suspicion.came_through(OTHER, proves=True)
    assert not any(suspicion.failed(one, at * number) for number, one in enumerate(failing))


def test_what_is_answered_once_counts_once() -> None:
    suspicion = Suspicion(POLICY)
    suspicion.failed(ODD, 0.0)
    suspicion.answered(ODD.account_id)
    assert not any(suspicion.failed(ODD, at * PAUSE) for at in range(1, 20))


def test_what_another_account_is_answered_says_nothing() -> None:
    suspicion = Suspicion(POLICY)
    for at in range(100):
        assert not suspicion.failed(ODD, at * PAUSE)
        suspicion.answered(ODD.account_id + 1)


def test_a_call_that_comes_through_ends_the_count() -> None:
    suspicion = Suspicion(POLICY)
    suspicion.came_through(OTHER, proves=True)
    assert not any(fails(suspicion, times=MOST))
    suspicion.came_through(ODD, proves=False)
    suspicion.came_through(OTHER, proves=True)
    assert not any(fails(suspicion, times=MOST))


def test_the_count_is_of_one_call() -> None:
    """A batch that was hard to reserve is not split for one failure of its acknowledgement."""
    suspicion = Suspicion(POLICY)
    suspicion.came_through(batch(BatchState.STORED, id=8), proves=True)
    fails(suspicion, times=MOST, at=PAUSE)
    assert not suspicion.failed(batch(BatchState.STORED, id=7, root_id=7), 2 * PAUSE)


def test_without_a_success_of_that_call_one_batch_is_singled_out_after_ever_longer_pauses() -> None:
    """The call may not work at all: of many failing batches few are singled out, fewer with each hour."""
    suspicion = Suspicion(POLICY)
    at, found = 0.0, []
    batches = [batch(id=number, root_id=number) for number in range(100, 300)]
    while at < 86_400:
        found += [at for one in batches if suspicion.failed(one, at)]
        suspicion.answered(ODD.account_id)
        at += 15
    assert [after - before for before, after in zip([0.0, *found], found[:5], strict=False)] == [
        PAUSE * 2**number for number in range(5)
    ]
    assert len(found) < 32


def test_a_success_ends_the_long_pauses() -> None:
    suspicion = Suspicion(POLICY)
    fails(suspicion)
    assert suspicion.failed(ODD, PAUSE)
    suspicion.came_through(OTHER, proves=True)
    late = batch(id=20, root_id=20)
    fails(suspicion, late, at=PAUSE)
    assert suspicion.failed(late, 2 * PAUSE)


def test_a_half_that_came_through_speaks_against_the_other_one_whichever_was_first() -> None:
    suspicion = Suspicion(POLICY)
    fails(suspicion)
    assert suspicion.failed(ODD, PAUSE)
    suspicion.came_through(batch(id=10, root_id=7), proves=True)
    assert fails(suspicion, HALF, at=PAUSE)[-1] is True


def test_a_half_is_not_singled_out_for_what_came_through_before_the_split() -> None:
    suspicion = Suspicion(POLICY)
    suspicion.came_through(OTHER, proves=True)
    fails(suspicion)
    assert suspicion.failed(ODD, PAUSE)
    assert not any(fails(suspicion, HALF, at=PAUSE))


def test_a_probe_is_wanted_only_where_nothing_else_tells() -> None:
    suspicion = Suspicion(POLICY)
    assert not suspicion.needs_probe(ODD, 0.0), "it has not failed"
    suspicion.failed(ODD, 0.0)
    suspicion.answered(ODD.account_id)
    assert not suspicion.needs_probe(ODD, 1.0), "another call was answered"
    suspicion.failed(ODD, 1.0)
    assert suspicion.needs_probe(ODD, 2.0)


def test_probes_of_a_service_that_is_silent_become_rare() -> None:
    """BOUNDED: an outage is not met with twice the calls."""
    suspicion = Suspicion(POLICY)
    probed = []
    for at in range(3600):
        suspicion.failed(ODD, float(at))
        if suspicion.needs_probe(ODD, float(at)):
            probed.append(at)
    assert probed[:5] == [0, 5, 15, 35, 75]
    assert len(probed) < 20


@pytest.mark.parametrize("state", [BatchState.PLANNED, BatchState.STORED])
def test_what_is_remembered_is_bounded(state: BatchState) -> None:
    """BOUNDED: the batch that failed first is forgotten, and begins anew."""
    suspicion = Suspicion(POLICY)
    for number in range(MOST_REMEMBERED + 1):
        suspicion.failed(batch(state, id=number, root_id=number), 0.0)
    assert not suspicion.needs_probe(batch(state, id=0, root_id=0), 0.0)
    assert suspicion.needs_probe(batch(state, id=1, root_id=1), 0.0)
