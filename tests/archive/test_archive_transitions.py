"""Compare and set: what was decided is applied whole, on what it was decided on, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import Shelf, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.archive.documents import Documents
from easytracking_sync.errors import Outdated
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.intake import Absorbed, Intake, Listed
from easytracking_sync.machine.planning import plan
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import pause_slowly
from easytracking_sync.terms import BatchState, Due, KnownDocument, PauseReason, Purpose
from easytracking_sync.transition import AccountMove, Transition

H, D = BatchHappened, DocumentHappened
PLANNED, FETCHED, STORED = BatchState.PLANNED, BatchState.FETCHED, BatchState.STORED


def expect_nothing(shelf: Shelf, *transitions: Transition) -> None:
    """All of it is refused, and no row of any table is other than before."""
    before = shelf.dump()
    with pytest.raises(Outdated):
        shelf.archive.transitions.apply_all(transitions, shelf.now)
    assert shelf.dump() == before


def due(shelf: Shelf, account_id: int, jobs_in_flight: int = 4) -> Due:
    return shelf.archive.documents.due(account_id, shelf.now, jobs_in_flight)


def planned(shelf: Shelf, on: Due, jobs_in_flight: int = 4) -> Transition:
    transition = plan(on, shelf.now, shelf.policy, jobs_in_flight)
    assert transition is not None
    return transition


def fail(shelf: Shelf, account_id: int) -> None:
    """The document travels, is refused, and is back in the pool as a suspect."""
    shelf.plan([account_id])
    shelf.happen(shelf.claim(account_id), H.REFUSED)


def hold(shelf: Shelf, account_id: int) -> None:
    entries = list(shelf.archive.document_search.documents(DocumentFilter()))
    shelf.corrections().hold(entries, shelf.now, held=True)


MEANWHILE: Mapping[str, Callable[[Shelf, int], object]] = {
    "planned": lambda shelf, account_id: shelf.plan([account_id]),
    "failed, and in the pool again": fail,
    "changed": lambda shelf, account_id: shelf.absorb(account_id, [listed(1, number="2")]),
    "held": hold,
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_document_that_is_not_as_it_was_is_not_changed(shelf: Shelf, meanwhile: str) -> None:
    """Its state and version alone would not tell: what failed meanwhile must not travel with fresh ones."""
    account_id = shelf.account()
    shelf.absorb(account_id, [1, 2])
    (document, _) = due(shelf, account_id).fresh
    event = DocumentEvent(D.BATCHED)
    transition = Transition(account_id, documents=(moved(document, event, shelf.now, shelf.policy),))
    MEANWHILE[meanwhile](shelf, account_id)
    if meanwhile == "failed, and in the pool again":
        for half in shelf.claims(account_id):
            shelf.happen(half, H.REFUSED)
        assert set(shelf.states(account_id).values()) == {"discovered"}
    expect_nothing(shelf, transition)


def test_a_plan_of_documents_that_were_around_since_is_refused(shelf: Shelf) -> None:
    """NO-POISON."""
    account_id = shelf.account()
    shelf.absorb(account_id, [1])
    late = planned(shelf, due(shelf, account_id))
    fail(shelf, account_id)
    assert shelf.states(account_id) == {1: "discovered"}
    expect_nothing(shelf, late)
    assert due(shelf, account_id).fresh == ()


def test_a_plan_that_counted_fewer_batches_than_there_are_is_refused(shelf: Shelf) -> None:
    """BOUNDED: it read what is loading before another instance's commit, and what is due after it."""
    account_id = shelf.account()
    shelf.absorb(account_id, range(1, 151))
    counted = due(shelf, account_id).loading
    assert shelf.plan([account_id], 1) == 1
    torn = replace(due(shelf, account_id), loading=counted)
    assert len(torn.fresh) == 50
    expect_nothing(shelf, planned(shelf, torn, 1))


def test_a_plan_that_counted_more_batches_than_there_are_is_made(shelf: Shelf) -> None:
    account_id = shelf.planned(range(1, 101))
    shelf.absorb(account_id, range(101, 106))
    transition = planned(shelf, due(shelf, account_id))
    assert transition.planned_on is not None
    assert transition.planned_on.loading == (Purpose.FRESH,)
    shelf.happen(shelf.store(account_id), H.ACCEPTED)
    shelf.archive.transitions.apply(transition, shelf.now)
    assert list(shelf.states(account_id).values()).count("batched") == 5


