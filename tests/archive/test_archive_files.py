"""Storing a parcel: each file is stored once, nothing is overwritten, and a receipt covers intact files only."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.read_back import DurableReceipt, read_back
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.terms import BatchState, Claim, ParcelFile

STORED, FAILED = DocumentHappened.STORED, DocumentHappened.FAILED


def come(
    archive_harness: ArchiveHarness,
    account_id: int,
    files: tuple[ParcelFile, ...] = (),
    happened: DocumentHappened = STORED,
    **event: Any,
) -> None:
    """The account's due fetched batch has a parcel with these files, the same of each document."""
    claim = archive_harness.claim(account_id, BatchState.FETCHED)
    judged = [archive_harness.verdict(carried, happened, files, **event) for carried in claim.documents]
    usable = happened is STORED
    archive_harness.happen(claim, BatchHappened.DOCUMENTS_STORED if usable else BatchHappened.NOTHING_USABLE, judged)


def want_again(archive_harness: ArchiveHarness, account_id: int) -> None:
    """The stored document 1 is acknowledged, changed at the service, and in a fetched batch once more."""
    archive_harness.happen(archive_harness.claim(account_id, BatchState.STORED), BatchHappened.ACCEPTED)
    archive_harness.clock.forward(60)
    archive_harness.take_in(account_id, [listed(1, number=str(archive_harness.now))])
    archive_harness.plan([account_id])
    archive_harness.archive.batches.release(archive_harness.reach(account_id, BatchState.FETCHED))


def files_of(archive_harness: ArchiveHarness) -> list[tuple[int, str, str, int]]:
    file = tables.file
    return [
        (row.ordinal, row.type, row.name, row.size)
        for row in archive_harness.rows(sa.select(file).order_by(file.c.document_id, file.c.ordinal))
    ]


def test_the_same_bytes_again_are_the_same_file(archive_harness: ArchiveHarness) -> None:
    """SINGLE-COPY per account, docId, type and hash, whatever the name; only `version` moves."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.FETCHED)
    files = archive_harness.files({"FA": b"<a/>", "MT": b"<m/>"})
    come(archive_harness, account_id, files)
    want_again(archive_harness, account_id)
    renamed = tuple(replace(file, name=f"other-{file.name}") for file in files)
    come(archive_harness, account_id, (*renamed, *renamed))
    assert files_of(archive_harness) == [(0, "FA", "FA.xml", 4), (1, "MT", "MT.xml", 4)]
    assert {row.version for row in archive_harness.rows(sa.select(tables.file.c.version))} == {2}
    assert archive_harness.events("document.bytes_changed") == []


def test_other_bytes_under_the_same_id_are_kept_beside_the_first_and_the_journal_says_so(
    archive_harness: ArchiveHarness,
) -> None:
    """NO-OVERWRITE: both can be read, the first ordinal is the oldest."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.FETCHED)
    first, second = archive_harness.files({"FA": b"<one/>"}), archive_harness.files({"FA": b"<other/>"})
    come(archive_harness, account_id, first)
    want_again(archive_harness, account_id)
    come(archive_harness, account_id, second)
    assert files_of(archive_harness) == [(0, "FA", "FA.xml", 6), (1, "FA", "FA.xml", 8)]
    (event,) = archive_harness.events("document.bytes_changed")
    assert json.loads(event.detail) == {"type": "FA", "sha256": second[0].sha256}
    assert [len(archive_harness.events(f"document.{name}")) for name in ("stored", "stored_again")] == [1, 1]
    assert b"".join(archive_harness.archive.blobs.read(first[0].sha256)) == b"<one/>"
    assert b"".join(archive_harness.archive.blobs.read(second[0].sha256)) == b"<other/>"


def test_two_files_of_one_type_in_one_parcel_are_two_files_and_no_change(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.FETCHED)
    files = (*archive_harness.files({"FA": b"<one/>"}), *archive_harness.files({"FA": b"<two />"}))
    come(archive_harness, account_id, files)
    assert [row[:2] for row in files_of(archive_harness)] == [(0, "FA"), (1, "FA")]
    assert archive_harness.events("document.bytes_changed") == []


