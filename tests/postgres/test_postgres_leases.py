"""Leases follow the server's clock: kept while renewed, taken over once expired, fenced by the epoch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness, StandingClock, listed, source_of

from easytracking_sync.archive import tables
from easytracking_sync.archive.blobs import DatabaseBlobs
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import DatabaseUnavailable, Outdated, StaleLease
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.corrections import BusyDocument
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import LIVE_STATES, BatchState, Claim, OnRelist

PLANNED, RESERVED, FETCHED, STORED, ACKNOWLEDGED, SPLIT, ABANDONED = BatchState
H = BatchHappened


def run_out(archive_harness: ArchiveHarness) -> None:
    """As if the time of every lease had passed, by the clock that counts."""
    with archive_harness.archive.database.write() as connection:
        for table, column in ((tables.batch, "lease_until"), (tables.lease, "until")):
            connection.execute(sa.update(table).values({column: sa.func.clock_timestamp()}))


def seconds_left(archive_harness: ArchiveHarness) -> list[float]:
    """Of each held batch's lease, as the server counts."""
    left = sa.func.extract("epoch", tables.batch.c.lease_until - sa.func.clock_timestamp())
    rows = archive_harness.rows(
        sa.select(left).where(tables.batch.c.lease_owner.is_not(None)).order_by(tables.batch.c.id)
    )
    return [float(row[0]) for row in rows]


def claim(archive_harness: ArchiveHarness, archive: Archive, account_id: int) -> Claim | None:
    return archive.batches.claim(archive_harness.wanted([account_id]), archive_harness.now)


def test_a_lease_lasts_thirty_seconds_of_the_servers_clock_whatever_ours_says(
    archive_harness: ArchiveHarness,
) -> None:
    """CLOCK-SAFE: a host whose clock is wrong takes nothing from the others."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    archive_harness.claim(account_id)
    (left,) = seconds_left(archive_harness)
    assert 20 < left <= 30
    archive_harness.clock.forward(timedelta(days=3650).total_seconds())
    assert claim(archive_harness, archive_harness.open("two"), account_id) is None
    run_out(archive_harness)
    taken = claim(archive_harness, archive_harness.open("three"), account_id)
    assert taken is not None
    assert taken.batch.epoch == 2


def test_a_renewed_lease_is_nobody_elses(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    held = archive_harness.claim(account_id)
    run_out(archive_harness)
    assert archive_harness.archive.batches.renew(archive_harness.now) == {held.batch.id: held.batch.epoch}
    assert claim(archive_harness, archive_harness.open("two"), account_id) is None
    (left,) = seconds_left(archive_harness)
    assert left > 20
    archive_harness.happen(held, H.JOB_CREATED)
    assert archive_harness.archive.batches.renew(archive_harness.now) == {}


def test_an_instance_renews_its_own_leases_and_nobody_elses(archive_harness: ArchiveHarness) -> None:
    """Otherwise what a dead instance held would be held for ever by those that live."""
    account_id = archive_harness.account()
    for number in (1, 2):
        archive_harness.batch(account_id, [number])
    held = archive_harness.claim(account_id)
    other = claim(archive_harness, archive_harness.open("two"), account_id)
    assert other is not None
    run_out(archive_harness)
    assert archive_harness.archive.batches.renew(archive_harness.now) == {held.batch.id: held.batch.epoch}
    assert sorted(left > 20 for left in seconds_left(archive_harness)) == [False, True]


def test_row_21_a_holder_that_was_frozen_renews_nothing_and_commits_nothing(archive_harness: ArchiveHarness) -> None:
    """FENCED: SIGSTOP, a suspended machine, a partition."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1, 2])
    stale = archive_harness.claim(account_id)
    run_out(archive_harness)
    taken = claim(archive_harness, archive_harness.open("two"), account_id)
    assert taken is not None
    assert archive_harness.archive.batches.renew(archive_harness.now) == {}
    before = archive_harness.dump()
    with pytest.raises(StaleLease):
        archive_harness.happen(stale, H.JOB_CREATED)
    archive_harness.archive.batches.release(stale)
    archive_harness.archive.batches.postpone(stale, archive_harness.now + timedelta(hours=1))
    assert archive_harness.dump() == before