def test_a_plan_made_before_the_account_lost_its_permission_is_refused(shelf: Shelf) -> None:
    """It would hold the places while the account is tried one document an hour."""
    account_id = shelf.account()
    shelf.absorb(account_id, range(1, 6))
    transition = planned(shelf, due(shelf, account_id))
    shelf.policy = Policy(refusals_to_pause=1)
    shelf.batch(account_id, [9])
    shelf.happen(shelf.claim(account_id), H.REFUSED)
    assert due(shelf, account_id).probing
    expect_nothing(shelf, transition)


def test_an_account_that_is_not_as_it_was_is_not_changed(shelf: Shelf) -> None:
    account_id = shelf.account()
    pause_status = shelf.archive.accounts.pause_status(account_id)
    move = pause_slowly(pause_status, PauseReason.CREDENTIALS, "401", shelf.now, shelf.policy)
    shelf.archive.transitions.apply(Transition(account_id, account=move), shelf.now)
    late = Transition(account_id, account=AccountMove(pause_status, replace(pause_status, refused_in_row=1)))
    expect_nothing(shelf, late)
    assert shelf.archive.accounts.pause_status(account_id).slow_pauses == 1


def test_a_batch_that_nobody_held_is_left_alone_once_somebody_does(shelf: Shelf) -> None:
    """FENCED: what a pause recalls is not taken from under a worker."""
    shelf.policy = Policy(refusals_to_pause=1)
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    refused = shelf.claim(account_id)
    recalled = shelf.batch(account_id, [2, 3])
    transition = shelf.decided(refused, H.REFUSED)
    assert [move.before.id for move in transition.batches] == [refused.batch.id, recalled]
    claim = shelf.archive.batches.claim(shelf.wanted([account_id], performing=[refused.batch.id]), shelf.now)
    assert claim is not None
    expect_nothing(shelf, transition)
    shelf.happen(refused, H.REFUSED)
    assert shelf.states(account_id) == {1: "discovered", 2: "batched", 3: "batched"}
    shelf.happen(claim, H.JOB_CREATED)


def test_of_several_transitions_all_are_applied_or_none(shelf: Shelf) -> None:
    first, second = shelf.account("acme"), shelf.account("beta")
    for account_id in (first, second):
        shelf.absorb(account_id, [1])
    good, outdated = (planned(shelf, due(shelf, account_id)) for account_id in (first, second))
    shelf.plan([second])
    expect_nothing(shelf, good, outdated)
    shelf.archive.transitions.apply_all([good], shelf.now)
    assert shelf.states(first) == {1: "batched"}


def test_a_parcel_is_stored_though_a_listing_changed_its_document_meanwhile(shelf: Shelf) -> None:
    """The same verdict on the document as it is now; its bytes are the older version's."""
    account_id = shelf.planned([1, 2])
    claim = shelf.reach(account_id, FETCHED)
    verdicts = shelf.stored(claim, shelf.files({"FA": b"<a/>"}))
    decided = shelf.decided(claim, H.DOCUMENTS_STORED, verdicts)
    shelf.absorb(account_id, [listed(1, number="1/bis")])
    expect_nothing(shelf, decided)
    shelf.happen(claim, H.DOCUMENTS_STORED, verdicts)
    assert shelf.states(account_id) == {1: "stored", 2: "stored"}
    assert shelf.document(account_id, 1).version == 2
    assert {row.version for row in shelf.rows(sa.select(tables.file.c.version))} == {1}


def test_a_document_held_while_it_is_acknowledged_is_acknowledged_all_the_same(shelf: Shelf) -> None:
    account_id = shelf.planned([1])
    claim = shelf.store(account_id)
    decided = shelf.decided(claim, H.ACCEPTED)
    hold(shelf, account_id)
    expect_nothing(shelf, decided)
    shelf.happen(claim, H.ACCEPTED)
    row = shelf.document(account_id, 1)
    assert (row.state, row.held) == ("acknowledged", True)


