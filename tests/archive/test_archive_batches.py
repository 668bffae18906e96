"""Batches: one worker at a time, one transaction a move, and nothing from a worker that has lost its claim."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.archive.shelves import ON_SQLITE, Shelf

from easytracking_sync.archive import tables
from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.claiming import Wanted
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.errors import StaleLease
from easytracking_sync.terms import LIVE_STATES, BatchState, Claim, Fate, Landed, Landing, PauseReason

SHARED_SHELF = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLANNED, RESERVED, FETCHED, STORED, ACKNOWLEDGED, SPLIT, ABANDONED = BatchState


def claimable(shelf: Shelf, wanted: Wanted) -> int | None:
    """The id of the batch that would be claimed; it is given back as it was."""
    claim = shelf.archive.batches.claim(wanted, shelf.now)
    if claim is not None:
        shelf.archive.batches.release(claim)
    return claim.batch.id if claim else None


def test_side_by_side_no_batch_is_claimed_twice_and_none_is_left_over(shelf: Shelf) -> None:
    account_id = shelf.account()
    made = {shelf.batch(account_id, [doc_id]) for doc_id in range(1, 25)}
    start = threading.Barrier(6)
    taken: list[Claim] = []

    def work(owner: str) -> None:
        batches = shelf.open(owner).batches
        performing: list[int] = []
        start.wait(10)
        while claim := batches.claim(shelf.wanted([account_id], performing=performing), shelf.now):
            performing.append(claim.batch.id)
            taken.append(claim)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.batch.id for claim in taken) == sorted(made)
    assert sorted(doc_id for claim in taken for doc_id in claim.doc_ids) == list(range(1, 25))


def test_what_is_due_first_is_claimed_first_and_nothing_before_it_is_due(shelf: Shelf) -> None:
    account_id = shelf.account()
    later, sooner = (shelf.batch(account_id, [doc_id]) for doc_id in (1, 2))
    for batch_id, minutes in ((later, 10), (sooner, 5)):
        values = {"next_attempt_at": shelf.now + timedelta(minutes=minutes)}
        with shelf.archive.database.write() as connection:
            connection.execute(sa.update(tables.batch).where(tables.batch.c.id == batch_id).values(**values))
    assert shelf.archive.batches.next_due([account_id], shelf.now) == shelf.now + timedelta(minutes=5)
    shelf.clock.forward(299)
    assert claimable(shelf, shelf.wanted([account_id])) is None
    shelf.clock.forward(301)
    assert [claim.batch.id for claim in shelf.claims(account_id)] == [sooner, later]


def test_only_the_accounts_and_states_that_are_wanted_are_claimed(shelf: Shelf) -> None:
    """NO-CROSS-ACCOUNT, and the lanes of the engine."""
    acme, beta = shelf.account("acme"), shelf.account("beta")
    made = {state: shelf.batch(acme, [number], state) for number, state in enumerate(LIVE_STATES, start=1)}
    assert claimable(shelf, shelf.wanted([beta])) is None
    for state, batch_id in made.items():
        assert claimable(shelf, shelf.wanted([acme, beta], state)) == batch_id


def test_a_claim_carries_its_documents_in_a_fixed_order_and_raises_the_epoch(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [7, 3, 5])
    first = shelf.claim(account_id)
    shelf.end_leases()
    second = shelf.claim(account_id)
    assert (first.doc_ids, second.doc_ids) == ((7, 3, 5), (7, 3, 5))
    assert (first.batch.epoch, second.batch.epoch) == (1, 2)


MOVES: dict[str, tuple[BatchState, BatchState, dict[str, Any]]] = {
    "reserved": (PLANNED, RESERVED, {"accepted": True}),
    "waits": (PLANNED, PLANNED, {}),
    "split": (PLANNED, SPLIT, {"halves_in": PLANNED}),
    "refused": (PLANNED, ABANDONED, {"fate": Fate.SUSPECTED, "refusals_to_pause": 1, "pause_seconds": 60.0}),
    "fetched": (RESERVED, FETCHED, {}),
    "landed": (FETCHED, STORED, {"fate": Fate.LANDED}),
    "acknowledged": (STORED, ACKNOWLEDGED, {"fate": Fate.ACKNOWLEDGED}),
    "unacknowledgeable": (STORED, STORED, {"unacknowledgeable": True}),
    "closed": (STORED, ABANDONED, {"fate": Fate.CLOSED}),
}


@pytest.mark.parametrize("moved", [True, False], ids=["moved already", "taken by another"])
@pytest.mark.parametrize("move", MOVES)
def test_a_worker_that_lost_its_claim_commits_nothing_at_all(shelf: Shelf, move: str, *, moved: bool) -> None:
    """FENCED: neither batch, nor documents, halves, files, pauses, journal. A wait alone may be written twice."""
    state, becomes, values = MOVES[move]
    account_id = shelf.account()
    shelf.batch(account_id, [1, 2], state)
    stale = shelf.claim(account_id)
    if becomes is STORED:
        files = shelf.files({"FA": b"<a/>"})
        values = values | {"landed": tuple(Landed(one, Landing.WHOLE, files) for one in stale.documents)}
    commit = shelf.moved(stale, becomes, **values)
    if moved:
        shelf.archive.batches.commit(commit, shelf.now)
    else:
        shelf.end_leases()
        assert shelf.open("two").batches.claim(shelf.wanted([account_id]), shelf.now) is not None
    before = shelf.dump()
    if not (moved and state is becomes):
        with pytest.raises(StaleLease):
            shelf.archive.batches.commit(commit, shelf.now)
    assert shelf.dump() == before
    assert shelf.archive.batches.was_committed(commit) == moved


def test_a_holder_whose_lease_was_voided_commits_nothing(shelf: Shelf) -> None:
    """FENCED: whoever voided it (the operator's remedy, an instance that starts) need not have claimed the batch."""
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    commit = shelf.moved(shelf.claim(account_id), RESERVED)
    shelf.end_leases()
    before = shelf.dump()
    with pytest.raises(StaleLease):
        shelf.archive.batches.commit(commit, shelf.now)
    assert shelf.dump() == before


def test_of_two_claims_of_one_worker_only_the_later_commits(shelf: Shelf) -> None:
    """FENCED: a commit that failed long ago and comes through after all belongs to an epoch that is over."""
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    stale = shelf.moved(shelf.claim(account_id), RESERVED)
    later = shelf.moved(shelf.claim(account_id), RESERVED)
    before = shelf.dump()
    with pytest.raises(StaleLease):
        shelf.archive.batches.commit(stale, shelf.now)
    assert shelf.dump() == before
    shelf.archive.batches.commit(later, shelf.now)


@ON_SQLITE
def test_a_lease_that_has_run_out_can_be_taken_and_its_holder_is_fenced(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    first, second = (Batches(shelf.archive.database, owner, 30.0, alone=True) for owner in ("one", "two"))
    stale = first.claim(shelf.wanted([account_id]), shelf.now)
    assert stale is not None
    shelf.clock.forward(29)
    assert second.claim(shelf.wanted([account_id]), shelf.now) is None
    shelf.clock.forward(1)
    taken = second.claim(shelf.wanted([account_id]), shelf.now)
    assert taken is not None
    assert taken.batch.epoch == stale.batch.epoch + 1
    before = shelf.dump()
    with pytest.raises(StaleLease, match="another worker holds it"):
        first.commit(shelf.moved(stale, RESERVED), shelf.now)
    for give_back in (first.release, lambda claim: first.postpone(claim, shelf.now)):
        give_back(stale)
    assert shelf.dump() == before


def test_a_claim_whose_commit_was_lost_is_this_workers_to_claim_again_and_nobody_elses(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    claim = shelf.claim(account_id)
    other = shelf.open("two").batches
    assert other.claim(shelf.wanted([account_id]), shelf.now) is None
    performing = shelf.wanted([account_id], performing=[claim.batch.id])
    assert shelf.archive.batches.claim(performing, shelf.now) is None
    again = shelf.archive.batches.claim(shelf.wanted([account_id]), shelf.now)
    assert again is not None
    assert again.batch.epoch == claim.batch.epoch + 1


@pytest.mark.parametrize("in_flight", [1, 3])
def test_lost_commits_never_fill_the_places_in_flight_for_good(shelf: Shelf, in_flight: int) -> None:
    """ACK-LIVENESS: what was being reserved when the database went away is reserved again."""
    account_id = shelf.account()
    made = {shelf.batch(account_id, [doc_id]) for doc_id in range(1, in_flight + 1)}
    batches = shelf.archive.batches
    held: list[int] = []
    while claim := batches.claim(shelf.wanted([account_id], jobs_in_flight=in_flight, performing=held), shelf.now):
        held.append(claim.batch.id)
    assert set(held) == made
    again = batches.claim(shelf.wanted([account_id], jobs_in_flight=in_flight), shelf.now)
    assert again is not None


@pytest.mark.parametrize("place", [RESERVED, FETCHED])
def test_no_more_is_reserved_than_may_be_in_flight_and_what_is_stored_takes_no_place(
    shelf: Shelf, place: BatchState
) -> None:
    """BOUNDED per account; the rest goes on whatever is in flight."""
    acme, beta = shelf.account("acme"), shelf.account("beta")
    shelf.batch(acme, [1], place)
    for doc_id in (2, 3, 4):
        shelf.batch(acme, [doc_id])
    shelf.batch(beta, [1])
    shelf.batch(acme, range(5, 8), STORED)
    few = shelf.wanted([acme, beta], jobs_in_flight=2)
    held: list[Claim] = []
    while claim := shelf.archive.batches.claim(
        replace(few, performing=[held_one.batch.id for held_one in held]), shelf.now
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
    shelf: Shelf, reason: PauseReason, ready: set[BatchState]
) -> None:
    account_id = shelf.account()
    for number, state in enumerate(LIVE_STATES, start=1):
        shelf.batch(account_id, [number], state)
    shelf.pause(account_id, reason, timedelta(hours=1))
    shelf.clock.forward(3599)
    assert {claim.batch.state for claim in shelf.claims(account_id)} == ready
    shelf.end_leases()
    shelf.clock.forward(1)
    assert {claim.batch.state for claim in shelf.claims(account_id)} == set(LIVE_STATES)


def test_where_the_disk_has_no_room_only_reserving_stops(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    stored = shelf.batch(account_id, [2], STORED)
    assert claimable(shelf, shelf.wanted([account_id], may_reserve=False)) == stored
    assert claimable(shelf, shelf.wanted([account_id], PLANNED, may_reserve=False)) is None


@SHARED_SHELF
@given(size=st.integers(2, 100), state=st.sampled_from([PLANNED, STORED]))
def test_two_halves_carry_every_document_exactly_once(shelf: Shelf, size: int, state: BatchState) -> None:
    account_id = shelf.account()
    first = max(shelf.states(account_id), default=0) + 1
    doc_ids = tuple(range(first, first + size))
    batch_id = shelf.batch(account_id, doc_ids, state)
    claim = shelf.claim(account_id)
    shelf.move(claim, SPLIT, halves_in=state)
    halves = shelf.claims(account_id)
    assert tuple(doc_id for half in halves for doc_id in half.doc_ids) == doc_ids
    assert {half.batch.state for half in halves} == {state}
    assert {half.batch.root_id for half in halves} == {batch_id}
    assert [half.batch.size for half in halves] == [len(half.doc_ids) for half in halves]
    assert halves[0].batch.size - halves[1].batch.size in (0, 1)
    for half in halves:
        shelf.move(half, ABANDONED, fate=Fate.CLOSED)
    shelf.end_leases()


@pytest.mark.parametrize("move", MOVES)
def test_a_commit_whose_answer_was_lost_is_told_from_one_that_never_was(shelf: Shelf, move: str) -> None:
    """FAIL-STOP: an unknown commit is read again, never assumed."""
    state, becomes, values = MOVES[move]
    account_id = shelf.account()
    shelf.batch(account_id, [1, 2], state)
    commit = shelf.moved(shelf.claim(account_id), becomes, **values)
    assert not shelf.archive.batches.was_committed(commit)
    shelf.archive.batches.commit(commit, shelf.now)
    assert shelf.archive.batches.was_committed(commit)


def test_a_like_move_in_an_earlier_epoch_vouches_for_no_lost_commit(shelf: Shelf) -> None:
    """FAIL-STOP: a batch that lost its job once, and was lost a second time by an answer that never came."""
    account_id = shelf.account()
    shelf.batch(account_id, [1], RESERVED)
    shelf.move(shelf.claim(account_id), PLANNED, batch={"losses": 1, "job_id": None})
    shelf.move(shelf.claim(account_id), RESERVED, batch={"job_id": "another"})
    commit = shelf.moved(shelf.claim(account_id), PLANNED, batch={"losses": 2, "job_id": None})
    assert not shelf.archive.batches.was_committed(commit)
    shelf.archive.batches.commit(commit, shelf.now)
    assert shelf.archive.batches.was_committed(commit)


def test_a_batch_given_back_is_as_it_was_and_one_put_off_is_not_due(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    claim = shelf.claim(account_id)
    shelf.archive.batches.release(claim)
    other = shelf.open("two").batches
    taken = other.claim(shelf.wanted([account_id]), shelf.now)
    assert taken is not None
    assert replace(taken.batch, epoch=1) == claim.batch
    other.postpone(taken, shelf.now + timedelta(minutes=5))
    assert claimable(shelf, shelf.wanted([account_id])) is None
    shelf.clock.forward(300)
    assert claimable(shelf, shelf.wanted([account_id])) == claim.batch.id


def test_the_parcels_that_are_waited_for_are_known_even_before_they_are_noted(shelf: Shelf) -> None:
    """A run that died between the spool's rename and its commit left a parcel nobody wrote down."""
    account_id = shelf.account()
    reserved = shelf.batch(account_id, [1], RESERVED)
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(tables.batch).values(parcel=None))
    for doc_id, state in enumerate((PLANNED, FETCHED, STORED), start=2):
        shelf.batch(account_id, [doc_id], state)
    assert shelf.archive.batches.spooled() == {parcel_name(reserved, "job"), "parcel"}


def test_a_change_of_state_is_one_row_in_the_journal_and_a_wait_is_none(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    for _ in range(3):
        shelf.move(shelf.claim(account_id), PLANNED, batch={"failures": 1})
    shelf.move(shelf.claim(account_id), RESERVED, batch={"job_id": "j"})
    rows = shelf.rows(sa.select(tables.event.c.name).where(tables.event.c.batch_id.is_not(None)))
    assert [row.name for row in rows] == ["batch.reserved"]