def test_an_instance_that_starts_voids_nobodys_lease_and_one_that_ends_voids_its_own(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1])
    archive_harness.batch(account_id, [2])
    first, second = archive_harness.archive, archive_harness.open("two")
    mine, other = claim(archive_harness, first, account_id), claim(archive_harness, second, account_id)
    assert mine is not None
    assert other is not None
    second.batches.release_all()
    assert len(seconds_left(archive_harness)) == 2
    first.batches.release_leases()
    taken = claim(archive_harness, archive_harness.open("three"), account_id)
    assert taken is not None
    assert taken.batch.id == mine.batch.id
    assert claim(archive_harness, archive_harness.open("four"), account_id) is None


def test_who_fetched_a_parcel_stores_it_and_another_host_only_when_it_is_gone(
    archive_harness: ArchiveHarness,
) -> None:
    """Otherwise two hosts would take each other's batches and find no parcel in their spools, for ever."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], RESERVED)
    other = archive_harness.open("two")
    archive_harness.happen(archive_harness.claim(account_id), H.PARCEL_SPOOLED)
    assert claim(archive_harness, other, account_id) is None
    assert archive_harness.archive.batches.next_due([account_id], archive_harness.now) == archive_harness.now
    assert other.batches.next_due([account_id], archive_harness.now) is None
    again = archive_harness.claim(account_id)
    archive_harness.policy = Policy(jitter=0.0)
    archive_harness.happen(again, H.STORAGE_FAILED)
    assert claim(archive_harness, other, account_id) is None
    run_out(archive_harness)
    taken = claim(archive_harness, other, account_id)
    assert taken is not None
    assert taken.batch.state is FETCHED


def test_a_document_that_a_worker_is_at_cannot_be_accepted_until_the_lease_runs_out(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], STORED)
    archive_harness.happen(archive_harness.claim(account_id), H.REFUSED)
    archive_harness.clock.forward(86_400)
    archive_harness.claim(account_id)
    (entry,) = archive_harness.archive.document_search.documents(DocumentFilter())
    with pytest.raises(BusyDocument):
        archive_harness.corrections().accept(entry, "why", archive_harness.now)
    run_out(archive_harness)
    archive_harness.corrections().accept(entry, "why", archive_harness.now)
    assert archive_harness.states(account_id) == {1: "accepted"}


def test_a_name_is_held_by_one_instance_until_it_is_given_back_or_runs_out(archive_harness: ArchiveHarness) -> None:
    one, two = archive_harness.archive.leases, archive_harness.open("two").leases
    for leases in (one, two):
        leases.announce(archive_harness.now)
    assert one.take("cycle:1", 30, archive_harness.now)
    assert not two.take("cycle:1", 30, archive_harness.now)
    assert two.take("cycle:2", 30, archive_harness.now)
    assert one.take("cycle:1", 30, archive_harness.now), "whoever holds it may hold it longer"
    run_out(archive_harness)
    for leases in (one, two):
        leases.announce(archive_harness.now)
    assert two.take("cycle:1", 30, archive_harness.now)
    assert not one.take("cycle:1", 30, archive_harness.now)
    one.release("cycle:1")
    assert not one.take("cycle:1", 30, archive_harness.now), "only its holder gives it back"
    for _ in range(2):
        two.release("cycle:1")
    assert one.take("cycle:1", 30, archive_harness.now)
    two.release_all()
    assert one.take("cycle:2", 30, archive_harness.now)


def test_what_an_instance_held_is_free_when_it_has_not_announced_itself_for_half_a_minute(
    archive_harness: ArchiveHarness,
) -> None:
    """However long the name was taken for: a dead instance keeps no account from being listed."""
    one, two = archive_harness.archive.leases, archive_harness.open("two").leases
    one.announce(archive_harness.now)
    assert one.take("cycle:1", 3600, archive_harness.now)
    assert not two.take("cycle:1", 3600, archive_harness.now)
    left = sa.func.extract("epoch", tables.lease.c.until - sa.func.clock_timestamp())
    ((announced,),) = archive_harness.rows(sa.select(left).where(tables.lease.c.name.startswith("instance:")))
    assert 20 < float(announced) <= 30
    with archive_harness.archive.database.write() as connection:
        named = tables.lease.c.name.startswith("instance:")
        connection.execute(sa.update(tables.lease).where(named).values(until=sa.func.clock_timestamp()))
    assert two.take("cycle:1", 3600, archive_harness.now)


INSTANCES = 4


def side_by_side(archive_harness: ArchiveHarness, work: Callable[[Archive], object]) -> None:
    """The same work in several instances at once; whatever one raises is raised here."""
    start = threading.Barrier(INSTANCES)
    failures: list[BaseException] = []

    def run(archive: Archive) -> None:
        start.wait(10)
        try:
            work(archive)
        except BaseException as failure:  # noqa: BLE001  raised below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(archive_harness.open(f"instance-{n}"),)) for n in range(INSTANCES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def live_loads(archive_harness: ArchiveHarness) -> dict[int, int]:
    """How many live batches carry each document."""
    carried, batch, document = tables.batch_document, tables.batch, tables.document
    query = (
        sa.select(document.c.doc_id, sa.func.count())
        .join(carried, carried.c.document_id == document.c.id)
        .join(batch, batch.c.id == carried.c.batch_id)
        .where(carried.c.carried, batch.c.state.in_(LIVE_STATES))
        .group_by(document.c.doc_id)
    )
    return {doc_id: int(count) for doc_id, count in archive_harness.rows(query)}


def test_the_same_documents_listed_by_all_at_once_are_discovered_once(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    found: list[int] = []

    def listing(archive: Archive) -> None:
        starts = (1, 101, 51)
        found.extend(archive_harness.take_in(account_id, range(one, one + 100), archive).discovered for one in starts)

    side_by_side(archive_harness, listing)
    assert sum(found) == 200
    assert archive_harness.states(account_id) == dict.fromkeys(range(1, 201), "discovered")


def test_what_is_listed_again_by_all_at_once_is_acknowledged_again_by_one_batch(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, range(1, 31), STORED)
    archive_harness.happen(archive_harness.claim(account_id), H.ACCEPTED)
    archive_harness.clock.forward(60)
    side_by_side(archive_harness, lambda archive: archive_harness.take_in(account_id, range(1, 31), archive))
    assert live_loads(archive_harness) == dict.fromkeys(range(1, 31), 1)
    assert archive_harness.batches("state", "size")[1:] == [("stored", 30)]


@pytest.mark.parametrize("relist", OnRelist)
def test_a_changed_document_is_set_in_motion_once(archive_harness: ArchiveHarness, relist: OnRelist) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], STORED)
    archive_harness.happen(archive_harness.claim(account_id), H.ACCEPTED)
    archive_harness.clock.forward(60)
    new = listed(1, number="2")
    side_by_side(
        archive_harness, lambda archive: archive_harness.take_in(account_id, [new], archive, on_relist=relist)
    )
    assert len(archive_harness.events("document.changed")) == 1
    assert archive_harness.states(account_id) == {1: "discovered"}


def test_planned_and_claimed_by_all_at_once_no_document_is_in_two_live_batches(
    archive_harness: ArchiveHarness,
) -> None:
    """And no more is in flight than may be, although each counts for itself (BOUNDED)."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, 701))
    taken: list[Claim] = []

    def work(archive: Archive) -> None:
        for _ in range(4):
            with contextlib.suppress(Outdated):
                archive_harness.plan([account_id], 6, archive)
            performing = [one.batch.id for one in taken]
            wanted = archive_harness.wanted([account_id], jobs_in_flight=3, performing=performing)
            held = archive.batches.claim(wanted, archive_harness.now)
            if held is not None:
                taken.append(held)

    side_by_side(archive_harness, work)
    assert set(live_loads(archive_harness).values()) == {1}
    assert len(archive_harness.batches("id")) == 6
    assert len({one.batch.id for one in taken}) == len(taken) == 3


