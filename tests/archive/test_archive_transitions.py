"""Compare and set: a decision is applied completely, to unchanged rows, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.archive.documents import Documents
from easytracking_sync.errors import Outdated
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.intake import Intake, IntakeCounts, ReceivedList
from easytracking_sync.machine.planning import plan
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import pause_slowly
from easytracking_sync.terms import BatchState, Due, KnownDocument, PauseReason, Purpose
from easytracking_sync.transition import AccountMove, Transition

H, D = BatchHappened, DocumentHappened
PLANNED, FETCHED, STORED = BatchState.PLANNED, BatchState.FETCHED, BatchState.STORED


def expect_nothing(archive_harness: ArchiveHarness, *transitions: Transition) -> None:
    """All of it is refused, and no row of any table is other than before."""
    before = archive_harness.dump()
    with pytest.raises(Outdated):
        archive_harness.archive.transitions.apply_all(transitions, archive_harness.now)
    assert archive_harness.dump() == before


def due(archive_harness: ArchiveHarness, account_id: int, jobs_in_flight: int = 4) -> Due:
    return archive_harness.archive.documents.due(account_id, archive_harness.now, jobs_in_flight)


def planned(archive_harness: ArchiveHarness, on: Due, jobs_in_flight: int = 4) -> Transition:
    transition = plan(on, archive_harness.now, archive_harness.policy, jobs_in_flight)
    assert transition is not None
    return transition


def fail(archive_harness: ArchiveHarness, account_id: int) -> None:
    """The document travels, is refused, and is back in the pool as a suspect."""
    archive_harness.plan([account_id])
    archive_harness.happen(archive_harness.claim(account_id), H.REFUSED)


def hold(archive_harness: ArchiveHarness, account_id: int) -> None:
    entries = list(archive_harness.archive.document_search.documents(DocumentFilter()))
    archive_harness.corrections().hold(entries, archive_harness.now, held=True)


MEANWHILE: Mapping[str, Callable[[ArchiveHarness, int], object]] = {
    "planned": lambda archive_harness, account_id: archive_harness.plan([account_id]),
    "failed, and in the pool again": fail,
    "changed": lambda archive_harness, account_id: archive_harness.take_in(account_id, [listed(1, number="2")]),
    "held": hold,
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_document_that_is_not_as_it_was_is_not_changed(archive_harness: ArchiveHarness, meanwhile: str) -> None:
    """Its state and version alone would not tell: what failed meanwhile must not travel with fresh ones."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1, 2])
    (document, _) = due(archive_harness, account_id).fresh
    event = DocumentEvent(D.BATCHED)
    transition = Transition(
        account_id, documents=(moved(document, event, archive_harness.now, archive_harness.policy),)
    )
    MEANWHILE[meanwhile](archive_harness, account_id)
    if meanwhile == "failed, and in the pool again":
        for half in archive_harness.claims(account_id):
            archive_harness.happen(half, H.REFUSED)
        assert set(archive_harness.states(account_id).values()) == {"discovered"}
    expect_nothing(archive_harness, transition)


def test_a_plan_of_documents_that_were_around_since_is_refused(archive_harness: ArchiveHarness) -> None:
    """NO-POISON."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1])
    late = planned(archive_harness, due(archive_harness, account_id))
    fail(archive_harness, account_id)
    assert archive_harness.states(account_id) == {1: "discovered"}
    expect_nothing(archive_harness, late)
    assert due(archive_harness, account_id).fresh == ()


def test_a_plan_that_counted_fewer_batches_than_there_are_is_refused(archive_harness: ArchiveHarness) -> None:
    """BOUNDED: it read what is loading before another instance's commit, and what is due after it."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, 151))
    counted = due(archive_harness, account_id).loading
    assert archive_harness.plan([account_id], 1) == 1
    torn = replace(due(archive_harness, account_id), loading=counted)
    assert len(torn.fresh) == 50
    expect_nothing(archive_harness, planned(archive_harness, torn, 1))


