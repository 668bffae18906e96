"""What the operator may change, and what has to come again: by the same tables as everything else."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.archive import tables
from easytracking_sync.archive.entries import Filters
from easytracking_sync.errors import UsageError
from easytracking_sync.machine.corrections import BusyDocument, Corrections, Retried
from easytracking_sync.terms import BatchState, DocumentState

if TYPE_CHECKING:
    from tests.stocked import Stock

stocked = importlib.import_module("stocked")
stock, NOW = stocked.stock, stocked.NOW


def test_retry_makes_troubled_documents_due_and_leaves_others_alone(stock: Stock) -> None:
    """The state stays: the engine takes a quarantined document that is due, alone."""
    row_id = stock.quarantined("acme", 1)
    _, batch_id = stock.unacknowledgeable("acme", 2)
    fine = stock.document("acme", 3)
    entries = list(stock.archive.catalogue.documents(Filters()))
    assert Corrections(stock.archive).retry(entries, NOW) == Retried(1, 1)
    assert stock.value(tables.document.c.state, row_id) == "quarantined"
    assert stock.value(tables.document.c.next_attempt_at, row_id) == NOW
    assert stock.value(tables.batch.c.next_attempt_at, batch_id) == NOW
    assert stock.value(tables.document.c.next_attempt_at, fine) is None


def test_accepting_a_quarantined_document_closes_it_with_its_reason(stock: Stock) -> None:
    row_id = stock.quarantined("acme", 1)
    find = stock.archive.catalogue.find
    Corrections(stock.archive).accept(find("acme/1"), "sent by mail", NOW)
    entry = find("acme/1")
    assert (entry.state, entry.reason, entry.next_attempt_at) == (DocumentState.ACCEPTED, "sent by mail", None)
    assert [one.name for one in stock.archive.catalogue.happenings(entry)] == ["document.accepted"]
    assert stock.value(tables.document.c.account_id, row_id) == stock.account("acme")


def test_accepting_an_unacknowledgeable_document_closes_its_batch_and_fences_it(stock: Stock) -> None:
    row_id, batch_id = stock.unacknowledgeable("acme", 1, epoch=4)
    Corrections(stock.archive).accept(stock.archive.catalogue.find("1"), "known", NOW)
    assert stock.value(tables.batch.c.state, batch_id) == BatchState.ABANDONED
    assert stock.value(tables.batch.c.epoch, batch_id) == 5
    assert stock.value(tables.document.c.state, row_id) == DocumentState.ACCEPTED
    assert list(stock.archive.catalogue.troubled()) == []


def test_a_document_that_a_worker_holds_is_not_accepted_from_under_it(stock: Stock) -> None:
    row_id, batch_id = stock.unacknowledgeable("acme", 1, lease_owner="x", lease_until=NOW + timedelta(seconds=1))
    with pytest.raises(BusyDocument, match="acme/1"):
        Corrections(stock.archive).accept(stock.archive.catalogue.find("1"), "known", NOW)
    assert stock.value(tables.batch.c.state, batch_id) == BatchState.STORED
    assert stock.value(tables.document.c.state, row_id) == DocumentState.STORED


@pytest.mark.parametrize("state", [s for s in DocumentState if s is not DocumentState.QUARANTINED])
def test_a_document_in_no_trouble_cannot_be_accepted(stock: Stock, state: DocumentState) -> None:
    stock.document("acme", 1, state)
    with pytest.raises(UsageError, match=f"acme/1 is {state}"):
        Corrections(stock.archive).accept(stock.archive.catalogue.find("1"), "why not", NOW)