def test_an_account_registered_by_all_at_once_is_one_account(archive_harness: ArchiveHarness) -> None:
    ids: set[int] = set()
    side_by_side(
        archive_harness,
        lambda archive: ids.add(archive.accounts.register("acme", "http://x", "acme", archive_harness.now)),
    )
    assert len(ids) == 1
    assert len(archive_harness.events("account.added")) == 1


def test_the_same_bytes_stored_by_all_at_once_are_there_once_and_whole(archive_harness: ArchiveHarness) -> None:
    """SINGLE-COPY; also where what lies there is rotten and all mend it."""
    contents = {f"T{number}": bytes([number]) * (1 << 12) + b"x" * number for number in range(40)}
    for _ in range(2):
        side_by_side(archive_harness, lambda archive: archive_harness.files(contents, archive))
        hashes = {file.sha256 for file in archive_harness.files(contents)}
        assert archive_harness.archive.blobs.whole(hashes) == hashes
        assert len(archive_harness.rows(sa.select(tables.blob.c.sha256))) == len(hashes) == 40
        with archive_harness.archive.database.write() as connection:
            connection.execute(sa.update(tables.blob_chunk).values(content=b"rotten"))


@pytest.mark.parametrize("content", [b"the same bytes", b"rotten"])
def test_bytes_that_another_instance_stores_at_this_moment_are_read_back(
    archive_harness: ArchiveHarness, content: bytes
) -> None:
    """They are not this instance's to vouch for: what is not whole is not taken for stored."""
    other = archive_harness.open("two")
    source = source_of(b"the same bytes")

    class Between(StandingClock):
        """Read between the look at what is there and the insert: the other instance is faster."""

        def now(self) -> datetime:
            other.blobs.put([source])
            if content != b"the same bytes":
                with other.database.write() as connection:
                    connection.execute(sa.update(tables.blob_chunk).values(content=content))
            return super().now()

    blobs = DatabaseBlobs(archive_harness.archive.database, Between())
    if content == b"the same bytes":
        blobs.put([source])
        assert archive_harness.archive.blobs.whole({source.sha256}) == {source.sha256}
    else:
        with pytest.raises(DatabaseUnavailable, match="its copy is damaged"):
            blobs.put([source])