def test_a_plan_that_counted_more_batches_than_there_are_is_made(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned(range(1, 101))
    archive_harness.take_in(account_id, range(101, 106))
    transition = planned(archive_harness, due(archive_harness, account_id))
    assert transition.planned_on is not None
    assert transition.planned_on.loading == (Purpose.FRESH,)
    archive_harness.happen(archive_harness.store(account_id), H.ACCEPTED)
    archive_harness.archive.transitions.apply(transition, archive_harness.now)
    assert list(archive_harness.states(account_id).values()).count("batched") == 5


def test_a_plan_made_before_the_account_lost_its_permission_is_refused(archive_harness: ArchiveHarness) -> None:
    """It would hold the places while the account is tried one document an hour."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, 6))
    transition = planned(archive_harness, due(archive_harness, account_id))
    archive_harness.policy = Policy(refusals_to_pause=1)
    archive_harness.batch(account_id, [9])
    archive_harness.happen(archive_harness.claim(account_id), H.REFUSED)
    assert due(archive_harness, account_id).probing
    expect_nothing(archive_harness, transition)


def test_an_account_that_is_not_as_it_was_is_not_changed(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    pause_status = archive_harness.archive.accounts.pause_status(account_id)
    move = pause_slowly(pause_status, PauseReason.CREDENTIALS, "401", archive_harness.now, archive_harness.policy)
    archive_harness.archive.transitions.apply(Transition(account_id, account=move), archive_harness.now)
    late = Transition(account_id, account=AccountMove(pause_status, replace(pause_status, refused_in_row=1)))
    expect_nothing(archive_harness, late)
    assert archive_harness.archive.accounts.pause_status(account_id).slow_pauses == 1


def test_a_batch_that_nobody_held_is_left_alone_once_somebody_does(archive_harness: ArchiveHarness) -> None:
    """FENCED: what a pause recalls is not taken from under a worker."""
    archive_harness.policy = Policy(refusals_to_pause=1)
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    refused = archive_harness.claim(account_id)
    recalled = archive_harness.batch(account_id, [2, 3])
    transition = archive_harness.decided(refused, H.REFUSED)
    assert [move.before.id for move in transition.batches] == [refused.batch.id, recalled]
    claim = archive_harness.archive.batches.claim(
        archive_harness.wanted([account_id], performing=[refused.batch.id]), archive_harness.now
    )
    assert claim is not None
    expect_nothing(archive_harness, transition)
    archive_harness.happen(refused, H.REFUSED)
    assert archive_harness.states(account_id) == {1: "discovered", 2: "batched", 3: "batched"}
    archive_harness.happen(claim, H.JOB_CREATED)


def test_of_several_transitions_all_are_applied_or_none(archive_harness: ArchiveHarness) -> None:
    first, second = archive_harness.account("acme"), archive_harness.account("beta")
    for account_id in (first, second):
        archive_harness.take_in(account_id, [1])
    good, outdated = (planned(archive_harness, due(archive_harness, account_id)) for account_id in (first, second))
    archive_harness.plan([second])
    expect_nothing(archive_harness, good, outdated)
    archive_harness.archive.transitions.apply_all([good], archive_harness.now)
    assert archive_harness.states(first) == {1: "batched"}


def test_a_parcel_is_stored_though_a_listing_changed_its_document_meanwhile(archive_harness: ArchiveHarness) -> None:
    """The same verdict on the document as it is now; its bytes are the older version's."""
    account_id = archive_harness.planned([1, 2])
    claim = archive_harness.reach(account_id, FETCHED)
    verdicts = archive_harness.stored(claim, archive_harness.files({"FA": b"<a/>"}))
    decided = archive_harness.decided(claim, H.DOCUMENTS_STORED, verdicts)
    archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    expect_nothing(archive_harness, decided)
    archive_harness.happen(claim, H.DOCUMENTS_STORED, verdicts)
    assert archive_harness.states(account_id) == {1: "stored", 2: "stored"}
    assert archive_harness.document(account_id, 1).version == 2
    assert {row.version for row in archive_harness.rows(sa.select(tables.file.c.version))} == {1}


def test_a_document_held_while_it_is_acknowledged_is_acknowledged_all_the_same(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.planned([1])
    claim = archive_harness.store(account_id)
    decided = archive_harness.decided(claim, H.ACCEPTED)
    hold(archive_harness, account_id)
    expect_nothing(archive_harness, decided)
    archive_harness.happen(claim, H.ACCEPTED)
    row = archive_harness.document(account_id, 1)
    assert (row.state, row.held) == ("acknowledged", True)


class Interrupted(Documents):
    """Documents of which something else happens to be changed between the first two looks at them."""

    def __init__(self, archive_harness: ArchiveHarness, meanwhile: Callable[[], object]) -> None:
        super().__init__(archive_harness.archive.database)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def known(self, account_id: int, doc_ids: Iterable[int]) -> Mapping[int, KnownDocument]:
        found = super().known(account_id, doc_ids)
        if self._meanwhile:
            self._meanwhile.pop()()
        return found


@pytest.mark.parametrize("state", ["discovered", "batched", "stored", "acknowledged"])
def test_what_two_instances_list_at_once_is_changed_once(archive_harness: ArchiveHarness, state: str) -> None:
    """One of them took the change in while the other was comparing."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1])
    if state != "discovered":
        archive_harness.plan([account_id])
    if state in ("stored", "acknowledged"):
        claim = archive_harness.store(account_id)
        if state == "acknowledged":
            archive_harness.happen(claim, H.ACCEPTED)
    new = listed(1, number="2")
    documents = Interrupted(archive_harness, lambda: archive_harness.take_in(account_id, [new]))
    intake = Intake(replace(archive_harness.archive, documents=documents), archive_harness.policy)
    assert intake.take_in(
        ReceivedList(account_id, [new], archive_harness.now, unmarked=True), archive_harness.now
    ) == IntakeCounts(listed=1)
    assert (archive_harness.document(account_id, 1).version, len(archive_harness.events("document.changed"))) == (
        2,
        1,
    )


def test_what_two_instances_find_at_once_is_discovered_once(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    documents = Interrupted(archive_harness, lambda: archive_harness.take_in(account_id, [2, 3]))
    intake = Intake(replace(archive_harness.archive, documents=documents), archive_harness.policy)
    found = intake.take_in(
        ReceivedList(account_id, [listed(one) for one in (1, 2, 3)], archive_harness.now, unmarked=True),
        archive_harness.now,
    )
    assert found == IntakeCounts(listed=3, discovered=1)
    assert archive_harness.states(account_id) == dict.fromkeys((1, 2, 3), "discovered")
    assert len(archive_harness.events("document.discovered")) == 3


def test_a_document_held_while_it_is_compared_is_left_alone(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1])
    archive_harness.happen(archive_harness.store(account_id), H.ACCEPTED)
    documents = Interrupted(archive_harness, lambda: hold(archive_harness, account_id))
    intake = Intake(replace(archive_harness.archive, documents=documents), archive_harness.policy)
    new = ReceivedList(account_id, [listed(1, number="2")], archive_harness.now, unmarked=True)
    assert intake.take_in(new, archive_harness.now) == IntakeCounts(listed=1)
    assert archive_harness.states(account_id) == {1: "acknowledged"}


def test_what_was_told_again_while_it_was_compared_is_not_told_once_more(archive_harness: ArchiveHarness) -> None:
    """Listed as unmarked by a list that began before the second telling."""
    account_id = archive_harness.planned([1])
    archive_harness.happen(archive_harness.store(account_id), H.ACCEPTED)
    archive_harness.clock.forward(60)
    begun_at = archive_harness.now

    def tell_again() -> None:
        archive_harness.take_in(account_id, [1])
        archive_harness.happen(archive_harness.claim(account_id), H.ACCEPTED)

    intake = Intake(
        replace(archive_harness.archive, documents=Interrupted(archive_harness, tell_again)), archive_harness.policy
    )
    again = intake.take_in(ReceivedList(account_id, [listed(1)], begun_at, unmarked=True), archive_harness.now)
    assert again == IntakeCounts(listed=1)
    assert archive_harness.states(account_id) == {1: "acknowledged"}
    assert len(archive_harness.batches("id")) == 2


def test_what_is_decided_on_other_documents_moves_no_batch(archive_harness: ArchiveHarness) -> None:
    """The lease stays: the worker looks again and decides again."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], STORED)
    claim = archive_harness.claim(account_id)
    decided = archive_harness.decided(claim, H.READ_BACK_FAILED)
    archive_harness.take_in(account_id, [listed(1, number="2")])
    expect_nothing(archive_harness, decided)
    archive_harness.happen(claim, H.READ_BACK_FAILED)
    assert archive_harness.batches("state") == [(PLANNED,)]
