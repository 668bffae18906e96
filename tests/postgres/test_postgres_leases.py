"""Leases by the server's clock: kept while they are renewed, taken when they are not, and fenced by their epoch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import Shelf, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import Outdated, StaleLease
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.corrections import BusyDocument
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import LIVE_STATES, BatchState, Claim, OnRelist

PLANNED, RESERVED, FETCHED, STORED, ACKNOWLEDGED, SPLIT, ABANDONED = BatchState
H = BatchHappened


def run_out(shelf: Shelf) -> None:
    """As if the time of every lease had passed, by the clock that counts."""
    with shelf.archive.database.write() as connection:
        for table, column in ((tables.batch, "lease_until"), (tables.lease, "until")):
            connection.execute(sa.update(table).values({column: sa.func.clock_timestamp()}))


def seconds_left(shelf: Shelf) -> list[float]:
    """Of each held batch's lease, as the server counts."""
    left = sa.func.extract("epoch", tables.batch.c.lease_until - sa.func.clock_timestamp())
    rows = shelf.rows(sa.select(left).where(tables.batch.c.lease_owner.is_not(None)).order_by(tables.batch.c.id))
    return [float(row[0]) for row in rows]


def claim(shelf: Shelf, archive: Archive, account_id: int) -> Claim | None:
    return archive.batches.claim(shelf.wanted([account_id]), shelf.now)


def test_a_lease_lasts_thirty_seconds_of_the_servers_clock_whatever_ours_says(shelf: Shelf) -> None:
    """CLOCK-SAFE: a host whose clock is wrong takes nothing from the others."""
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    shelf.claim(account_id)
    (left,) = seconds_left(shelf)
    assert 20 < left <= 30
    shelf.clock.forward(timedelta(days=3650).total_seconds())
    assert claim(shelf, shelf.open("two"), account_id) is None
    run_out(shelf)
    taken = claim(shelf, shelf.open("three"), account_id)
    assert taken is not None
    assert taken.batch.epoch == 2


def test_a_renewed_lease_is_nobody_elses(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    held = shelf.claim(account_id)
    run_out(shelf)
    assert shelf.archive.batches.renew(shelf.now) == {held.batch.id: held.batch.epoch}
    assert claim(shelf, shelf.open("two"), account_id) is None
    (left,) = seconds_left(shelf)
    assert left > 20
    shelf.happen(held, H.JOB_CREATED)
    assert shelf.archive.batches.renew(shelf.now) == {}


def test_row_21_a_holder_that_was_frozen_renews_nothing_and_commits_nothing(shelf: Shelf) -> None:
    """FENCED: SIGSTOP, a suspended machine, a partition."""
    account_id = shelf.account()
    shelf.batch(account_id, [1, 2])
    stale = shelf.claim(account_id)
    run_out(shelf)
    taken = claim(shelf, shelf.open("two"), account_id)
    assert taken is not None
    assert shelf.archive.batches.renew(shelf.now) == {}
    before = shelf.dump()
    with pytest.raises(StaleLease):
        shelf.happen(stale, H.JOB_CREATED)
    shelf.archive.batches.release(stale)
    shelf.archive.batches.postpone(stale, shelf.now + timedelta(hours=1))
    assert shelf.dump() == before


def test_an_instance_that_starts_voids_nobodys_lease_and_one_that_ends_voids_its_own(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1])
    shelf.batch(account_id, [2])
    first, second = shelf.archive, shelf.open("two")
    mine, other = claim(shelf, first, account_id), claim(shelf, second, account_id)
    assert mine is not None
    assert other is not None
    second.batches.release_all()
    assert len(seconds_left(shelf)) == 2
    first.batches.let_go()
    taken = claim(shelf, shelf.open("three"), account_id)
    assert taken is not None
    assert taken.batch.id == mine.batch.id
    assert claim(shelf, shelf.open("four"), account_id) is None


def test_who_fetched_a_parcel_stores_it_and_another_host_only_when_it_is_gone(shelf: Shelf) -> None:
    """Otherwise two hosts would take each other's batches and find no parcel in their spools, for ever."""
    account_id = shelf.account()
    shelf.batch(account_id, [1], RESERVED)
    other = shelf.open("two")
    shelf.happen(shelf.claim(account_id), H.PARCEL_SPOOLED)
    assert claim(shelf, other, account_id) is None
    assert shelf.archive.batches.next_due([account_id], shelf.now) == shelf.now
    assert other.batches.next_due([account_id], shelf.now) is None
    again = shelf.claim(account_id)
    shelf.policy = Policy(roll=0.0)
    shelf.happen(again, H.STORAGE_FAILED)
    assert claim(shelf, other, account_id) is None
    run_out(shelf)
    taken = claim(shelf, other, account_id)
    assert taken is not None
    assert taken.batch.state is FETCHED