def test_the_same_bytes_of_two_documents_and_two_types_are_one_blob_and_four_files(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1, 2], BatchState.FETCHED)
    come(archive_harness, account_id, archive_harness.files({"FA": b"<same/>", "FU": b"<same/>"}))
    assert len(files_of(archive_harness)) == 4
    assert len(archive_harness.rows(sa.select(tables.blob))) == 1


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", "/etc/passwd", "a\x00b", "\ud800", "x" * 300, "é\u202e"]
)
def test_a_name_is_kept_as_it_came_whatever_it_is(archive_harness: ArchiveHarness, name: str) -> None:
    """RAW-FIRST: it is a fact about the service, never a path."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.FETCHED)
    (file,) = archive_harness.files({"FA": b"<a/>"})
    come(archive_harness, account_id, (replace(file, name=name),))
    assert files_of(archive_harness) == [(0, "FA", name, 4)]


@pytest.mark.parametrize(
    ("happened", "event", "state", "values"),
    [
        (
            STORED,
            {},
            "stored",
            {"attempts": 0, "suspect": False, "alone": False, "missing_types": "", "asks": 0},
        ),
        (STORED, {"missing": ("FU", "MT")}, "stored", {"missing_types": "FU,MT", "asks": 0}),
        (DocumentHappened.ASKED_AGAIN, {"reason": "no MT"}, "discovered", {"asks": 3, "attempts": 5}),
        (DocumentHappened.SET_APART, {"reason": "names"}, "discovered", {"alone": True, "attempts": 5}),
        (FAILED, {"reason": "no FA"}, "discovered", {"attempts": 6, "suspect": True}),
    ],
)
def test_each_verdict_places_its_document_and_keeps_whatever_came(
    archive_harness: ArchiveHarness,
    happened: DocumentHappened,
    event: dict[str, Any],
    state: str,
    values: dict[str, Any],
) -> None:
    """RAW-FIRST; and what goes back to the pool is carried by no batch any more."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.FETCHED)
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(attempts=5, asks=2, suspect=True, alone=True))
    come(archive_harness, account_id, archive_harness.files({"MT": b"<m/>"}), happened, **event)
    row = archive_harness.document(account_id, 1)
    assert (row.state, {name: getattr(row, name) for name in values}) == (state, values)
    assert len(files_of(archive_harness)) == 1
    (carried,) = archive_harness.rows(sa.select(tables.batch_document.c.carried))
    assert carried.carried == (state == "stored")
    assert (row.next_attempt_at is None) == (state == "stored")


def test_a_document_that_failed_too_often_is_quarantined_with_its_reason(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.FETCHED)
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(attempts=7))
    come(archive_harness, account_id, happened=FAILED, reason="the parcel held none of its files")
    row = archive_harness.document(account_id, 1)
    assert (row.state, row.attempts, row.reason) == ("quarantined", 8, "the parcel held none of its files")
    (event,) = archive_harness.events("document.quarantined")
    assert json.loads(event.detail) == {"reason": "the parcel held none of its files", "attempts": 8}


def receipt(archive_harness: ArchiveHarness, claim: Claim) -> tuple[int, ...]:
    return read_back(archive_harness.archive.database, archive_harness.archive.blobs, claim, {"FA"}).doc_ids


@pytest.mark.parametrize("seal", [None, object(), "seal"])
def test_a_receipt_cannot_be_made_outside_the_archive(seal: object) -> None:
    with pytest.raises(TypeError, match="only read_back may create"):
        DurableReceipt(1, (1, 2), seal)


def test_a_receipt_can_neither_be_widened_nor_copied_into_another(archive_harness: ArchiveHarness) -> None:
    """ACK-SUBSET."""
    account_id = archive_harness.planned([1, 2])
    real = read_back(
        archive_harness.archive.database, archive_harness.archive.blobs, archive_harness.store(account_id), {"FA"}
    )
    with pytest.raises(AttributeError):
        real.doc_ids = (1, 2, 3)  # type: ignore[misc]
    with pytest.raises(TypeError, match="only read_back may create"):
        pickle.loads(pickle.dumps(real)).__post_init__()
    with pytest.raises(TypeError, match="only read_back may create"):
        copy.deepcopy(real).__post_init__()
    assert "seal" not in repr(real)


def test_the_receipt_names_every_document_whose_files_were_read_back(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1, 2, 3])
    claim = archive_harness.store(account_id, lambda doc_id: {"FA": b"<a/>" * doc_id, "MT": b"<m/>"})
    assert receipt(archive_harness, claim) == (1, 2, 3)
    assert receipt(archive_harness, claim) == (1, 2, 3)


def spoil(archive_harness: ArchiveHarness, file: ParcelFile | str, how: str) -> None:
    sha256 = file if isinstance(file, str) else file.sha256
    chunk, blob = tables.blob_chunk, tables.blob
    statements: dict[str, list[sa.Executable]] = {
        "rotten": [sa.update(chunk).where(chunk.c.sha256 == sha256).values(content=b"rot")],
        "chunk gone": [sa.delete(chunk).where(chunk.c.sha256 == sha256)],
        "blob gone": [sa.delete(blob).where(blob.c.sha256 == sha256)],
    }
    with archive_harness.archive.database.write() as connection:
        for statement in statements[how]:
            connection.execute(statement)


