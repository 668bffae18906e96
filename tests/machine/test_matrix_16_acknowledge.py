"""Rows 16 to 19 of the fault matrix: killed before the acknowledgement, its answer lost, listed again, changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_home, assert_identical, entries, states
from tests.support.harness import SMALL, Station, Wish, cycle_of, drain, list_through, next_instant, settle

from easytracking_simulator import Faults, bad_zip, lost
from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import FileEntry
from easytracking_sync.machine.engine import Lane
from easytracking_sync.terms import LIVE_STATES, AcknowledgeWith, BatchState, DocumentState, OnRelist

FEW = replace(SMALL, documents=4)
LATER = timedelta(minutes=15)
REFETCH = {"demo1": Wish(on_relist=OnRelist.REFETCH)}


def parcels(station: Station) -> int:
    return station.simulator.count("fetch", status=200)


def marks(station: Station) -> list[tuple[int, ...]]:
    """The ids of every call that set a phase, in order."""
    return [called.ids for called in station.simulator.journal("acknowledge")]


def relist(station: Station) -> None:
    """A later cycle, and whatever it sets going."""
    station.clock.forward(LATER)
    assert settle(station).waiting == 0


def happened(station: Station, doc_id: int) -> list[str]:
    """The names of a document's own events, the oldest first."""
    query = (
        sa.select(tables.event.c.name)
        .join(tables.document, tables.document.c.id == tables.event.c.document_id)
        .where(tables.document.c.doc_id == doc_id)
        .order_by(tables.event.c.id)
    )
    with station.archive.database.read() as connection:
        return list(connection.execute(query).scalars())


def until_stored(station: Station) -> None:
    """List and work until the documents are committed and the service has not been told."""
    list_through(station, cycle_of(station, station.accounts["demo1"]))
    while set(states(station).values()) != {DocumentState.STORED}:
        if not station.engine.step():
            station.clock.forward(timedelta(seconds=2))
    assert marks(station) == []


def test_row_16_killed_between_commit_and_acknowledgement(make: Make) -> None:
    """Started again, it acknowledges without fetching anything again."""
    station = make(FEW)
    until_stored(station)
    station.reopen()
    assert settle(station).waiting == 0
    assert_home(station)
    assert (parcels(station), station.simulator.count("reserve"), len(marks(station))) == (1, 1, 1)


def test_row_16_killed_again_and_again_before_the_acknowledgement(make: Make) -> None:
    """CRASH-IDEMPOTENT: as if once, even where the batch had been claimed already."""
    station = make(FEW)
    until_stored(station)
    for _ in range(3):
        assert station.engine.claim(Lane.ANY) is not None
        station.reopen()
    drain(station)
    assert_home(station)
    assert (parcels(station), len(marks(station))) == (1, 1)


@pytest.mark.parametrize("repeated", [200, 400, 403])
def test_row_17_an_acknowledgement_whose_answer_was_lost_is_made_again(make: Make, repeated: int) -> None:
    """What a repeated set-fase answers is open: 200, or a refusal, which the listing of the marked ones explains."""
    station = make(replace(FEW, repeated_phase_status=repeated))
    station.simulator.script("acknowledge", lost())
    assert settle(station).waiting == 0
    assert_home(station)
    assert parcels(station) == 1
    assert not any(entry.unacknowledgeable for entry in entries(station).values())


def test_row_17_a_document_without_reception_time_is_confirmed_by_its_date(make: Make) -> None:
    """Marked already, and no reception window shows it: a repeated refusal still counts as done."""
    station = make(replace(SMALL, documents=0, repeated_phase_status=400))
    station.simulator.add_document("demo1", dataRicezione=None, data="2026-05-04")
    station.simulator.script("acknowledge", lost())
    assert settle(station).waiting == 0
    assert_home(station)
    assert not any(entry.unacknowledgeable for entry in entries(station).values())


def test_row_17_what_someone_else_marked_meanwhile_is_done(make: Make) -> None:
    """Between the storing and the acknowledgement the portal marks them: nothing to be refused about."""
    station = make(replace(FEW, repeated_phase_status=400))
    until_stored(station)
    station.simulator.set_phase(1, station.simulator.ids())
    drain(station)
    assert_home(station)


def test_row_18_what_is_listed_again_is_acknowledged_again_and_not_fetched(make: Make) -> None:
    """The service forgot the mark: nothing is fetched or stored twice."""
    station = make(FEW)
    settle(station)
    forgotten = station.simulator.ids()[1:3]
    station.simulator.set_phase(1, forgotten, on=False)
    before = entries(station)
    relist(station)
    assert_home(station)
    assert marks(station) == [station.simulator.ids(), forgotten]
    assert parcels(station) == 1
    assert {doc_id: entry.files for doc_id, entry in entries(station).items()} == {
        doc_id: entry.files for doc_id, entry in before.items()
    }