def test_a_document_that_a_worker_is_at_cannot_be_accepted_until_the_lease_runs_out(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1], STORED)
    shelf.happen(shelf.claim(account_id), H.REFUSED)
    shelf.clock.forward(86_400)
    shelf.claim(account_id)
    (entry,) = shelf.archive.document_search.documents(DocumentFilter())
    with pytest.raises(BusyDocument):
        shelf.corrections().accept(entry, "why", shelf.now)
    run_out(shelf)
    shelf.corrections().accept(entry, "why", shelf.now)
    assert shelf.states(account_id) == {1: "accepted"}


def test_a_name_is_held_by_one_instance_until_it_is_given_back_or_runs_out(shelf: Shelf) -> None:
    one, two = shelf.archive.leases, shelf.open("two").leases
    assert one.take("cycle:1", 30, shelf.now)
    assert not two.take("cycle:1", 30, shelf.now)
    assert two.take("cycle:2", 30, shelf.now)
    assert one.take("cycle:1", 30, shelf.now), "whoever holds it may hold it longer"
    run_out(shelf)
    assert two.take("cycle:1", 30, shelf.now)
    assert not one.take("cycle:1", 30, shelf.now)
    one.give_back("cycle:1")
    assert not one.take("cycle:1", 30, shelf.now), "only its holder gives it back"
    for _ in range(2):
        two.give_back("cycle:1")
    assert one.take("cycle:1", 30, shelf.now)
    two.give_all_back()
    assert one.take("cycle:2", 30, shelf.now)


INSTANCES = 4


def side_by_side(shelf: Shelf, work: Callable[[Archive], object]) -> None:
    """The same work in several instances at once; whatever one raises is raised here."""
    start = threading.Barrier(INSTANCES)
    failures: list[BaseException] = []

    def run(archive: Archive) -> None:
        start.wait(10)
        try:
            work(archive)
        except BaseException as failure:  # noqa: BLE001  raised below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(shelf.open(f"instance-{n}"),)) for n in range(INSTANCES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def live_loads(shelf: Shelf) -> dict[int, int]:
    """How many live batches carry each document."""
    carried, batch, document = tables.batch_document, tables.batch, tables.document
    query = (
        sa.select(document.c.doc_id, sa.func.count())
        .join(carried, carried.c.document_id == document.c.id)
        .join(batch, batch.c.id == carried.c.batch_id)
        .where(carried.c.carried, batch.c.state.in_(LIVE_STATES))
        .group_by(document.c.doc_id)
    )
    return {doc_id: int(count) for doc_id, count in shelf.rows(query)}


def test_the_same_documents_listed_by_all_at_once_are_discovered_once(shelf: Shelf) -> None:
    account_id = shelf.account()
    found: list[int] = []

    def listing(archive: Archive) -> None:
        starts = (1, 101, 51)
        found.extend(shelf.absorb(account_id, range(one, one + 100), archive).discovered for one in starts)

    side_by_side(shelf, listing)
    assert sum(found) == 200
    assert shelf.states(account_id) == dict.fromkeys(range(1, 201), "discovered")


def test_what_is_listed_again_by_all_at_once_is_acknowledged_again_by_one_batch(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, range(1, 31), STORED)
    shelf.happen(shelf.claim(account_id), H.ACCEPTED)
    shelf.clock.forward(60)
    side_by_side(shelf, lambda archive: shelf.absorb(account_id, range(1, 31), archive))
    assert live_loads(shelf) == dict.fromkeys(range(1, 31), 1)
    assert shelf.batches("state", "size")[1:] == [("stored", 30)]


@pytest.mark.parametrize("relist", OnRelist)
def test_a_changed_document_is_set_in_motion_once(shelf: Shelf, relist: OnRelist) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1], STORED)
    shelf.happen(shelf.claim(account_id), H.ACCEPTED)
    shelf.clock.forward(60)
    new = listed(1, number="2")
    side_by_side(shelf, lambda archive: shelf.absorb(account_id, [new], archive, on_relist=relist))
    assert len(shelf.events("document.changed")) == 1
    assert shelf.states(account_id) == {1: "discovered"}


