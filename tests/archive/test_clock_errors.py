"""CLOCK-SAFE: what a wrong clock wrote down neither delays anything for years nor turns versions round."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.archive.shelves import Shelf, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.clock_errors import set_right
from easytracking_sync.archive.intake import Listed
from easytracking_sync.archive.receipt import read_back
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
    assert set_right(shelf.archive.database, shelf.now) == 0
    assert instants(shelf, tables.batch, "next_attempt_at") == [soon]
    put(shelf, tables.batch, next_attempt_at=shelf.now + YEARS, deadline_at=shelf.now + YEARS)
    assert set_right(shelf.archive.database, shelf.now) == 2
    assert instants(shelf, tables.batch, "next_attempt_at") == [shelf.now]
    assert instants(shelf, tables.batch, "deadline_at") == [shelf.now]
    assert set_right(shelf.archive.database, shelf.now) == 0


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
    assert set_right(shelf.archive.database, shelf.now) == hastened
    expected = shelf.now if hastened else shelf.now + ahead
    assert instants(shelf, tables.document, "next_attempt_at") == [expected]


def test_row_20_a_pause_lasts_a_day_at_most(shelf: Shelf) -> None:
    """Not less: after a jump of a clock a refused login is not tried at once, lest it lock the account."""
    shelf.account()
    put(shelf, tables.account, pause_reason="credentials", paused_until=shelf.now + YEARS)
    set_right(shelf.archive.database, shelf.now)
    (until,) = instants(shelf, tables.account, "paused_until")
    assert until == shelf.now + timedelta(days=1, minutes=5)


def test_row_20_a_version_listed_after_the_clock_was_set_back_is_newer_all_the_same(shelf: Shelf) -> None:
    """NO-LOSS: reserved by a clock ten years ahead, changed at the service once it was right: it goes round again."""
    account_id = shelf.account()
    shelf.clock.forward(YEARS.total_seconds())
    shelf.absorb(account_id, [1])
    shelf.batch(account_id, [2])
    claim = shelf.claim(account_id)
    shelf.move(claim, BatchState.RESERVED, batch={"job_id": "j", "reserved_at": claim.known_at}, accepted=True)
    (before,) = {*instants(shelf, tables.batch, "reserved_at")} - {None}
    assert claim.known_at is not None
    earlier = shelf.now - YEARS
    change = Listed(account_id, [listed(2, number="changed")], earlier, unmarked=True)
    assert shelf.archive.pool.absorb(change, earlier).changed == 1
    (wanted,) = shelf.rows(sa.select(tables.document.c.wanted_at).where(tables.document.c.doc_id == 2))
    assert wanted[0] > before


AHEAD = {
    "its bytes were seen": (tables.file, "seen_at"),
    "its batch was reserved": (tables.batch, "reserved_at"),
    "its company was listed": (tables.document, "wanted_at"),
}


@pytest.mark.parametrize("case", AHEAD)
def test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted(shelf: Shelf, case: str) -> None:
    """NO-LOSS: of the document itself, of the batch that carries it, and of the others in it."""
    table, column = AHEAD[case]
    account_id = shelf.planned([1, 2])
    shelf.store(account_id)
    ahead = shelf.now + YEARS
    others = [tables.document.c.doc_id == 2] if table is tables.document else []
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(table).where(*others).values({column: ahead}))
    shelf.absorb(account_id, [listed(1, number="1/bis")])
    assert shelf.document(account_id, 1).wanted_at > ahead


def test_row_20_bytes_that_came_after_the_clock_was_set_back_are_those_that_were_wanted(shelf: Shelf) -> None:
    """ACK-LIVENESS: listed by a clock ten years ahead, fetched once it was right: home, and not fetched in a ring."""
    account_id = shelf.planned([1])
    put(shelf, tables.document, wanted_at=shelf.now + YEARS)
    claim = shelf.store(account_id)
    receipt = read_back(shelf.archive.database, shelf.archive.blobs, claim, {"FA"})
    assert receipt.doc_ids == (1,)


def test_row_20_an_acknowledgement_noted_by_a_clock_far_ahead_hides_no_relisting(shelf: Shelf) -> None:
    """Somebody cleared the phase: the document is acknowledged again, not in ten years."""
    account_id = shelf.account()
    shelf.absorb(account_id, [1])
    put(shelf, tables.document, state=DocumentState.ACKNOWLEDGED, acknowledged_at=shelf.now + YEARS)
    again = Listed(account_id, [listed(1)], shelf.now, unmarked=True)
    assert shelf.archive.pool.absorb(again, shelf.now).relisted == 1
