"""What a parcel leaves: every file's bytes once, nothing overwritten, and a receipt for what is really there."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.archive.shelves import Shelf, listed

from easytracking_sync.archive import tables
from easytracking_sync.archive.receipt import DurableReceipt, read_back
from easytracking_sync.terms import BatchState, Claim, Fate, Landed, Landing, StoredFile


def land(shelf: Shelf, account_id: int, **landings: Any) -> None:
    """Land the account's due fetched batch; one landing for all its documents unless `each` gives one an id."""
    claim = shelf.claim(account_id, BatchState.FETCHED)
    how = {"landing": Landing.WHOLE} | landings
    landed = tuple(Landed(document, **how) for document in claim.documents)
    stored = how["landing"] in (Landing.WHOLE, Landing.INCOMPLETE)
    shelf.move(claim, BatchState.STORED if stored else BatchState.ABANDONED, fate=Fate.LANDED, landed=landed)


def again(shelf: Shelf, account_id: int, batch_id: int) -> None:
    """The same batch, as if it had come in a second parcel."""
    batch = tables.batch
    shelf.clock.forward(60)
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(batch).where(batch.c.id == batch_id).values(state="fetched"))


def files_of(shelf: Shelf) -> list[tuple[int, str, str, int]]:
    file = tables.file
    return [
        (row.ordinal, row.type, row.name, row.size)
        for row in shelf.rows(sa.select(file).order_by(file.c.document_id, file.c.ordinal))
    ]


def test_the_same_bytes_again_are_the_same_file(shelf: Shelf) -> None:
    """SINGLE-COPY per account, docId, type and hash, whatever the name; only `seen_at` moves."""
    account_id = shelf.account()
    batch_id = shelf.batch(account_id, [1], BatchState.FETCHED)
    files = shelf.files({"FA": b"<a/>", "MT": b"<m/>"})
    land(shelf, account_id, files=files)
    again(shelf, account_id, batch_id)
    renamed = tuple(replace(file, name=f"other-{file.name}") for file in files)
    land(shelf, account_id, files=(*renamed, *renamed))
    assert files_of(shelf) == [(0, "FA", "FA.xml", 4), (1, "MT", "MT.xml", 4)]
    assert {row.seen_at for row in shelf.rows(sa.select(tables.file.c.seen_at))} == {shelf.now}
    assert shelf.events("document.bytes_changed") == []


def test_other_bytes_under_the_same_id_are_kept_beside_the_first_and_the_journal_says_so(shelf: Shelf) -> None:
    """NO-OVERWRITE: both can be read, the first ordinal is the oldest."""
    account_id = shelf.account()
    batch_id = shelf.batch(account_id, [1], BatchState.FETCHED)
    first, second = shelf.files({"FA": b"<one/>"}), shelf.files({"FA": b"<other/>"})
    land(shelf, account_id, files=first)
    again(shelf, account_id, batch_id)
    land(shelf, account_id, files=second)
    assert files_of(shelf) == [(0, "FA", "FA.xml", 6), (1, "FA", "FA.xml", 8)]
    (event,) = shelf.events("document.bytes_changed")
    assert json.loads(event.detail) == {"type": "FA", "sha256": second[0].sha256}
    assert b"".join(shelf.archive.blobs.read(first[0].sha256)) == b"<one/>"
    assert b"".join(shelf.archive.blobs.read(second[0].sha256)) == b"<other/>"


def test_two_files_of_one_type_in_one_parcel_are_two_files_and_no_change(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1], BatchState.FETCHED)
    files = (*shelf.files({"FA": b"<one/>"}), *shelf.files({"FA": b"<two />"}))
    land(shelf, account_id, files=files)
    assert [row[:2] for row in files_of(shelf)] == [(0, "FA"), (1, "FA")]
    assert shelf.events("document.bytes_changed") == []


def test_the_same_bytes_of_two_documents_and_two_types_are_one_blob_and_four_files(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1, 2], BatchState.FETCHED)
    land(shelf, account_id, files=shelf.files({"FA": b"<same/>", "FU": b"<same/>"}))
    assert len(files_of(shelf)) == 4
    assert len(shelf.rows(sa.select(tables.blob))) == 1


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc/passwd", "/etc/passwd", "a\x00b", "\ud800", "x" * 300, "é\u202e"]
)
def test_a_name_is_kept_as_it_came_whatever_it_is(shelf: Shelf, name: str) -> None:
    """RAW-FIRST: it is a fact about the service, never a path."""
    account_id = shelf.account()
    shelf.batch(account_id, [1], BatchState.FETCHED)
    (file,) = shelf.files({"FA": b"<a/>"})
    land(shelf, account_id, files=(replace(file, name=name),))
    assert files_of(shelf) == [(0, "FA", name, 4)]