def test_planned_and_claimed_by_all_at_once_no_document_is_in_two_live_batches(shelf: Shelf) -> None:
    """And no more is in flight than may be, although each counts for itself (BOUNDED)."""
    account_id = shelf.account()
    shelf.absorb(account_id, range(1, 701))
    taken: list[Claim] = []

    def work(archive: Archive) -> None:
        for _ in range(4):
            with contextlib.suppress(Outdated):
                shelf.plan([account_id], 6, archive)
            performing = [one.batch.id for one in taken]
            wanted = shelf.wanted([account_id], jobs_in_flight=3, performing=performing)
            held = archive.batches.claim(wanted, shelf.now)
            if held is not None:
                taken.append(held)

    side_by_side(shelf, work)
    assert set(live_loads(shelf).values()) == {1}
    assert len(shelf.batches("id")) == 6
    assert len({one.batch.id for one in taken}) == len(taken) == 3


def test_an_account_registered_by_all_at_once_is_one_account(shelf: Shelf) -> None:
    ids: set[int] = set()
    side_by_side(shelf, lambda archive: ids.add(archive.accounts.register("acme", "http://x", "acme", shelf.now)))
    assert len(ids) == 1
    assert len(shelf.events("account.added")) == 1


def test_the_same_bytes_stored_by_all_at_once_are_there_once_and_whole(shelf: Shelf) -> None:
    """SINGLE-COPY; also where what lies there is rotten and all mend it."""
    contents = {f"T{number}": bytes([number]) * (1 << 12) + b"x" * number for number in range(40)}
    for _ in range(2):
        side_by_side(shelf, lambda archive: shelf.files(contents, archive))
        hashes = {file.sha256 for file in shelf.files(contents)}
        assert shelf.archive.blobs.whole(hashes) == hashes
        assert len(shelf.rows(sa.select(tables.blob.c.sha256))) == len(hashes) == 40
        with shelf.archive.database.write() as connection:
            connection.execute(sa.update(tables.blob_chunk).values(content=b"rotten"))


def test_acknowledged_while_a_newer_version_is_listed_a_document_is_fetched_again(shelf: Shelf) -> None:
    """NO-LOSS: whichever of the two comes first, the newer version is not forgotten."""
    account_id = shelf.account()
    for number in range(1, 13):
        shelf.batch(account_id, [number], STORED)
    claims = shelf.claims(account_id)
    shelf.clock.forward(1)
    new = [listed(number, number="2") for number in range(1, 13)]
    both = threading.Barrier(2)
    lister = shelf.open("lister")

    def listing() -> None:
        both.wait(10)
        for element in new:
            shelf.absorb(account_id, [element], lister)

    thread = threading.Thread(target=listing)
    thread.start()
    both.wait(10)
    for held in claims:
        shelf.happen(held, H.ACCEPTED)
    thread.join()
    assert set(shelf.states(account_id).values()) == {"discovered"}


def test_refusals_counted_by_all_at_once_are_all_counted(shelf: Shelf) -> None:
    account_id = shelf.account()
    for number in range(1, 9):
        shelf.batch(account_id, [number])
    claims = shelf.claims(account_id)
    failures: list[BaseException] = []

    def refuse(held: Claim) -> None:
        try:
            shelf.happen(held, H.REFUSED)
        except BaseException as failure:  # noqa: BLE001  told below
            failures.append(failure)

    threads = [threading.Thread(target=refuse, args=(held,)) for held in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (row,) = shelf.rows(sa.select(tables.account.c.refused_in_row, tables.account.c.pause_reason))
    assert tuple(row) == (8, "permission")


def test_a_parcel_stored_beside_a_listing_of_its_documents_waits_for_nobody_that_waits_for_it(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, range(1, 61), FETCHED)
    held = shelf.claim(account_id)
    files = shelf.files({"FA": b"<a/>"})
    judged = shelf.stored(held, files)
    new = [listed(number, number="2") for number in range(60, 0, -1)]
    failures: list[BaseException] = []

    def store() -> None:
        try:
            shelf.happen(held, H.DOCUMENTS_STORED, judged)
        except BaseException as failure:  # noqa: BLE001  told below
            failures.append(failure)

    committing = threading.Thread(target=store)
    committing.start()
    side_by_side(shelf, lambda archive: shelf.absorb(account_id, new, archive))
    committing.join()
    assert failures == []
    assert set(shelf.states(account_id).values()) == {"stored"}
    assert len(shelf.events("document.changed")) == 60
