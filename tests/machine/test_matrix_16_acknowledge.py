"""Rows 16 to 19 of the fault matrix: killed before the acknowledgement, its answer lost, listed again, changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, assert_identical, entries, states
from tests.support.harness import SMALL, Harness, Wish, cycle_of, drain, list_through, next_instant, settle

from easytracking_simulator import Faults, bad_zip, lost
from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import FileEntry
from easytracking_sync.machine.engine import Lane
from easytracking_sync.terms import LIVE_STATES, AcknowledgeWith, BatchState, DocumentState, OnRelist

FEW = replace(SMALL, documents=4)
LATER = timedelta(minutes=15)
REFETCH = {"demo1": Wish(on_relist=OnRelist.REFETCH)}


def parcels(harness: Harness) -> int:
    return harness.simulator.count("fetch", status=200)


def marks(harness: Harness) -> list[tuple[int, ...]]:
    """The ids of every call that set a phase, in order."""
    return [called.ids for called in harness.simulator.journal("acknowledge")]


def relist(harness: Harness) -> None:
    """Run a later cycle and the work that follows."""
    harness.clock.forward(LATER)
    assert settle(harness).waiting == 0


def happened(harness: Harness, doc_id: int) -> list[str]:
    """The names of a document's own events, the oldest first."""
    query = (
        sa.select(tables.event.c.name)
        .join(tables.document, tables.document.c.id == tables.event.c.document_id)
        .where(tables.document.c.doc_id == doc_id)
        .order_by(tables.event.c.id)
    )
    with harness.archive.database.read() as connection:
        return list(connection.execute(query).scalars())


def until_stored(harness: Harness) -> None:
    """List and work until the documents are committed and the service has not been told."""
    list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
    while set(states(harness).values()) != {DocumentState.STORED}:
        if not harness.engine.step():
            harness.clock.forward(timedelta(seconds=2))
    assert marks(harness) == []


def test_row_16_killed_between_commit_and_acknowledgement(make: Make) -> None:
    """Started again, it acknowledges without fetching anything again."""
    harness = make(FEW)
    until_stored(harness)
    harness.reopen()
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert (parcels(harness), harness.simulator.count("reserve"), len(marks(harness))) == (1, 1, 1)


def test_row_16_killed_again_and_again_before_the_acknowledgement(make: Make) -> None:
    """CRASH-IDEMPOTENT: as if once, even where the batch had been claimed already."""
    harness = make(FEW)
    until_stored(harness)
    for _ in range(3):
        assert harness.engine.claim(Lane.ANY) is not None
        harness.reopen()
    drain(harness)
    assert_archived(harness)
    assert (parcels(harness), len(marks(harness))) == (1, 1)


@pytest.mark.parametrize("repeated", [200, 400, 403])
def test_row_17_an_acknowledgement_whose_answer_was_lost_is_made_again(make: Make, repeated: int) -> None:
    """What a repeated set-fase answers is open: 200, or a refusal, which the listing of the marked ones explains."""
    harness = make(replace(FEW, repeated_phase_status=repeated))
    harness.simulator.script("acknowledge", lost())
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert parcels(harness) == 1
    assert not any(entry.unacknowledgeable for entry in entries(harness).values())


def test_row_17_a_document_without_reception_time_is_confirmed_by_its_date(make: Make) -> None:
    """Marked already, and no reception window shows it: a repeated refusal still counts as done."""
    harness = make(replace(SMALL, documents=0, repeated_phase_status=400))
    harness.simulator.add_document("demo1", dataRicezione=None, data="2026-05-04")
    harness.simulator.script("acknowledge", lost())
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert not any(entry.unacknowledgeable for entry in entries(harness).values())


def test_row_17_a_document_marked_by_others_meanwhile_is_done(make: Make) -> None:
    """Between the storing and the acknowledgement the portal marks them: nothing to be refused about."""
    harness = make(replace(FEW, repeated_phase_status=400))
    until_stored(harness)
    harness.simulator.set_phase(1, harness.simulator.ids())
    drain(harness)
    assert_archived(harness)


def test_row_18_a_document_listed_again_is_acknowledged_again_and_not_fetched(make: Make) -> None:
    """The service lost the mark: nothing is fetched or stored twice."""
    harness = make(FEW)
    settle(harness)
    forgotten = harness.simulator.ids()[1:3]
    harness.simulator.set_phase(1, forgotten, on=False)
    before = entries(harness)
    relist(harness)
    assert_archived(harness)
    assert marks(harness) == [harness.simulator.ids(), forgotten]
    assert parcels(harness) == 1
    assert {doc_id: entry.files for doc_id, entry in entries(harness).items()} == {
        doc_id: entry.files for doc_id, entry in before.items()
    }