@pytest.mark.parametrize(
    ("landing", "state", "values"),
    [
        (
            {"landing": Landing.WHOLE},
            "stored",
            {"attempts": 0, "suspect": False, "alone": False, "missing_types": "", "asks": 0},
        ),
        ({"landing": Landing.INCOMPLETE, "missing": ("FU", "MT")}, "stored", {"missing_types": "FU,MT", "asks": 0}),
        (
            {"landing": Landing.ASK_AGAIN, "reason": "no MT"},
            "discovered",
            {"asks": 3, "attempts": 5},
        ),
        ({"landing": Landing.APART, "reason": "names"}, "discovered", {"alone": True, "attempts": 5}),
        ({"landing": Landing.FAILED, "reason": "no FA"}, "discovered", {"attempts": 6, "suspect": True}),
    ],
    ids=lambda value: value.get("landing", "") if isinstance(value, dict) else value,
)
def test_each_landing_places_its_document_and_keeps_whatever_came(
    shelf: Shelf, landing: dict[str, Any], state: str, values: dict[str, Any]
) -> None:
    """RAW-FIRST; and what goes back to the pool is carried by no batch any more."""
    account_id = shelf.account()
    shelf.batch(account_id, [1], BatchState.FETCHED)
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(attempts=5, asks=2, suspect=True, alone=True))
    land(shelf, account_id, files=shelf.files({"MT": b"<m/>"}), **landing)
    row = shelf.document(account_id, 1)
    assert (row.state, {name: getattr(row, name) for name in values}) == (state, values)
    assert len(files_of(shelf)) == 1
    (carried,) = shelf.rows(sa.select(tables.batch_document.c.carried))
    assert carried.carried == (state == "stored")
    assert (row.next_attempt_at is None) == (state == "stored")


def test_a_document_that_failed_too_often_is_quarantined_with_its_reason(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.batch(account_id, [1], BatchState.FETCHED)
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(attempts=7))
    land(shelf, account_id, landing=Landing.FAILED, reason="the parcel held nothing of it")
    row = shelf.document(account_id, 1)
    assert (row.state, row.attempts, row.reason) == ("quarantined", 8, "the parcel held nothing of it")
    assert len(shelf.events("document.quarantined")) == 1


def receipt(shelf: Shelf, claim: Claim) -> tuple[int, ...]:
    return read_back(shelf.archive.database, shelf.archive.blobs, claim, {"FA"}).doc_ids


@pytest.mark.parametrize("seal", [None, object(), "seal"])
def test_a_receipt_cannot_be_made_outside_the_archive(seal: object) -> None:
    with pytest.raises(TypeError, match="the archive alone"):
        DurableReceipt(1, (1, 2), seal)


def test_a_receipt_can_neither_be_widened_nor_copied_into_another(shelf: Shelf) -> None:
    """ACK-SUBSET."""
    account_id = shelf.planned([1, 2])
    real = read_back(shelf.archive.database, shelf.archive.blobs, shelf.store(account_id), {"FA"})
    with pytest.raises(AttributeError):
        real.doc_ids = (1, 2, 3)  # type: ignore[misc]
    with pytest.raises(TypeError, match="the archive alone"):
        pickle.loads(pickle.dumps(real)).__post_init__()
    with pytest.raises(TypeError, match="the archive alone"):
        copy.deepcopy(real).__post_init__()
    assert "seal" not in repr(real)


def test_the_receipt_names_every_document_whose_files_were_read_back(shelf: Shelf) -> None:
    account_id = shelf.planned([1, 2, 3])
    claim = shelf.store(account_id, lambda doc_id: {"FA": b"<a/>" * doc_id, "MT": b"<m/>"})
    assert receipt(shelf, claim) == (1, 2, 3)
    assert receipt(shelf, claim) == (1, 2, 3)


def spoil(shelf: Shelf, file: StoredFile | str, how: str) -> None:
    sha256 = file if isinstance(file, str) else file.sha256
    chunk, blob = tables.blob_chunk, tables.blob
    statements: dict[str, list[sa.Executable]] = {
        "rotten": [sa.update(chunk).where(chunk.c.sha256 == sha256).values(content=b"rot")],
        "chunk gone": [sa.delete(chunk).where(chunk.c.sha256 == sha256)],
        "blob gone": [sa.delete(blob).where(blob.c.sha256 == sha256)],
    }
    with shelf.archive.database.write() as connection:
        for statement in statements[how]:
            connection.execute(statement)


