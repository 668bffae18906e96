"""Operator actions and damaged files change documents by the same tables as everything else."""

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
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
builder, NOW = archive_builder.builder, archive_builder.NOW


def test_retry_makes_troubled_documents_due_and_leaves_others_alone(builder: ArchiveBuilder) -> None:
    """The state stays: the engine takes a quarantined document that is due, alone."""
    row_id = builder.quarantined("acme", 1)
    _, batch_id = builder.unacknowledgeable("acme", 2)
    fine = builder.document("acme", 3)
    entries = list(builder.archive.document_search.documents(DocumentFilter()))
    assert Corrections(builder.archive).retry(entries, NOW) == Retried(1, 1)
    assert builder.value(tables.document.c.state, row_id) == "quarantined"
    assert builder.value(tables.document.c.next_attempt_at, row_id) == NOW
    assert builder.value(tables.batch.c.next_attempt_at, batch_id) == NOW
    assert builder.value(tables.document.c.next_attempt_at, fine) is None


def test_accepting_a_quarantined_document_closes_it_with_its_reason(builder: ArchiveBuilder) -> None:
    row_id = builder.quarantined("acme", 1)
    find = builder.archive.document_search.find
    Corrections(builder.archive).accept(find("acme/1"), "sent by mail", NOW)
    entry = find("acme/1")
    assert (entry.state, entry.reason, entry.next_attempt_at) == (DocumentState.ACCEPTED, "sent by mail", None)
    assert [one.name for one in builder.archive.document_search.history(entry)] == ["document.accepted"]
    assert builder.value(tables.document.c.account_id, row_id) == builder.account("acme")


def test_accepting_an_unacknowledgeable_document_closes_its_batch_and_fences_it(builder: ArchiveBuilder) -> None:
    row_id, batch_id = builder.unacknowledgeable("acme", 1, epoch=4)
    Corrections(builder.archive).accept(builder.archive.document_search.find("1"), "known", NOW)
    assert builder.value(tables.batch.c.state, batch_id) == BatchState.ABANDONED
    assert builder.value(tables.batch.c.epoch, batch_id) == 5
    assert builder.value(tables.document.c.state, row_id) == DocumentState.ACCEPTED
    assert list(builder.archive.document_search.troubled()) == []


def test_a_document_that_a_worker_holds_cannot_be_accepted(builder: ArchiveBuilder) -> None:
    row_id, batch_id = builder.unacknowledgeable("acme", 1, lease_owner="x", lease_until=NOW + timedelta(seconds=1))
    with pytest.raises(BusyDocument, match="acme/1"):
        Corrections(builder.archive).accept(builder.archive.document_search.find("1"), "known", NOW)
    assert builder.value(tables.batch.c.state, batch_id) == BatchState.STORED
    assert builder.value(tables.document.c.state, row_id) == DocumentState.STORED


@pytest.mark.parametrize("state", [s for s in DocumentState if s is not DocumentState.QUARANTINED])
def test_only_quarantined_and_unacknowledgeable_documents_can_be_accepted(
    builder: ArchiveBuilder, state: DocumentState
) -> None:
    builder.document("acme", 1, state)
    with pytest.raises(UsageError, match=f"acme/1 is {state}"):
        Corrections(builder.archive).accept(builder.archive.document_search.find("1"), "why not", NOW)


def rows(builder: ArchiveBuilder, name: str) -> list[tuple[int | None, int | None]]:
    """(document, batch) of the journal's rows of that name, in order."""
    event = tables.event.c
    with builder.archive.database.read() as connection:
        found = connection.execute(
            sa.select(event.document_id, event.batch_id).where(event.name == name).order_by(event.id)
        )
        return [(row.document_id, row.batch_id) for row in found]


def test_a_retry_is_a_row_of_what_was_made_due(builder: ArchiveBuilder) -> None:
    row_id = builder.quarantined("acme", 1)
    _, batch_id = builder.unacknowledgeable("acme", 2)
    entries = list(builder.archive.document_search.documents(DocumentFilter()))
    Corrections(builder.archive).retry(entries, NOW)
    assert (rows(builder, "document.retried"), rows(builder, "batch.retried")) == (
        [(row_id, None)],
        [(None, batch_id)],
    )


def test_a_document_being_acknowledged_needs_no_retry(builder: ArchiveBuilder) -> None:
    """It counts, and the worker keeps its lease."""
    lease = {"lease_owner": "x", "lease_until": NOW + timedelta(seconds=1), "epoch": 4}
    _, batch_id = builder.unacknowledgeable("acme", 1, **lease)
    entries = list(builder.archive.document_search.documents(DocumentFilter()))
    assert Corrections(builder.archive).retry(entries, NOW) == Retried(0, 1)
    assert builder.value(tables.batch.c.lease_owner, batch_id) == "x"
    assert builder.value(tables.batch.c.epoch, batch_id) == 4


@pytest.mark.parametrize("state", DocumentState)
def test_any_document_can_be_held_and_released_once(builder: ArchiveBuilder, state: DocumentState) -> None:
    row_id = builder.document("acme", 1, state)
    entries = list(builder.archive.document_search.documents(DocumentFilter()))
    corrections = Corrections(builder.archive)
    for held, name in ((True, "document.held"), (False, "document.released")):
        for _ in range(2):
            corrections.hold(entries, NOW, held=held)
        assert builder.value(tables.document.c.held, row_id) == held
        assert rows(builder, name) == [(row_id, None)]
    assert builder.value(tables.document.c.state, row_id) == state


@pytest.mark.parametrize("state", DocumentState)
def test_only_acknowledged_documents_with_damaged_files_are_fetched_again(
    builder: ArchiveBuilder, state: DocumentState
) -> None:
    """The others are being fetched already, or an operator decided about them."""
    row_id = builder.document("acme", 1, state)
    rotten = [RottenFile("acme", row_id, 1, kind, "0" * 64, current=True) for kind in ("FA", "MT")]
    home = state is DocumentState.ACKNOWLEDGED
    assert Corrections(builder.archive).fetch_rotten(rotten, NOW) == home
    assert builder.value(tables.document.c.version, row_id) == (2 if home else 1)
    assert rows(builder, "document.rotten") == [(row_id, None)] * home
    assert Corrections(builder.archive).fetch_rotten(rotten, NOW) == 0


def test_a_document_recorded_as_stored_without_a_file_is_fetched_again(builder: ArchiveBuilder) -> None:
    bare, waits = builder.document("acme", 1), builder.document("acme", 2, DocumentState.DISCOVERED)
    builder.document("beta", 1)
    assert Corrections(builder.archive).fetch_bare(builder.account("acme"), {1, 2, 3}, NOW) == 1
    assert rows(builder, "document.bare") == [(bare, None)]
    assert builder.value(tables.document.c.state, bare) == DocumentState.DISCOVERED
    assert builder.value(tables.document.c.version, waits) == 1


def test_many_are_changed_in_transactions_of_a_bounded_size(builder: ArchiveBuilder) -> None:
    ids = [builder.document(label, doc_id) for label in ("acme", "beta") for doc_id in range(1, DOCUMENTS_AT_ONCE)]
    rotten = [RottenFile("acme", row_id, 1, "FA", "0" * 64, current=True) for row_id in reversed(ids)]
    assert Corrections(builder.archive).fetch_rotten(rotten, NOW) == len(ids)
    assert sorted(row_id or 0 for row_id, _ in rows(builder, "document.rotten")) == ids