@pytest.mark.parametrize("how", ["rotten", "chunk gone", "blob gone"])
@pytest.mark.parametrize("kind", ["FA", "MT"])
def test_a_document_with_a_file_that_is_not_whole_is_left_out_of_the_receipt(
    archive_harness: ArchiveHarness, kind: str, how: str
) -> None:
    """NO-ACK-BEFORE-DURABLE: every file of it counts, and nobody else's."""
    account_id = archive_harness.planned([1, 2, 3])
    claim = archive_harness.store(
        account_id, lambda doc_id: {one: f"<{one} {doc_id}>".encode() for one in ("FA", "MT")}
    )
    file, document = tables.file, tables.document
    query = sa.select(file.c.sha256).join(document, document.c.id == file.c.document_id)
    (row,) = archive_harness.rows(query.where(document.c.doc_id == 2, file.c.type == kind))
    spoil(archive_harness, row.sha256, how)
    assert receipt(archive_harness, claim) == (1, 3)


def test_a_document_without_its_original_is_left_out_of_the_receipt(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1, 2])
    claim = archive_harness.store(account_id, lambda doc_id: {"FA" if doc_id == 1 else "FU": b"<x/>"})
    assert receipt(archive_harness, claim) == (1,)


@pytest.mark.parametrize("state", ["discovered", "batched", "acknowledged", "quarantined", "withdrawn", "accepted"])
def test_a_document_that_is_not_stored_is_left_out_of_the_receipt(
    archive_harness: ArchiveHarness, state: str
) -> None:
    account_id = archive_harness.planned([1, 2])
    claim = archive_harness.store(account_id)
    document = tables.document
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(document).where(document.c.doc_id == 2).values(state=state))
    assert receipt(archive_harness, claim) == (1,)


def overtaken(archive_harness: ArchiveHarness) -> tuple[int, Claim]:
    """Two documents are stored, and since then the list has another version of the first."""
    account_id = archive_harness.planned([1, 2])
    claim = archive_harness.store(account_id)
    archive_harness.clock.forward(1)
    archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    return account_id, claim


def test_the_bytes_of_an_older_version_vouch_for_no_newer_one(archive_harness: ArchiveHarness) -> None:
    """The list said "changed" after these came: the newer bytes must be home before the service is told."""
    _, claim = overtaken(archive_harness)
    real = read_back(archive_harness.archive.database, archive_harness.archive.blobs, claim, {"FA"})
    assert (real.doc_ids, real.to_tell) == ((1, 2), (2,))


def test_a_version_listed_while_the_older_was_under_way_sends_the_document_around_once_more(
    archive_harness: ArchiveHarness,
) -> None:
    account_id, claim = overtaken(archive_harness)
    archive_harness.happen(claim, BatchHappened.ACCEPTED)
    assert archive_harness.states(account_id) == {1: "discovered", 2: "acknowledged"}
    assert [archive_harness.document(account_id, one).acknowledged_at for one in (1, 2)] == [
        None,
        archive_harness.now,
    ]


@pytest.mark.parametrize("after", ["the claim", "the answer"])
def test_what_came_of_an_older_version_counts_as_none_of_the_newer_one_s_files(
    archive_harness: ArchiveHarness, after: str
) -> None:
    """NO-LOSS: the newer was listed while the older was reserved, or after that, and before its parcel was stored."""
    account_id = archive_harness.planned([1])
    claim = archive_harness.claim(account_id)
    if after == "the claim":
        archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    archive_harness.happen(claim, BatchHappened.JOB_CREATED)
    if after == "the answer":
        archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    archive_harness.happen(archive_harness.claim(account_id), BatchHappened.PARCEL_SPOOLED)
    come(archive_harness, account_id, archive_harness.files({"FA": b"<older/>"}))
    archive_harness.happen(archive_harness.claim(account_id), BatchHappened.ACCEPTED)
    assert archive_harness.states(account_id) == {1: "discovered"}
    archive_harness.plan([account_id])
    claim = archive_harness.claim(account_id)
    (files,) = archive_harness.archive.document_files.of(claim.document_ids).values()
    assert ([one.version for one in files], claim.documents[0].version) == ([1], 2)


def test_a_version_listed_before_the_reservation_is_the_one_that_is_reserved(archive_harness: ArchiveHarness) -> None:
    """Planned for the older, reserved for the newer: it need not go around once more."""
    account_id = archive_harness.planned([1])
    archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    claim = archive_harness.store(account_id)
    assert (claim.documents[0].version, receipt(archive_harness, claim)) == (2, (1,))
    archive_harness.happen(claim, BatchHappened.ACCEPTED)
    assert archive_harness.states(account_id) == {1: "acknowledged"}


def test_halves_of_a_refused_acknowledgement_remember_what_was_reserved(archive_harness: ArchiveHarness) -> None:
    """NO-LOSS: a version listed since then is fetched, though the batch was halved after the listing."""
    account_id, claim = overtaken(archive_harness)
    archive_harness.archive.batches.release(claim)
    archive_harness.happen(archive_harness.claim(account_id), BatchHappened.REFUSED)
    for half in archive_harness.claims(account_id):
        archive_harness.happen(half, BatchHappened.ACCEPTED)
    assert archive_harness.states(account_id) == {1: "discovered", 2: "acknowledged"}