@pytest.mark.parametrize("how", ["rotten", "chunk gone", "blob gone"])
@pytest.mark.parametrize("kind", ["FA", "MT"])
def test_a_document_with_a_file_that_is_not_whole_is_left_out_of_the_receipt(
    shelf: Shelf, kind: str, how: str
) -> None:
    """NO-ACK-BEFORE-DURABLE: every file of it counts, and nobody else's."""
    account_id = shelf.planned([1, 2, 3])
    claim = shelf.store(account_id, lambda doc_id: {one: f"<{one} {doc_id}>".encode() for one in ("FA", "MT")})
    file, document = tables.file, tables.document
    query = sa.select(file.c.sha256).join(document, document.c.id == file.c.document_id)
    (row,) = shelf.rows(query.where(document.c.doc_id == 2, file.c.type == kind))
    spoil(shelf, row.sha256, how)
    assert receipt(shelf, claim) == (1, 3)


def test_a_document_without_its_original_is_left_out_of_the_receipt(shelf: Shelf) -> None:
    account_id = shelf.planned([1, 2])
    claim = shelf.store(account_id, lambda doc_id: {"FA" if doc_id == 1 else "FU": b"<x/>"})
    assert receipt(shelf, claim) == (1,)


@pytest.mark.parametrize("state", ["discovered", "batched", "acknowledged", "quarantined", "withdrawn", "accepted"])
def test_a_document_that_is_not_stored_is_left_out_of_the_receipt(shelf: Shelf, state: str) -> None:
    account_id = shelf.planned([1, 2])
    claim = shelf.store(account_id)
    document = tables.document
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(document).where(document.c.doc_id == 2).values(state=state))
    assert receipt(shelf, claim) == (1,)


def overtaken(shelf: Shelf) -> tuple[int, Claim]:
    """Two documents are stored, and since then the list has another version of the first."""
    account_id = shelf.planned([1, 2])
    claim = shelf.store(account_id)
    shelf.clock.forward(1)
    shelf.absorb(account_id, [listed(1, number="1/bis")])
    return account_id, claim


def test_the_bytes_of_an_older_version_vouch_for_no_newer_one(shelf: Shelf) -> None:
    """The list said "changed" after these came: the newer bytes must be home before the service is told."""
    _, claim = overtaken(shelf)
    assert receipt(shelf, claim) == (2,)


def test_a_version_listed_while_the_older_was_under_way_sends_the_document_around_once_more(shelf: Shelf) -> None:
    account_id, claim = overtaken(shelf)
    shelf.move(claim, BatchState.ACKNOWLEDGED, fate=Fate.ACKNOWLEDGED)
    assert shelf.states(account_id) == {1: "discovered", 2: "acknowledged"}


def test_what_came_of_an_older_version_counts_as_none_of_the_newer_one_s_files(shelf: Shelf) -> None:
    """NO-LOSS: the newer was listed after the older was reserved and before its parcel was stored."""
    account_id = shelf.planned([1])
    claim = shelf.claim(account_id)
    shelf.move(claim, BatchState.RESERVED, batch={"job_id": "j", "reserved_at": claim.known_at}, accepted=True)
    shelf.clock.forward(1)
    shelf.absorb(account_id, [listed(1, number="1/bis")])
    shelf.move(shelf.claim(account_id), BatchState.FETCHED, batch={"parcel": "p"})
    land(shelf, account_id, files=shelf.files({"FA": b"<older/>"}))
    shelf.move(shelf.claim(account_id), BatchState.ACKNOWLEDGED, fate=Fate.ACKNOWLEDGED)
    assert shelf.states(account_id) == {1: "discovered"}
    shelf.clock.forward(1)
    shelf.archive.pool.plan([account_id], shelf.now, jobs_in_flight=1)
    (held,) = shelf.archive.pool.held(shelf.claim(account_id)).values()
    assert held.types == frozenset()


def test_halves_of_a_refused_acknowledgement_remember_what_was_reserved(shelf: Shelf) -> None:
    """NO-LOSS: a version listed since then is fetched, though the batch was halved after the listing."""
    account_id, claim = overtaken(shelf)
    shelf.move(claim, BatchState.SPLIT, halves_in=BatchState.STORED)
    for half in shelf.claims(account_id):
        shelf.move(half, BatchState.ACKNOWLEDGED, fate=Fate.ACKNOWLEDGED)
    assert shelf.states(account_id) == {1: "discovered", 2: "acknowledged"}