def test_row_18_what_stays_listed_is_acknowledged_once_a_cycle(make: Make) -> None:
    """A mark that never shows costs one call a cycle, for ever, and no parcel."""
    station = make(FEW)
    station.simulator.faults = Faults(still_listed=frozenset(station.simulator.ids()))
    settle(station)
    for _ in range(3):
        relist(station)
    assert len(marks(station)) == 4
    assert parcels(station) == 1
    assert set(states(station).values()) == {DocumentState.ACKNOWLEDGED}


def test_row_18_a_listing_begun_before_the_acknowledgement_does_not_count(make: Make) -> None:
    """It shows what was so then: nothing is acknowledged twice because of it."""
    station = make(FEW)
    until_stored(station)
    late = cycle_of(station, station.accounts["demo1"])
    station.simulator.faults = Faults(still_listed=frozenset(station.simulator.ids()))
    late.step()
    drain(station)
    assert len(marks(station)) == 1
    list_through(station, late)  # at the very instant of the acknowledgement: begun no later than it
    drain(station)
    assert len(marks(station)) == 1
    relist(station)
    assert len(marks(station)) == 2


def test_row_18_where_it_is_wished_what_is_listed_again_is_fetched_once_more(make: Make) -> None:
    """`on_relist = "refetch"`: the same bytes are not stored twice."""
    station = make(FEW, wishes=REFETCH)
    settle(station)
    station.simulator.set_phase(1, station.simulator.ids()[:2], on=False)
    relist(station)
    assert_home(station)
    assert parcels(station) == 2
    assert len(marks(station)) == 2


@pytest.mark.parametrize("mode", OnRelist)
def test_row_19_changed_list_fields_fetch_it_again_and_keep_both_versions(make: Make, mode: OnRelist) -> None:
    """NO-OVERWRITE: the same docId with other fields and other bytes; the older ones stay where they were."""
    station = make(FEW, wishes={"demo1": Wish(on_relist=mode)})
    settle(station)
    changed = station.simulator.ids()[1]
    before = entries(station)[changed].files
    station.simulator.change_document(changed, number="77/BIS")
    station.simulator.set_phase(1, [changed], on=False)
    relist(station)
    entry = entries(station)[changed]
    assert entry.number == "77/BIS"
    assert entry.files[: len(before)] == before
    newer = {(file.type, file.sha256) for file in entry.files[len(before) :]}
    truth = {(file.type, file.sha256) for file in station.simulator.true_document(changed).files if file.type != "FI"}
    assert newer == truth - {(file.type, file.sha256) for file in before}
    assert newer
    assert [file.ordinal for file in entry.files] == list(range(len(entry.files)))
    assert entry.state is DocumentState.ACKNOWLEDGED
    assert changed in station.simulator.marked(1)
    assert "document.changed" in happened(station, changed)
    assert "document.bytes_changed" in happened(station, changed)


def test_row_19_a_change_that_shows_among_the_marked_only_is_seen_too(make: Make) -> None:
    """Someone corrected a document without clearing its phase."""
    station = make(FEW)
    settle(station)
    changed = station.simulator.ids()[1]
    station.simulator.change_document(changed, number="77/BIS")
    relist(station)
    assert entries(station)[changed].number == "77/BIS"
    latest = {file.type: file for file in entries(station)[changed].files}
    truth = {file.type: file.sha256 for file in station.simulator.true_document(changed).files}
    assert {kind: file.sha256 for kind, file in latest.items()}["FA"] == truth["FA"]


def test_row_19_the_older_list_fields_stay_in_the_journal(make: Make) -> None:
    """The newest are the document's; what they were is kept verbatim."""
    station = make(FEW)
    settle(station)
    changed = station.simulator.ids()[0]
    older = entries(station)[changed].number
    station.simulator.change_document(changed, number="77/BIS")
    relist(station)
    query = sa.select(tables.event.c.detail).where(tables.event.c.name == "document.changed")
    with station.archive.database.read() as connection:
        before = json.loads(connection.execute(query).scalar_one())["before"]
    assert json.loads(before)["number"] == older


def test_row_19_a_change_while_it_is_on_its_way_brings_the_newer_version_too(make: Make) -> None:
    """Listed anew between the reservation and the acknowledgement: it travels once more, both are kept."""
    station = make(FEW)
    until_stored(station)
    changed = station.simulator.ids()[2]
    older = entries(station)[changed].files
    station.clock.forward(LATER)
    station.simulator.change_document(changed, number="77/BIS")
    assert settle(station).waiting == 0
    files = entries(station)[changed].files
    assert set(older) <= set(files)
    truth = {file.sha256 for file in station.simulator.true_document(changed).files if file.type == "FA"}
    assert truth <= {file.sha256 for file in files}
    assert states(station)[changed] is DocumentState.ACKNOWLEDGED


