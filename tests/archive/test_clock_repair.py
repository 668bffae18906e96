"""CLOCK-SAFE: what a wrong clock wrote down neither delays anything for years nor turns versions round."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import Shelf, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.clock_repair import repair_instants
from easytracking_sync.archive.read_back import read_back
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.intake import Listed
from easytracking_sync.terms import BatchState, DocumentState

YEARS = timedelta(days=3653)


def instants(shelf: Shelf, table: sa.Table, column: str) -> list[object]:
    return [row[0] for row in shelf.rows(sa.select(table.c[column]).order_by(table.c.id))]


def put(shelf: Shelf, table: sa.Table, **values: object) -> None:
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(table).values(**values))


@pytest.mark.parametrize("state", [BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED, BatchState.STORED])
def test_row_20_a_batch_put_off_for_years_is_due_at_once_and_one_that_waits_its_turn_is_not(
    shelf: Shelf, state: BatchState
) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1], state)
    soon = shelf.now + timedelta(minutes=5)
    put(shelf, tables.batch, next_attempt_at=soon, deadline_at=soon)
    assert repair_instants(shelf.archive.database, shelf.now) == 0
    assert instants(shelf, tables.batch, "next_attempt_at") == [soon]
    put(shelf, tables.batch, next_attempt_at=shelf.now + YEARS, deadline_at=shelf.now + YEARS)
    assert repair_instants(shelf.archive.database, shelf.now) == 2
    assert instants(shelf, tables.batch, "next_attempt_at") == [shelf.now]
    assert instants(shelf, tables.batch, "deadline_at") == [shelf.now]
    assert repair_instants(shelf.archive.database, shelf.now) == 0


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
    shelf: Shelf, state: DocumentState, ahead: timedelta, *, hastened: bool
) -> None:
    account_id = shelf.account()
    shelf.absorb(account_id, [1])
    put(shelf, tables.document, state=state, next_attempt_at=shelf.now + ahead)
    assert repair_instants(shelf.archive.database, shelf.now) == hastened
    expected = shelf.now if hastened else shelf.now + ahead
    assert instants(shelf, tables.document, "next_attempt_at") == [expected]


def test_row_20_a_pause_lasts_a_day_at_most(shelf: Shelf) -> None:
    """Not less: after a jump of a clock a refused login is not tried at once, lest it lock the account."""
    shelf.account()
    put(shelf, tables.account, pause_reason="credentials", paused_until=shelf.now + YEARS)
    repair_instants(shelf.archive.database, shelf.now)
    (until,) = instants(shelf, tables.account, "paused_until")
    assert until == shelf.now + timedelta(days=1, minutes=5)


def test_row_20_a_version_listed_after_the_clock_was_set_back_is_newer_all_the_same(shelf: Shelf) -> None:
    """NO-LOSS: reserved by a clock ten years ahead, changed at the service once it was right: it goes round again."""
    account_id = shelf.account()
    shelf.clock.forward(YEARS.total_seconds())
    shelf.absorb(account_id, [1])
    shelf.batch(account_id, [2])
    claim = shelf.claim(account_id)
    shelf.happen(claim, BatchHappened.JOB_CREATED)
    earlier = shelf.now - YEARS
    change = Listed(account_id, [listed(2, number="changed")], earlier, unmarked=True)
    assert shelf.intake().absorb(change, earlier).changed == 1
    (carried,) = claim.documents
    assert shelf.document(account_id, 2).version > carried.version


AHEAD = {
    "its bytes were fetched": (tables.file, "fetched_at"),
    "its batch was reserved": (tables.batch, "reserved_at"),
    "it was wanted": (tables.document, "wanted_at"),
    "it was stored": (tables.document, "stored_at"),
}


@pytest.mark.parametrize("case", AHEAD)
def test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted(shelf: Shelf, case: str) -> None:
    """NO-LOSS: versions are counted, never compared by their instants."""
    table, column = AHEAD[case]
    account_id = shelf.planned([1, 2])
    shelf.archive.batches.release(shelf.store(account_id))
    put(shelf, table, **{column: shelf.now + YEARS})
    shelf.absorb(account_id, [listed(1, number="1/bis")])
    claim = shelf.claim(account_id)
    receipt = read_back(shelf.archive.database, shelf.archive.blobs, claim, {"FA"})
    assert receipt.to_tell == (2,)
    shelf.happen(claim, BatchHappened.ACCEPTED)
    assert shelf.states(account_id) == {1: "discovered", 2: "acknowledged"}


def test_row_20_bytes_that_came_after_the_clock_was_set_back_are_those_that_were_wanted(shelf: Shelf) -> None:
    """ACK-LIVENESS: listed by a clock ten years ahead, fetched once it was right: home, and not fetched in a ring."""
    account_id = shelf.planned([1])
    put(shelf, tables.document, wanted_at=shelf.now + YEARS)
    claim = shelf.store(account_id)
    receipt = read_back(shelf.archive.database, shelf.archive.blobs, claim, {"FA"})
    assert receipt.to_tell == (1,)


def test_row_20_an_acknowledgement_noted_by_a_clock_far_ahead_hides_no_relisting(shelf: Shelf) -> None:
    """Somebody cleared the phase: the document is acknowledged again, not in ten years."""
    account_id = shelf.account()
    shelf.absorb(account_id, [1])
    put(shelf, tables.document, state=DocumentState.ACKNOWLEDGED, acknowledged_at=shelf.now + YEARS)
    again = Listed(account_id, [listed(1)], shelf.now, unmarked=True)
    assert shelf.intake().absorb(again, shelf.now).relisted == 1
