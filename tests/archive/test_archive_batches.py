"""Batches: one worker at a time, one transaction per move, no commits by a worker that lost its claim."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.archive.archive_harness import ON_SQLITE, ArchiveHarness

from easytracking_sync.archive import tables
from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.claim_queries import ClaimCriteria
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.archive.transitions import Transitions
from easytracking_sync.errors import StaleLease
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import LIVE_STATES, BatchState, Claim, PauseReason
from easytracking_sync.transition import Transition

SHARED_SHELF = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLANNED, RESERVED, FETCHED, STORED, ACKNOWLEDGED, SPLIT, ABANDONED = BatchState


def claimable(archive_harness: ArchiveHarness, wanted: ClaimCriteria) -> int | None:
    """The id of the batch that would be claimed; it is given back as it was."""
    claim = archive_harness.archive.batches.claim(wanted, archive_harness.now)
    if claim is not None:
        archive_harness.archive.batches.release(claim)
    return claim.batch.id if claim else None


def test_side_by_side_no_batch_is_claimed_twice_and_none_is_left_over(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    made = {archive_harness.batch(account_id, [doc_id]) for doc_id in range(1, 25)}
    start = threading.Barrier(6)
    taken: list[Claim] = []

    def work(owner: str) -> None:
        batches = archive_harness.open(owner).batches
        performing: list[int] = []
        start.wait(10)
        while claim := batches.claim(
            archive_harness.wanted([account_id], performing=performing), archive_harness.now
        ):
            performing.append(claim.batch.id)
            taken.append(claim)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.batch.id for claim in taken) == sorted(made)
    assert sorted(doc_id for claim in taken for doc_id in claim.doc_ids) == list(range(1, 25))


def test_what_is_due_first_is_claimed_first_and_nothing_before_it_is_due(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    later, sooner = (archive_harness.batch(account_id, [doc_id]) for doc_id in (1, 2))
    for batch_id, minutes in ((later, 10), (sooner, 5)):
        values = {"next_attempt_at": archive_harness.now + timedelta(minutes=minutes)}
        with archive_harness.archive.database.write() as connection:
            connection.execute(sa.update(tables.batch).where(tables.batch.c.id == batch_id).values(**values))
    assert archive_harness.archive.batches.next_due(
        [account_id], archive_harness.now
    ) == archive_harness.now + timedelta(minutes=5)
    archive_harness.clock.forward(299)
    assert claimable(archive_harness, archive_harness.wanted([account_id])) is None
    archive_harness.clock.forward(301)
    assert [claim.batch.id for claim in archive_harness.claims(account_id)] == [sooner, later]


def test_only_the_accounts_and_states_that_are_wanted_are_claimed(archive_harness: ArchiveHarness) -> None:
    """NO-CROSS-ACCOUNT, and the lanes of the engine."""
    acme, beta = archive_harness.account("acme"), archive_harness.account("beta")
    made = {state: archive_harness.batch(acme, [number], state) for number, state in enumerate(LIVE_STATES, start=1)}
    assert claimable(archive_harness, archive_harness.wanted([beta])) is None
    for state, batch_id in made.items():
        assert claimable(archive_harness, archive_harness.wanted([acme, beta], state)) == batch_id


def test_a_claim_carries_its_documents_in_a_fixed_order_and_raises_the_epoch(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [7, 3, 5])
    first = archive_harness.claim(account_id)
    archive_harness.end_leases()
    second = archive_harness.claim(account_id)
    assert (first.doc_ids, second.doc_ids) == ((7, 3, 5), (7, 3, 5))
    assert (first.batch.epoch, second.batch.epoch) == (1, 2)


H = BatchHappened
MOVES: dict[str, tuple[BatchState, int, BatchHappened]] = {
    "reserved": (PLANNED, 2, H.JOB_CREATED),
    "waits": (PLANNED, 2, H.UNAVAILABLE),
    "split": (PLANNED, 2, H.REFUSED),
    "refused": (PLANNED, 1, H.REFUSED),
    "fetched": (RESERVED, 2, H.PARCEL_SPOOLED),
    "lost": (RESERVED, 2, H.JOB_LOST),
    "stored": (FETCHED, 2, H.DOCUMENTS_STORED),
    "acknowledged": (STORED, 2, H.ACCEPTED),
    "split when told": (STORED, 2, H.REFUSED),
    "unacknowledgeable": (STORED, 1, H.REFUSED),
    "not whole": (STORED, 2, H.READ_BACK_FAILED),
    "closed": (STORED, 1, H.CLOSED),
}
"""The state of a batch, how many documents it carries, and what happens to it."""


def decided(archive_harness: ArchiveHarness, move: str) -> tuple[int, Transition]:
    """An account with one claimed batch, and the decision on what happens to it."""
    state, size, happened = MOVES[move]
    archive_harness.policy = Policy(refusals_to_pause=1)
    account_id = archive_harness.account()
    archive_harness.batch(account_id, range(1, size + 1), state)
    claim = archive_harness.claim(account_id)
    files = archive_harness.files({"FA": b"<a/>"})
    return account_id, archive_harness.decided(
        claim, happened, archive_harness.stored(claim, files) if state is FETCHED else ()
    )


@pytest.mark.parametrize("moved", [True, False], ids=["moved already", "taken by another"])
@pytest.mark.parametrize("move", MOVES)
def test_a_worker_that_lost_its_claim_commits_nothing_at_all(
    archive_harness: ArchiveHarness, move: str, *, moved: bool
) -> None:
    """FENCED: neither batch, nor documents, halves, files, pauses, journal."""
    account_id, transition = decided(archive_harness, move)
    if moved:
        archive_harness.archive.transitions.apply(transition, archive_harness.now)
    else:
        archive_harness.end_leases()
        assert (
            archive_harness.open("two").batches.claim(archive_harness.wanted([account_id]), archive_harness.now)
            is not None
        )
    before = archive_harness.dump()
    with pytest.raises(StaleLease):
        archive_harness.archive.transitions.apply(transition, archive_harness.now)
    assert archive_harness.dump() == before
    assert archive_harness.archive.transitions.was_applied(transition) == moved


def test_a_holder_whose_lease_was_voided_commits_nothing(archive_harness: ArchiveHarness) -> None:
    """FENCED: whoever voided it (the operator's remedy, an instance that starts) need not have claimed the batch."""
    _, transition = decided(archive_harness, "reserved")
    archive_harness.end_leases()
    before = archive_harness.dump()
    with pytest.raises(StaleLease):
        archive_harness.archive.transitions.apply(transition, archive_harness.now)
    assert archive_harness.dump() == before


def test_of_two_claims_of_one_worker_only_the_later_commits(archive_harness: ArchiveHarness) -> None:
    """FENCED: a commit that failed long ago and comes through after all belongs to an epoch that is over."""
    account_id, stale = decided(archive_harness, "reserved")
    later = archive_harness.decided(archive_harness.claim(account_id), H.JOB_CREATED)
    before = archive_harness.dump()
    with pytest.raises(StaleLease):
        archive_harness.archive.transitions.apply(stale, archive_harness.now)
    assert archive_harness.dump() == before
    archive_harness.archive.transitions.apply(later, archive_harness.now)


@ON_SQLITE
def test_a_lease_that_has_run_out_can_be_taken_and_its_holder_is_fenced(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    first, second = (Batches(archive_harness.archive.database, owner, 30.0, alone=True) for owner in ("one", "two"))
    stale = first.claim(archive_harness.wanted([account_id]), archive_harness.now)
    assert stale is not None
    archive_harness.clock.forward(29)
    assert second.claim(archive_harness.wanted([account_id]), archive_harness.now) is None
    archive_harness.clock.forward(1)
    taken = second.claim(archive_harness.wanted([account_id]), archive_harness.now)
    assert taken is not None
    assert taken.batch.epoch == stale.batch.epoch + 1
    before = archive_harness.dump()
    late = Transitions(archive_harness.archive.database, first)
    with pytest.raises(StaleLease, match="another worker has taken it"):
        late.apply(archive_harness.decided(stale, H.JOB_CREATED), archive_harness.now)
    for give_back in (first.release, lambda claim: first.postpone(claim, archive_harness.now)):
        give_back(stale)
    assert archive_harness.dump() == before


def test_a_claim_whose_commit_was_lost_is_this_workers_to_claim_again_and_nobody_elses(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    claim = archive_harness.claim(account_id)
    other = archive_harness.open("two").batches
    assert other.claim(archive_harness.wanted([account_id]), archive_harness.now) is None
    performing = archive_harness.wanted([account_id], performing=[claim.batch.id])
    assert archive_harness.archive.batches.claim(performing, archive_harness.now) is None
    again = archive_harness.archive.batches.claim(archive_harness.wanted([account_id]), archive_harness.now)
    assert again is not None
    assert again.batch.epoch == claim.batch.epoch + 1


@pytest.mark.parametrize("in_flight", [1, 3])
def test_lost_commits_never_fill_the_places_in_flight_for_good(
    archive_harness: ArchiveHarness, in_flight: int
) -> None:
    """ACK-LIVENESS: what was being reserved when the database went away is reserved again."""
    account_id = archive_harness.account()
    made = {archive_harness.batch(account_id, [doc_id]) for doc_id in range(1, in_flight + 1)}
    batches = archive_harness.archive.batches
    held: list[int] = []
    while claim := batches.claim(
        archive_harness.wanted([account_id], jobs_in_flight=in_flight, performing=held), archive_harness.now
    ):
        held.append(claim.batch.id)
    assert set(held) == made
    again = batches.claim(archive_harness.wanted([account_id], jobs_in_flight=in_flight), archive_harness.now)
    assert again is not None


@pytest.mark.parametrize("place", [RESERVED, FETCHED])
def test_no_more_is_reserved_than_may_be_in_flight_and_what_is_stored_takes_no_place(
    archive_harness: ArchiveHarness, place: BatchState
) -> None:
    """BOUNDED per account; the rest goes on whatever is in flight."""
    acme, beta = archive_harness.account("acme"), archive_harness.account("beta")
    archive_harness.batch(acme, [1], place)
    for doc_id in (2, 3, 4):
        archive_harness.batch(acme, [doc_id])
    archive_harness.batch(beta, [1])
    archive_harness.batch(acme, range(5, 8), STORED)
    few = archive_harness.wanted([acme, beta], jobs_in_flight=2)
    held: list[Claim] = []
    while claim := archive_harness.archive.batches.claim(
        replace(few, performing=[held_one.batch.id for held_one in held]), archive_harness.now
    ):
        held.append(claim)
    found = sorted((one.batch.account_id, one.batch.state.value, one.doc_ids) for one in held)
    assert found == sorted(
        [(acme, place.value, (1,)), (acme, "planned", (2,)), (acme, "stored", (5, 6, 7)), (beta, "planned", (1,))]
    )


@pytest.mark.parametrize(
    ("reason", "ready"),
    [(PauseReason.CREDENTIALS, {FETCHED}), (PauseReason.PERMISSION, {RESERVED, FETCHED, STORED})],
)
def test_a_pause_holds_back_what_would_meet_the_same_refusal(
    archive_harness: ArchiveHarness, reason: PauseReason, ready: set[BatchState]
) -> None:
    account_id = archive_harness.account()
    for number, state in enumerate(LIVE_STATES, start=1):
        archive_harness.batch(account_id, [number], state)
    archive_harness.pause(account_id, reason, timedelta(hours=1))
    archive_harness.clock.forward(3599)
    assert {claim.batch.state for claim in archive_harness.claims(account_id)} == ready
    archive_harness.end_leases()
    archive_harness.clock.forward(1)
    assert {claim.batch.state for claim in archive_harness.claims(account_id)} == set(LIVE_STATES)


def test_where_the_disk_has_no_room_only_reserving_stops(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    stored = archive_harness.batch(account_id, [2], STORED)
    assert claimable(archive_harness, archive_harness.wanted([account_id], may_reserve=False)) == stored
    assert claimable(archive_harness, archive_harness.wanted([account_id], PLANNED, may_reserve=False)) is None


@SHARED_SHELF
@given(size=st.integers(2, 100), state=st.sampled_from([PLANNED, STORED]))
def test_two_halves_carry_every_document_exactly_once(
    archive_harness: ArchiveHarness, size: int, state: BatchState
) -> None:
    account_id = archive_harness.account()
    first = max(archive_harness.states(account_id), default=0) + 1
    doc_ids = tuple(range(first, first + size))
    batch_id = archive_harness.batch(account_id, doc_ids, state)
    archive_harness.happen(archive_harness.claim(account_id), H.REFUSED)
    carried = tables.batch_document.c
    assert (
        archive_harness.rows(sa.select(carried.document_id).where(carried.batch_id == batch_id, carried.carried))
        == []
    )
    halves = archive_harness.claims(account_id)
    assert tuple(doc_id for half in halves for doc_id in half.doc_ids) == doc_ids
    assert {half.batch.state for half in halves} == {state}
    assert {half.batch.root_id for half in halves} == {batch_id}
    assert [half.batch.size for half in halves] == [len(half.doc_ids) for half in halves]
    assert halves[0].batch.size - halves[1].batch.size in (0, 1)
    archive_harness.end_leases()
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.batch).values(state=ABANDONED))


@pytest.mark.parametrize("move", MOVES)
def test_a_commit_whose_answer_was_lost_is_told_from_one_that_never_was(
    archive_harness: ArchiveHarness, move: str
) -> None:
    """FAIL-STOP: an unknown commit is read again, never assumed."""
    _, transition = decided(archive_harness, move)
    assert not archive_harness.archive.transitions.was_applied(transition)
    archive_harness.archive.transitions.apply(transition, archive_harness.now)
    assert archive_harness.archive.transitions.was_applied(transition)


def test_a_like_move_in_an_earlier_epoch_vouches_for_no_lost_commit(archive_harness: ArchiveHarness) -> None:
    """FAIL-STOP: a batch that lost its job once, and was lost a second time by an answer that never came."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], RESERVED)
    archive_harness.happen(archive_harness.claim(account_id), H.JOB_LOST)
    archive_harness.clock.forward(10)
    archive_harness.happen(archive_harness.claim(account_id), BatchEvent(H.JOB_CREATED, job_id="another"))
    transition = archive_harness.decided(archive_harness.claim(account_id), H.JOB_LOST)
    assert not archive_harness.archive.transitions.was_applied(transition)
    archive_harness.archive.transitions.apply(transition, archive_harness.now)
    assert archive_harness.archive.transitions.was_applied(transition)


def test_a_batch_given_back_is_as_it_was_and_one_put_off_is_not_due(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    claim = archive_harness.claim(account_id)
    archive_harness.archive.batches.release(claim)
    other = archive_harness.open("two").batches
    taken = other.claim(archive_harness.wanted([account_id]), archive_harness.now)
    assert taken is not None
    assert replace(taken.batch, epoch=1) == claim.batch
    other.postpone(taken, archive_harness.now + timedelta(minutes=5))
    assert claimable(archive_harness, archive_harness.wanted([account_id])) is None
    archive_harness.clock.forward(300)
    assert claimable(archive_harness, archive_harness.wanted([account_id])) == claim.batch.id


def test_the_parcels_that_are_waited_for_are_known_even_before_they_are_noted(
    archive_harness: ArchiveHarness,
) -> None:
    """A run that died between the spool's rename and its commit left a parcel nobody wrote down."""
    account_id = archive_harness.account()
    reserved = archive_harness.batch(account_id, [1], RESERVED)
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.batch).values(parcel=None))
    for doc_id, state in enumerate((PLANNED, FETCHED, STORED), start=2):
        archive_harness.batch(account_id, [doc_id], state)
    assert archive_harness.archive.batches.spooled() == {parcel_name(reserved, "job"), "parcel"}


def test_a_change_of_state_is_one_row_in_the_journal_and_a_wait_is_none(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    last = archive_harness.archive.journal.last()
    for _ in range(3):
        archive_harness.happen(archive_harness.claim(account_id), H.UNAVAILABLE)
        archive_harness.clock.forward(10)
    assert archive_harness.archive.journal.last() == last
    archive_harness.happen(archive_harness.claim(account_id), H.JOB_CREATED)
    rows = archive_harness.rows(sa.select(tables.event.c.name).where(tables.event.c.id > last))
    assert [row.name for row in rows] == ["batch.reserved"]
