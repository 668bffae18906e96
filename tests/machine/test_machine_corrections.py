"""What the operator may change, and what has to come again: by the same tables as everything else."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.archive.scrub import RottenFile
from easytracking_sync.errors import UsageError
from easytracking_sync.machine.corrections import DOCUMENTS_AT_ONCE, BusyDocument, Corrections, Retried
from easytracking_sync.terms import BatchState, DocumentState

if TYPE_CHECKING:
    from tests.support.archive_builder import Stock

stocked = importlib.import_module("tests.support.archive_builder")
stock, NOW = stocked.stock, stocked.NOW


def test_retry_makes_troubled_documents_due_and_leaves_others_alone(stock: Stock) -> None:
    """The state stays: the engine takes a quarantined document that is due, alone."""
    row_id = stock.quarantined("acme", 1)
    _, batch_id = stock.unacknowledgeable("acme", 2)
    fine = stock.document("acme", 3)
    entries = list(stock.archive.document_search.documents(DocumentFilter()))
    assert Corrections(stock.archive).retry(entries, NOW) == Retried(1, 1)
    assert stock.value(tables.document.c.state, row_id) == "quarantined"
    assert stock.value(tables.document.c.next_attempt_at, row_id) == NOW
    assert stock.value(tables.batch.c.next_attempt_at, batch_id) == NOW
    assert stock.value(tables.document.c.next_attempt_at, fine) is None


def test_accepting_a_quarantined_document_closes_it_with_its_reason(stock: Stock) -> None:
    row_id = stock.quarantined("acme", 1)
    find = stock.archive.document_search.find
    Corrections(stock.archive).accept(find("acme/1"), "sent by mail", NOW)
    entry = find("acme/1")
    assert (entry.state, entry.reason, entry.next_attempt_at) == (DocumentState.ACCEPTED, "sent by mail", None)
    assert [one.name for one in stock.archive.document_search.history(entry)] == ["document.accepted"]
    assert stock.value(tables.document.c.account_id, row_id) == stock.account("acme")


def test_accepting_an_unacknowledgeable_document_closes_its_batch_and_fences_it(stock: Stock) -> None:
    row_id, batch_id = stock.unacknowledgeable("acme", 1, epoch=4)
    Corrections(stock.archive).accept(stock.archive.document_search.find("1"), "known", NOW)
    assert stock.value(tables.batch.c.state, batch_id) == BatchState.ABANDONED
    assert stock.value(tables.batch.c.epoch, batch_id) == 5
    assert stock.value(tables.document.c.state, row_id) == DocumentState.ACCEPTED
    assert list(stock.archive.document_search.troubled()) == []


def test_a_document_that_a_worker_holds_is_not_accepted_from_under_it(stock: Stock) -> None:
    row_id, batch_id = stock.unacknowledgeable("acme", 1, lease_owner="x", lease_until=NOW + timedelta(seconds=1))
    with pytest.raises(BusyDocument, match="acme/1"):
        Corrections(stock.archive).accept(stock.archive.document_search.find("1"), "known", NOW)
    assert stock.value(tables.batch.c.state, batch_id) == BatchState.STORED
    assert stock.value(tables.document.c.state, row_id) == DocumentState.STORED


@pytest.mark.parametrize("state", [s for s in DocumentState if s is not DocumentState.QUARANTINED])
def test_a_document_in_no_trouble_cannot_be_accepted(stock: Stock, state: DocumentState) -> None:
    stock.document("acme", 1, state)
    with pytest.raises(UsageError, match=f"acme/1 is {state}"):
        Corrections(stock.archive).accept(stock.archive.document_search.find("1"), "why not", NOW)


def rows(stock: Stock, name: str) -> list[tuple[int | None, int | None]]:
    """(document, batch) of the journal's rows of that name, in order."""
    event = tables.event.c
    with stock.archive.database.read() as connection:
        found = connection.execute(
            sa.select(event.document_id, event.batch_id).where(event.name == name).order_by(event.id)
        )
        return [(row.document_id, row.batch_id) for row in found]


def test_a_retry_is_a_row_of_what_was_made_due(stock: Stock) -> None:
    row_id = stock.quarantined("acme", 1)
    _, batch_id = stock.unacknowledgeable("acme", 2)
    entries = list(stock.archive.document_search.documents(DocumentFilter()))
    Corrections(stock.archive).retry(entries, NOW)
    assert (rows(stock, "document.retried"), rows(stock, "batch.retried")) == ([(row_id, None)], [(None, batch_id)])


def test_what_is_being_acknowledged_at_this_moment_needs_no_retry(stock: Stock) -> None:
    """It counts, and the worker's lease stays its own."""
    lease = {"lease_owner": "x", "lease_until": NOW + timedelta(seconds=1), "epoch": 4}
    _, batch_id = stock.unacknowledgeable("acme", 1, **lease)
    entries = list(stock.archive.document_search.documents(DocumentFilter()))
    assert Corrections(stock.archive).retry(entries, NOW) == Retried(0, 1)
    assert stock.value(tables.batch.c.lease_owner, batch_id) == "x"
    assert stock.value(tables.batch.c.epoch, batch_id) == 4


@pytest.mark.parametrize("state", DocumentState)
def test_any_document_can_be_held_and_released_once(stock: Stock, state: DocumentState) -> None:
    row_id = stock.document("acme", 1, state)
    entries = list(stock.archive.document_search.documents(DocumentFilter()))
    corrections = Corrections(stock.archive)
    for held, name in ((True, "document.held"), (False, "document.released")):
        for _ in range(2):
            corrections.hold(entries, NOW, held=held)
        assert stock.value(tables.document.c.held, row_id) == held
        assert rows(stock, name) == [(row_id, None)]
    assert stock.value(tables.document.c.state, row_id) == state


@pytest.mark.parametrize("state", DocumentState)
def test_only_what_is_home_is_fetched_again_where_its_bytes_rotted(stock: Stock, state: DocumentState) -> None:
    """The others are on their way already, or somebody's decision."""
    row_id = stock.document("acme", 1, state)
    rotten = [RottenFile("acme", row_id, 1, kind, "0" * 64, current=True) for kind in ("FA", "MT")]
    home = state is DocumentState.ACKNOWLEDGED
    assert Corrections(stock.archive).fetch_rotten(rotten, NOW) == home
    assert stock.value(tables.document.c.version, row_id) == (2 if home else 1)
    assert rows(stock, "document.rotten") == [(row_id, None)] * home
    assert Corrections(stock.archive).fetch_rotten(rotten, NOW) == 0


def test_what_counts_as_home_without_a_file_is_fetched_again(stock: Stock) -> None:
    bare, waits = stock.document("acme", 1), stock.document("acme", 2, DocumentState.DISCOVERED)
    stock.document("beta", 1)
    assert Corrections(stock.archive).fetch_bare(stock.account("acme"), {1, 2, 3}, NOW) == 1
    assert rows(stock, "document.bare") == [(bare, None)]
    assert stock.value(tables.document.c.state, bare) == DocumentState.DISCOVERED
    assert stock.value(tables.document.c.version, waits) == 1


def test_many_are_changed_in_transactions_of_a_bounded_size(stock: Stock) -> None:
    ids = [stock.document(label, doc_id) for label in ("acme", "beta") for doc_id in range(1, DOCUMENTS_AT_ONCE)]
    rotten = [RottenFile("acme", row_id, 1, "FA", "0" * 64, current=True) for row_id in reversed(ids)]
    assert Corrections(stock.archive).fetch_rotten(rotten, NOW) == len(ids)
    assert sorted(row_id or 0 for row_id, _ in rows(stock, "document.rotten")) == ids