class Interrupted(Documents):
    """Documents of which something else happens to be changed between the first two looks at them."""

    def __init__(self, shelf: Shelf, meanwhile: Callable[[], object]) -> None:
        super().__init__(shelf.archive.database)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def known(self, account_id: int, doc_ids: Iterable[int]) -> Mapping[int, KnownDocument]:
        found = super().known(account_id, doc_ids)
        if self._meanwhile:
            self._meanwhile.pop()()
        return found


@pytest.mark.parametrize("state", ["discovered", "batched", "stored", "acknowledged"])
def test_what_two_instances_list_at_once_is_changed_once(shelf: Shelf, state: str) -> None:
    """One of them took the change in while the other was comparing."""
    account_id = shelf.account()
    shelf.absorb(account_id, [1])
    if state != "discovered":
        shelf.plan([account_id])
    if state in ("stored", "acknowledged"):
        claim = shelf.store(account_id)
        if state == "acknowledged":
            shelf.happen(claim, H.ACCEPTED)
    new = listed(1, number="2")
    documents = Interrupted(shelf, lambda: shelf.absorb(account_id, [new]))
    intake = Intake(replace(shelf.archive, documents=documents), shelf.policy)
    assert intake.absorb(Listed(account_id, [new], shelf.now, unmarked=True), shelf.now) == Absorbed(listed=1)
    assert (shelf.document(account_id, 1).version, len(shelf.events("document.changed"))) == (2, 1)


def test_what_two_instances_find_at_once_is_discovered_once(shelf: Shelf) -> None:
    account_id = shelf.account()
    documents = Interrupted(shelf, lambda: shelf.absorb(account_id, [2, 3]))
    intake = Intake(replace(shelf.archive, documents=documents), shelf.policy)
    found = intake.absorb(Listed(account_id, [listed(one) for one in (1, 2, 3)], shelf.now, unmarked=True), shelf.now)
    assert found == Absorbed(listed=3, discovered=1)
    assert shelf.states(account_id) == dict.fromkeys((1, 2, 3), "discovered")
    assert len(shelf.events("document.discovered")) == 3


def test_a_document_held_while_it_is_compared_is_left_alone(shelf: Shelf) -> None:
    account_id = shelf.planned([1])
    shelf.happen(shelf.store(account_id), H.ACCEPTED)
    documents = Interrupted(shelf, lambda: hold(shelf, account_id))
    intake = Intake(replace(shelf.archive, documents=documents), shelf.policy)
    new = Listed(account_id, [listed(1, number="2")], shelf.now, unmarked=True)
    assert intake.absorb(new, shelf.now) == Absorbed(listed=1)
    assert shelf.states(account_id) == {1: "acknowledged"}


def test_what_was_told_again_while_it_was_compared_is_not_told_once_more(shelf: Shelf) -> None:
    """Listed as unmarked by a list that began before the second telling."""
    account_id = shelf.planned([1])
    shelf.happen(shelf.store(account_id), H.ACCEPTED)
    shelf.clock.forward(60)
    begun_at = shelf.now

    def tell_again() -> None:
        shelf.absorb(account_id, [1])
        shelf.happen(shelf.claim(account_id), H.ACCEPTED)

    intake = Intake(replace(shelf.archive, documents=Interrupted(shelf, tell_again)), shelf.policy)
    again = intake.absorb(Listed(account_id, [listed(1)], begun_at, unmarked=True), shelf.now)
    assert again == Absorbed(listed=1)
    assert shelf.states(account_id) == {1: "acknowledged"}
    assert len(shelf.batches("id")) == 2


def test_what_is_decided_on_other_documents_moves_no_batch(shelf: Shelf) -> None:
    """The lease stays: the worker looks again and decides again."""
    account_id = shelf.account()
    shelf.batch(account_id, [1], STORED)
    claim = shelf.claim(account_id)
    decided = shelf.decided(claim, H.READ_BACK_FAILED)
    shelf.absorb(account_id, [listed(1, number="2")])
    expect_nothing(shelf, decided)
    shelf.happen(claim, H.READ_BACK_FAILED)
    assert shelf.batches("state") == [(PLANNED,)]