@pytest.mark.parametrize("state", LIVE_STATES)
def test_row_19_a_change_listed_while_an_effect_is_under_way_spoils_neither(make: Make, state: BatchState) -> None:
    """NO-LOSS: the effect was begun on the older documents, and is committed on those that are there now."""
    station = make(FEW)
    account = station.accounts["demo1"]
    list_through(station, cycle_of(station, account))
    changed = station.simulator.ids()[1]
    while True:
        claim = station.engine.claim(Lane.ANY)
        if claim is None:
            station.clock.forward_to(next_instant(station) or station.clock.now())
        elif claim.batch.state is state:
            break
        else:
            station.engine.perform(claim)
    station.simulator.change_document(changed, number="77/BIS")
    list_through(station, cycle_of(station, account))
    station.engine.perform(claim)
    assert station.observer.named("batch.fenced") == []
    assert batch_states(station) != [state]
    assert not any(changed in ids for ids in marks(station)), "told before the newer version is home"
    assert settle(station).waiting == 0
    truth = {file.sha256 for file in station.simulator.true_document(changed).files if file.type == "FA"}
    assert truth <= {file.sha256 for file in entries(station)[changed].files}
    assert set(states(station).values()) == {DocumentState.ACKNOWLEDGED}
    assert [changed in ids for ids in marks(station)].count(True) == 1


def batch_states(station: Station) -> list[str]:
    with station.archive.database.read() as connection:
        return list(connection.execute(sa.select(tables.batch.c.state)).scalars())


def test_row_19_other_bytes_under_the_same_fields_are_kept_beside_the_first(make: Make) -> None:
    """Refetched, the service gives another copy: two versions, the first the oldest, with an entry in the journal."""
    station = make(FEW, wishes=REFETCH)
    settle(station)
    odd = station.simulator.ids()[1]
    first = entries(station)[odd].files
    station.simulator.set_phase(1, [odd], on=False)
    station.simulator.script("fetch", bad_zip("other-bytes", odd))
    relist(station)
    files = entries(station)[odd].files
    assert files[: len(first)] == first
    assert [file.type for file in files[len(first) :]] == ["FA"]
    assert happened(station, odd).count("document.bytes_changed") == 1
    assert_identical(
        station,
        replace(entries(station)[odd], files=first),
        station.simulator.true_document(odd).files,
        station.wishes["demo1"].file_types,
    )


def lying(station: Station, file: FileEntry) -> Path | None:
    """Where the bytes lie, if they lie in files."""
    return next(station.folder.glob(f"blobs/*/*/{file.sha256}"), None)


def rot(station: Station, file: FileEntry) -> None:
    """Other bytes at the end of a stored file."""
    if (path := lying(station, file)) is not None:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0xFF]))
        return
    chunk = tables.blob_chunk
    with station.archive.database.write() as connection:
        content: bytes = connection.execute(
            sa.select(chunk.c.content).where(chunk.c.sha256 == file.sha256, chunk.c.position == 0)
        ).scalar_one()
        spoilt = content[:-1] + bytes([content[-1] ^ 0xFF])
        connection.execute(sa.update(chunk).where(chunk.c.sha256 == file.sha256).values(content=spoilt))


def vanish(station: Station, file: FileEntry) -> None:
    """The stored file's bytes are gone."""
    if (path := lying(station, file)) is not None:
        path.unlink()
        return
    chunk = tables.blob_chunk
    with station.archive.database.write() as connection:
        connection.execute(sa.delete(chunk).where(chunk.c.sha256 == file.sha256))


@pytest.mark.parametrize("spoil", [rot, vanish])
@pytest.mark.parametrize("place", [0, 2])
def test_row_16_what_cannot_be_read_back_is_not_acknowledged_but_fetched_again(
    make: Make, spoil: object, place: int
) -> None:
    """NO-ACK-BEFORE-DURABLE: bytes rot between storing and acknowledging; nothing is told, all is mended."""
    station = make(FEW)
    until_stored(station)
    victim = entries(station)[station.simulator.ids()[1]].files[place]
    assert callable(spoil)
    spoil(station, victim)
    assert station.engine.step()
    assert marks(station) == []
    assert drain(station)
    assert_home(station)
    assert parcels(station) == 2


def test_row_16_an_account_that_tells_nothing_reads_back_all_the_same(make: Make) -> None:
    """`acknowledge = "none"` is no reason to believe a disk."""
    station = make(FEW, wishes={"demo1": Wish(acknowledge=AcknowledgeWith.NONE)})
    until_stored(station)
    rot(station, entries(station)[station.simulator.ids()[1]].files[0])
    drain(station)
    assert_home(station)
    assert parcels(station) == 2


def test_row_18_rotten_bytes_of_a_document_listed_again_are_fetched_again(make: Make) -> None:
    """Acknowledged long ago and listed again: it is read back before anything is told."""
    station = make(FEW)
    settle(station)
    odd = station.simulator.ids()[1]
    rot(station, entries(station)[odd].files[0])
    station.simulator.set_phase(1, [odd], on=False)
    relist(station)
    assert_home(station)
    assert parcels(station) == 2