def test_row_18_a_document_that_stays_listed_is_acknowledged_once_a_cycle(make: Make) -> None:
    """A mark that never shows costs one call a cycle, for ever, and no parcel."""
    harness = make(FEW)
    harness.simulator.faults = Faults(still_listed=frozenset(harness.simulator.ids()))
    settle(harness)
    for _ in range(3):
        relist(harness)
    assert len(marks(harness)) == 4
    assert parcels(harness) == 1
    assert set(states(harness).values()) == {DocumentState.ACKNOWLEDGED}


def test_row_18_a_listing_begun_before_the_acknowledgement_does_not_count(make: Make) -> None:
    """It shows what was so then: nothing is acknowledged twice because of it."""
    harness = make(FEW)
    until_stored(harness)
    late = cycle_of(harness, harness.accounts["demo1"])
    harness.simulator.faults = Faults(still_listed=frozenset(harness.simulator.ids()))
    late.step()
    drain(harness)
    assert len(marks(harness)) == 1
    list_through(harness, late)  # at the very instant of the acknowledgement: begun no later than it
    drain(harness)
    assert len(marks(harness)) == 1
    relist(harness)
    assert len(marks(harness)) == 2


def test_row_18_with_refetch_a_document_listed_again_is_fetched_again(make: Make) -> None:
    """`on_relist = "refetch"`: the same bytes are not stored twice."""
    harness = make(FEW, wishes=REFETCH)
    settle(harness)
    harness.simulator.set_phase(1, harness.simulator.ids()[:2], on=False)
    relist(harness)
    assert_archived(harness)
    assert parcels(harness) == 2
    assert len(marks(harness)) == 2


@pytest.mark.parametrize("mode", OnRelist)
def test_row_19_changed_list_fields_fetch_it_again_and_keep_both_versions(make: Make, mode: OnRelist) -> None:
    """NO-OVERWRITE: the same docId with other fields and other bytes; the older ones stay where they were."""
    harness = make(FEW, wishes={"demo1": Wish(on_relist=mode)})
    settle(harness)
    changed = harness.simulator.ids()[1]
    before = entries(harness)[changed].files
    harness.simulator.change_document(changed, number="77/BIS")
    harness.simulator.set_phase(1, [changed], on=False)
    relist(harness)
    entry = entries(harness)[changed]
    assert entry.number == "77/BIS"
    assert entry.files[: len(before)] == before
    newer = {(file.type, file.sha256) for file in entry.files[len(before) :]}
    truth = {(file.type, file.sha256) for file in harness.simulator.true_document(changed).files if file.type != "FI"}
    assert newer == truth - {(file.type, file.sha256) for file in before}
    assert newer
    assert [file.ordinal for file in entry.files] == list(range(len(entry.files)))
    assert entry.state is DocumentState.ACKNOWLEDGED
    assert changed in harness.simulator.marked(1)
    assert "document.changed" in happened(harness, changed)
    assert "document.bytes_changed" in happened(harness, changed)


def test_row_19_a_change_that_shows_among_the_marked_only_is_seen_too(make: Make) -> None:
    """Someone corrected a document without clearing its phase."""
    harness = make(FEW)
    settle(harness)
    changed = harness.simulator.ids()[1]
    harness.simulator.change_document(changed, number="77/BIS")
    relist(harness)
    assert entries(harness)[changed].number == "77/BIS"
    latest = {file.type: file for file in entries(harness)[changed].files}
    truth = {file.type: file.sha256 for file in harness.simulator.true_document(changed).files}
    assert {kind: file.sha256 for kind, file in latest.items()}["FA"] == truth["FA"]


def test_row_19_the_older_list_fields_stay_in_the_journal(make: Make) -> None:
    """The newest are the document's; what they were is kept verbatim."""
    harness = make(FEW)
    settle(harness)
    changed = harness.simulator.ids()[0]
    older = entries(harness)[changed].number
    harness.simulator.change_document(changed, number="77/BIS")
    relist(harness)
    query = sa.select(tables.event.c.detail).where(tables.event.c.name == "document.changed")
    with harness.archive.database.read() as connection:
        before = json.loads(connection.execute(query).scalar_one())["before"]
    assert json.loads(before)["number"] == older


def test_row_19_a_change_during_the_fetch_fetches_the_newer_version_too(make: Make) -> None:
    """Listed again between the reservation and the acknowledgement: it is fetched again; both versions stay."""
    harness = make(FEW)
    until_stored(harness)
    changed = harness.simulator.ids()[2]
    older = entries(harness)[changed].files
    harness.clock.forward(LATER)
    harness.simulator.change_document(changed, number="77/BIS")
    assert settle(harness).waiting == 0
    files = entries(harness)[changed].files
    assert set(older) <= set(files)
    truth = {file.sha256 for file in harness.simulator.true_document(changed).files if file.type == "FA"}
    assert truth <= {file.sha256 for file in files}
    assert states(harness)[changed] is DocumentState.ACKNOWLEDGED


