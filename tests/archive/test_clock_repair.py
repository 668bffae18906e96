"""CLOCK-SAFE: instants written by a wrong clock neither delay work for years nor reorder versions."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.clock_repair import repair_instants
from easytracking_sync.archive.read_back import read_back
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.intake import ReceivedList
from easytracking_sync.terms import BatchState, DocumentState

YEARS = timedelta(days=3653)


def instants(archive_harness: ArchiveHarness, table: sa.Table, column: str) -> list[object]:
    return [row[0] for row in archive_harness.rows(sa.select(table.c[column]).order_by(table.c.id))]


def put(archive_harness: ArchiveHarness, table: sa.Table, **values: object) -> None:
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(table).values(**values))


@pytest.mark.parametrize("state", [BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED, BatchState.STORED])
def test_row_20_a_batch_put_off_for_years_is_due_at_once_and_one_that_waits_its_turn_is_not(
    archive_harness: ArchiveHarness, state: BatchState
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], state)
    soon = archive_harness.now + timedelta(minutes=5)
    put(archive_harness, tables.batch, next_attempt_at=soon, deadline_at=soon)
    assert repair_instants(archive_harness.archive.database, archive_harness.now) == 0
    assert instants(archive_harness, tables.batch, "next_attempt_at") == [soon]
    put(
        archive_harness,
        tables.batch,
        next_attempt_at=archive_harness.now + YEARS,
        deadline_at=archive_harness.now + YEARS,
    )
    assert repair_instants(archive_harness.archive.database, archive_harness.now) == 2
    assert instants(archive_harness, tables.batch, "next_attempt_at") == [archive_harness.now]
    assert instants(archive_harness, tables.batch, "deadline_at") == [archive_harness.now]
    assert repair_instants(archive_harness.archive.database, archive_harness.now) == 0


@pytest.mark.parametrize(
    ("state", "ahead", "hastened"),
    [
        (DocumentState.DISCOVERED, timedelta(hours=1), False),
        (DocumentState.DISCOVERED, timedelta(hours=2), True),
        (DocumentState.QUARANTINED, timedelta(days=1), False),
        (DocumentState.QUARANTINED, YEARS, True),
        (DocumentState.ACKNOWLEDGED, YEARS, False),
    ],
)
def test_row_20_a_document_waits_no_longer_than_any_wait_there_is(
    archive_harness: ArchiveHarness, state: DocumentState, ahead: timedelta, *, hastened: bool
) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1])
    put(archive_harness, tables.document, state=state, next_attempt_at=archive_harness.now + ahead)
    assert repair_instants(archive_harness.archive.database, archive_harness.now) == hastened
    expected = archive_harness.now if hastened else archive_harness.now + ahead
    assert instants(archive_harness, tables.document, "next_attempt_at") == [expected]


def test_row_20_a_pause_lasts_a_day_at_most(archive_harness: ArchiveHarness) -> None:
    """Not less: after a jump of a clock a refused login is not tried at once, lest it lock the account."""
    archive_harness.account()
    put(archive_harness, tables.account, pause_reason="credentials", paused_until=archive_harness.now + YEARS)
    repair_instants(archive_harness.archive.database, archive_harness.now)
    (until,) = instants(archive_harness, tables.account, "paused_until")
    assert until == archive_harness.now + timedelta(days=1, minutes=5)


def test_row_20_a_version_listed_after_the_clock_was_set_back_is_newer_all_the_same(
    archive_harness: ArchiveHarness,
) -> None:
    """NO-LOSS: reserved by a clock ten years ahead, changed at the service once it was right: it goes round again."""
    account_id = archive_harness.account()
    archive_harness.clock.forward(YEARS.total_seconds())
    archive_harness.take_in(account_id, [1])
    archive_harness.batch(account_id, [2])
    claim = archive_harness.claim(account_id)
    archive_harness.happen(claim, BatchHappened.JOB_CREATED)
    earlier = archive_harness.now - YEARS
    change = ReceivedList(account_id, [listed(2, number="changed")], earlier, unmarked=True)
    assert archive_harness.intake().take_in(change, earlier).changed == 1
    (carried,) = claim.documents
    assert archive_harness.document(account_id, 2).version > carried.version


AHEAD = {
    "its bytes were fetched": (tables.file, "fetched_at"),
    "its batch was reserved": (tables.batch, "reserved_at"),
    "it was wanted": (tables.document, "wanted_at"),
    "it was stored": (tables.document, "stored_at"),
}


@pytest.mark.parametrize("case", AHEAD)
def test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted(
    archive_harness: ArchiveHarness, case: str
) -> None:
    """NO-LOSS: versions are counted, never compared by their instants."""
    table, column = AHEAD[case]
    account_id = archive_harness.planned([1, 2])
    archive_harness.archive.batches.release(archive_harness.store(account_id))
    put(archive_harness, table, **{column: archive_harness.now + YEARS})
    archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    claim = archive_harness.claim(account_id)
    receipt = read_back(archive_harness.archive.database, archive_harness.archive.blobs, claim, {"FA"})
    assert receipt.to_tell == (2,)
    archive_harness.happen(claim, BatchHappened.ACCEPTED)
    assert archive_harness.states(account_id) == {1: "discovered", 2: "acknowledged"}


def test_row_20_bytes_that_came_after_the_clock_was_set_back_are_those_that_were_wanted(
    archive_harness: ArchiveHarness,
) -> None:
    """ACK-LIVENESS: listed by a clock ten years ahead, fetched once it was right: home, and not fetched in a ring."""
    account_id = archive_harness.planned([1])
    put(archive_harness, tables.document, wanted_at=archive_harness.now + YEARS)
    claim = archive_harness.store(account_id)
    receipt = read_back(archive_harness.archive.database, archive_harness.archive.blobs, claim, {"FA"})
    assert receipt.to_tell == (1,)


def test_row_20_an_acknowledgement_noted_by_a_clock_far_ahead_hides_no_relisting(
    archive_harness: ArchiveHarness,
) -> None:
    """Somebody cleared the phase: the document is acknowledged again, not in ten years."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1])
    put(
        archive_harness,
        tables.document,
        state=DocumentState.ACKNOWLEDGED,
        acknowledged_at=archive_harness.now + YEARS,
    )
    again = ReceivedList(account_id, [listed(1)], archive_harness.now, unmarked=True)
    assert archive_harness.intake().take_in(again, archive_harness.now).relisted == 1
