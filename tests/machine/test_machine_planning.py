"""Which due documents form the next batches: fresh ones first, and never together with failed ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.documents import ACCOUNT_ID, NOW, document

from easytracking_sync.machine.planning import plan
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import BatchState, Document, DocumentState, Due, Purpose
from easytracking_sync.transition import NewBatch, Transition

POLICY = Policy()
FRESH, SUSPECT, ALONE, RELISTED = Purpose


def fresh(ids: Iterable[int]) -> tuple[Document, ...]:
    return tuple(document(row_id) for row_id in ids)


def suspects(ids: Iterable[int]) -> tuple[Document, ...]:
    return tuple(document(row_id, suspect=True, attempts=1) for row_id in ids)


def quarantined(ids: Iterable[int]) -> tuple[Document, ...]:
    return tuple(document(row_id, DocumentState.QUARANTINED, suspect=True, attempts=8) for row_id in ids)


def planned(transition: Transition | None) -> list[tuple[Purpose, list[int]]]:
    """Each batch's purpose, and its documents."""
    return [] if transition is None else [(new.purpose, list(new.versions)) for new in transition.new_batches]


EVERYTHING = Due(ACCOUNT_ID, fresh=fresh((1, 2, 3)), suspects=suspects((11, 12, 13)), alone=quarantined((21, 22)))
WHOLE = [(FRESH, [1, 2, 3]), (SUSPECT, [11, 12, 13]), (ALONE, [21])]


@pytest.mark.parametrize(
    ("loading", "room", "becomes"),
    [
        ((), 4, WHOLE),
        ((), 3, WHOLE),
        ((), 2, WHOLE[:2]),  # fresh documents first
        ((), 1, WHOLE[:1]),
        ((), 0, []),
        ((FRESH,), 4, WHOLE),  # any number of fresh batches side by side
        ((FRESH, FRESH), 3, WHOLE[:1]),
        ((SUSPECT,), 4, [WHOLE[0], WHOLE[2]]),  # one batch of suspects
        ((ALONE,), 4, WHOLE[:2]),  # and one document alone
        ((SUSPECT, ALONE), 4, WHOLE[:1]),
        ((FRESH,) * 5, 4, []),
    ],
)
def test_fresh_documents_first_then_one_batch_of_suspects_and_one_single_document(
    loading: tuple[Purpose, ...], room: int, becomes: list[tuple[Purpose, list[int]]]
) -> None:
    """NO-POISON."""
    assert planned(plan(replace(EVERYTHING, loading=loading), NOW, POLICY, room)) == becomes


@pytest.mark.parametrize("there", list(product((False, True), repeat=3)))
def test_documents_that_are_not_due_form_no_batch(there: tuple[bool, bool, bool]) -> None:
    fresh_ones, suspect_ones, lone_ones = there
    due = Due(
        ACCOUNT_ID,
        fresh=EVERYTHING.fresh if fresh_ones else (),
        suspects=EVERYTHING.suspects if suspect_ones else (),
        alone=EVERYTHING.alone if lone_ones else (),
    )
    assert planned(plan(due, NOW, POLICY, 4)) == [one for one, is_there in zip(WHOLE, there, strict=True) if is_there]


def test_a_batch_has_at_most_a_hundred_documents() -> None:
    """BOUNDED: in the order in which they are due."""
    due = Due(ACCOUNT_ID, fresh=fresh(range(1, 251)), suspects=suspects(range(1001, 1151)))
    made = planned(plan(due, NOW, POLICY, 10))
    assert [(purpose, len(ids)) for purpose, ids in made] == [(FRESH, 100), (FRESH, 100), (FRESH, 50), (SUSPECT, 100)]
    assert [row_id for _, ids in made[:3] for row_id in ids] == list(range(1, 251))


@pytest.mark.parametrize(
    ("loading", "room", "becomes"), [((), 4, [(FRESH, [3])]), ((FRESH,), 4, []), ((ALONE,), 4, []), ((), 0, [])]
)
def test_an_account_that_is_probing_has_one_document_under_way(
    loading: tuple[Purpose, ...], room: int, becomes: list[tuple[Purpose, list[int]]]
) -> None:
    due = Due(ACCOUNT_ID, loading=loading, probing=True, fresh=fresh((3, 2)), suspects=suspects((11, 12)))
    assert planned(plan(due, NOW, POLICY, room)) == becomes


def test_a_probe_without_fresh_documents_is_a_single_suspect() -> None:
    due = Due(ACCOUNT_ID, probing=True, suspects=suspects((11, 12)), alone=quarantined((21,)))
    assert planned(plan(due, NOW, POLICY, 4)) == [(SUSPECT, [11])]


def test_a_batch_is_planned_for_the_current_versions() -> None:
    transition = plan(Due(ACCOUNT_ID, fresh=(document(1, version=3), document(2))), NOW, POLICY, 1)
    assert transition is not None
    assert transition.new_batches == (NewBatch(BatchState.PLANNED, FRESH, {1: 3, 2: 1}),)


SIZES = st.integers(0, 210)


@given(SIZES, SIZES, SIZES, st.lists(st.sampled_from(Purpose), max_size=5), st.integers(0, 6), st.booleans())
def test_each_document_of_a_plan_is_in_one_batch_and_none_is_moved_without_one(
    many: int,
    failed: int,
    gave_up: int,
    loading: list[Purpose],
    room: int,
    probing: bool,  # noqa: FBT001  hypothesis'
) -> None:
    """NO-LOSS; and never more batches than there is room for, nor a purpose's documents in another's batch."""
    due = Due(
        ACCOUNT_ID,
        tuple(loading),
        probing,
        fresh(range(1, many + 1)),
        suspects(range(1001, 1001 + failed)),
        quarantined(range(2001, 2001 + gave_up)),
    )
    transition = plan(due, NOW, POLICY, room)
    if transition is None:
        return
    made = transition.new_batches
    carried = [row_id for new in made for row_id in new.versions]
    assert len(set(carried)) == len(carried)
    assert [move.before.id for move in transition.documents] == carried
    assert {move.after.state for move in transition.documents} == {DocumentState.BATCHED}
    assert 0 < len(made) <= max(0, room - len(loading))
    assert all(1 <= len(new.versions) <= (1 if probing else 100) for new in made)
    assert all(row_id // 1000 == list(Purpose).index(new.purpose) for new in made for row_id in new.versions)
    for purpose in (SUSPECT, ALONE):
        mine = [new for new in made if new.purpose is purpose]
        assert len(mine) + loading.count(purpose) <= max(1, loading.count(purpose))
    assert transition.planned_on == due