@pytest.mark.parametrize("state", LIVE_STATES)
def test_row_19_a_change_listed_during_an_effect_affects_neither(make: Make, state: BatchState) -> None:
    """NO-LOSS: the effect was begun on the older documents, and is committed on those that are there now."""
    harness = make(FEW)
    account = harness.accounts["demo1"]
    list_through(harness, cycle_of(harness, account))
    changed = harness.simulator.ids()[1]
    while True:
        claim = harness.engine.claim(Lane.ANY)
        if claim is None:
            harness.clock.forward_to(next_instant(harness) or harness.clock.now())
        elif claim.batch.state is state:
            break
        else:
            harness.engine.perform(claim)
    harness.simulator.change_document(changed, number="77/BIS")
    list_through(harness, cycle_of(harness, account))
    harness.engine.perform(claim)
    assert harness.observer.named("batch.fenced") == []
    assert batch_states(harness) != [state]
    assert not any(changed in ids for ids in marks(harness)), "told before the newer version is home"
    assert settle(harness).waiting == 0
    truth = {file.sha256 for file in harness.simulator.true_document(changed).files if file.type == "FA"}
    assert truth <= {file.sha256 for file in entries(harness)[changed].files}
    assert set(states(harness).values()) == {DocumentState.ACKNOWLEDGED}
    assert [changed in ids for ids in marks(harness)].count(True) == 1


def batch_states(harness: Harness) -> list[str]:
    with harness.archive.database.read() as connection:
        return list(connection.execute(sa.select(tables.batch.c.state)).scalars())


def test_row_19_other_bytes_under_the_same_fields_are_kept_beside_the_first(make: Make) -> None:
    """Refetched, the service gives another copy: two versions, the first the oldest, with an entry in the journal."""
    harness = make(FEW, wishes=REFETCH)
    settle(harness)
    odd = harness.simulator.ids()[1]
    first = entries(harness)[odd].files
    harness.simulator.set_phase(1, [odd], on=False)
    harness.simulator.script("fetch", bad_zip("other-bytes", odd))
    relist(harness)
    files = entries(harness)[odd].files
    assert files[: len(first)] == first
    assert [file.type for file in files[len(first) :]] == ["FA"]
    assert happened(harness, odd).count("document.bytes_changed") == 1
    assert_identical(
        harness,
        replace(entries(harness)[odd], files=first),
        harness.simulator.true_document(odd).files,
        harness.wishes["demo1"].file_types,
    )


def lying(harness: Harness, file: FileEntry) -> Path | None:
    """Where the bytes lie, if they lie in files."""
    return next(harness.folder.glob(f"blobs/*/*/{file.sha256}"), None)


def rot(harness: Harness, file: FileEntry) -> None:
    """Other bytes at the end of a stored file."""
    if (path := lying(harness, file)) is not None:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0xFF]))
        return
    chunk = tables.blob_chunk
    with harness.archive.database.write() as connection:
        content: bytes = connection.execute(
            sa.select(chunk.c.content).where(chunk.c.sha256 == file.sha256, chunk.c.position == 0)
        ).scalar_one()
        spoilt = content[:-1] + bytes([content[-1] ^ 0xFF])
        connection.execute(sa.update(chunk).where(chunk.c.sha256 == file.sha256).values(content=spoilt))


def vanish(harness: Harness, file: FileEntry) -> None:
    """The stored file's bytes are gone."""
    if (path := lying(harness, file)) is not None:
        path.unlink()
        return
    chunk = tables.blob_chunk
    with harness.archive.database.write() as connection:
        connection.execute(sa.delete(chunk).where(chunk.c.sha256 == file.sha256))


@pytest.mark.parametrize("spoil", [rot, vanish])
@pytest.mark.parametrize("place", [0, 2])
def test_row_16_documents_that_cannot_be_read_back_are_fetched_again_not_acknowledged(
    make: Make, spoil: object, place: int
) -> None:
    """NO-ACK-BEFORE-DURABLE: bytes rot between storing and acknowledging; nothing is told, all is mended."""
    harness = make(FEW)
    until_stored(harness)
    victim = entries(harness)[harness.simulator.ids()[1]].files[place]
    assert callable(spoil)
    spoil(harness, victim)
    assert harness.engine.step()
    assert marks(harness) == []
    assert drain(harness)
    assert_archived(harness)
    assert parcels(harness) == 2


def test_row_16_an_account_that_acknowledges_nothing_still_reads_back(make: Make) -> None:
    """Reading back does not depend on `acknowledge`."""
    harness = make(FEW, wishes={"demo1": Wish(acknowledge=AcknowledgeWith.NONE)})
    until_stored(harness)
    rot(harness, entries(harness)[harness.simulator.ids()[1]].files[0])
    drain(harness)
    assert_archived(harness)
    assert parcels(harness) == 2


def test_row_18_damaged_files_of_a_document_listed_again_are_fetched_again(make: Make) -> None:
    """Acknowledged long ago and listed again: it is read back before anything is told."""
    harness = make(FEW)
    settle(harness)
    odd = harness.simulator.ids()[1]
    rot(harness, entries(harness)[odd].files[0])
    harness.simulator.set_phase(1, [odd], on=False)
    relist(harness)
    assert_archived(harness)
    assert parcels(harness) == 2