def test_acknowledged_while_a_newer_version_is_listed_a_document_is_fetched_again(
    archive_harness: ArchiveHarness,
) -> None:
    """NO-LOSS: whichever of the two comes first, the newer version is not forgotten."""
    account_id = archive_harness.account()
    for number in range(1, 13):
        archive_harness.batch(account_id, [number], STORED)
    claims = archive_harness.claims(account_id)
    archive_harness.clock.forward(1)
    new = [listed(number, number="2") for number in range(1, 13)]
    both = threading.Barrier(2)
    lister = archive_harness.open("lister")

    def listing() -> None:
        both.wait(10)
        for element in new:
            archive_harness.take_in(account_id, [element], lister)

    thread = threading.Thread(target=listing)
    thread.start()
    both.wait(10)
    for held in claims:
        archive_harness.happen(held, H.ACCEPTED)
    thread.join()
    assert set(archive_harness.states(account_id).values()) == {"discovered"}


def test_refusals_counted_by_all_at_once_are_all_counted(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    for number in range(1, 9):
        archive_harness.batch(account_id, [number])
    claims = archive_harness.claims(account_id)
    failures: list[BaseException] = []

    def refuse(held: Claim) -> None:
        try:
            archive_harness.happen(held, H.REFUSED)
        except BaseException as failure:  # noqa: BLE001  told below
            failures.append(failure)

    threads = [threading.Thread(target=refuse, args=(held,)) for held in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    (row,) = archive_harness.rows(sa.select(tables.account.c.refused_in_row, tables.account.c.pause_reason))
    assert tuple(row) == (8, "permission")


def test_a_parcel_stored_beside_a_listing_of_its_documents_waits_for_nobody_that_waits_for_it(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, range(1, 61), FETCHED)
    held = archive_harness.claim(account_id)
    files = archive_harness.files({"FA": b"<a/>"})
    judged = archive_harness.stored(held, files)
    new = [listed(number, number="2") for number in range(60, 0, -1)]
    failures: list[BaseException] = []

    def store() -> None:
        try:
            archive_harness.happen(held, H.DOCUMENTS_STORED, judged)
        except BaseException as failure:  # noqa: BLE001  told below
            failures.append(failure)

    committing = threading.Thread(target=store)
    committing.start()
    side_by_side(archive_harness, lambda archive: archive_harness.take_in(account_id, new, archive))
    committing.join()
    assert failures == []
    assert set(archive_harness.states(account_id).values()) == {"stored"}
    assert len(archive_harness.events("document.changed")) == 60
