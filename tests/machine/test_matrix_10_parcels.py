"""Rows 10 and 11 of the fault matrix: parcels that are not what was asked for, and parcels that are hostile."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import ROME, SMALL, Harness, Wish, cycle_of, drain, list_through, settle

from easytracking_simulator import Fault, Faults, Kind, bad_zip
from easytracking_sync.archive import tables
from easytracking_sync.machine.engine import Bounds
from easytracking_sync.machine.listing import Scope
from easytracking_sync.machine.policy import Policy, local_now
from easytracking_sync.remote import ParcelLimits
from easytracking_sync.terms import DocumentState, FileType

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "zips"
MEBIBYTE = 1 << 20
FEW = replace(SMALL, documents=3)

HARMLESS = (
    *("extra", "twice", "index-bom", "index-upper", "index-text-ids", "index-odd-rows", "folder", "backslashes"),
    "stray",
)
SPOILS_ONE = ("missing", "absent", "bad-crc", "symlink", "unindexed", "empty-name")
SPOILS_ALL = (
    "other-batch",
    "nothing",
    "no-index",
    "index-empty",
    "index-cut",
    "overlap",
    "html-before",
    "concatenated",
)
ODD_NAMES = (
    *("traversal", "windows-traversal", "absolute", "drive", "control-name", "long-name", "dots-name"),
    "unicode-name",
)


def fetched(harness: Harness) -> list[tuple[int, ...]]:
    """The ids of every parcel the service gave, in order."""
    return [called.ids for called in harness.simulator.journal("fetch") if called.status == 200]


def inspected(harness: Harness) -> list[Path]:
    """The parcels kept for a person to look at."""
    return sorted((harness.folder / "spool" / "inspection").iterdir())


def add(harness: Harness, count: int = 3) -> list[int]:
    return [harness.simulator.add_document("demo1", received_at=harness.clock.now()) for _ in range(count)]


def arrive(harness: Harness) -> None:
    """A look at the newest window, and all that it sets going."""
    local = local_now(harness.clock.now(), ROME)
    scope = Scope.between(local - timedelta(days=1), local + timedelta(days=1), marked_too=False)
    list_through(harness, cycle_of(harness, harness.accounts["demo1"], scope))
    drain(harness)
    assert sum(harness.archive.documents.waiting(harness.account_ids).values()) == 0


def events(harness: Harness, name: str) -> list[dict[str, object]]:
    """The journal's details under this name."""
    query = sa.select(tables.event.c.detail).where(tables.event.c.name == name).order_by(tables.event.c.id)
    with harness.archive.database.read() as connection:
        return [json.loads(detail) for detail in connection.execute(query).scalars()]


def test_row_10_harmless_oddities_need_no_second_parcel(make: Make) -> None:
    """Strangers, rows twice, a BOM, folders, text for ids, odd rows: what was asked for is taken at once."""
    harness = make(FEW)
    settle(harness)
    for variety in HARMLESS:
        before = len(fetched(harness))
        added = add(harness)
        harness.simulator.script("fetch", bad_zip(variety))
        arrive(harness)
        assert fetched(harness)[before:] == [tuple(added)], variety
    assert_archived(harness)


def test_row_10_one_document_s_fault_costs_the_others_nothing(make: Make) -> None:
    """Missing, absent, damaged, encrypted, a link: the others are stored from that very parcel, it from the next."""
    harness = make(FEW)
    settle(harness)
    for variety in SPOILS_ONE:
        before = len(fetched(harness))
        added = add(harness)
        harness.simulator.script("fetch", bad_zip(variety, added[1]))
        arrive(harness)
        assert fetched(harness)[before:] == [tuple(added), (added[1],)], variety
    assert_archived(harness)


def test_row_10_11_a_bad_parcel_acknowledges_nothing(make: Make) -> None:
    """Another batch's, empty, without or with half an index, overlapping, with a page or a zip in front."""
    harness = make(FEW)
    settle(harness)
    for variety in SPOILS_ALL:
        added = add(harness)
        marks, before = harness.simulator.count("acknowledge"), len(fetched(harness))
        harness.simulator.script("fetch", bad_zip(variety))
        arrive(harness)
        assert fetched(harness)[before] == tuple(added), variety
        assert [doc_id for ids in fetched(harness)[before + 1 :] for doc_id in ids] == added, variety
        assert harness.simulator.count("acknowledge") - marks <= 3
    assert_archived(harness)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(troubles=st.lists(st.sampled_from([*HARMLESS, *SPOILS_ONE, *SPOILS_ALL]), min_size=1, max_size=3))
def test_row_10_after_any_sequence_of_odd_parcels_everything_is_archived(make: Make, troubles: list[str]) -> None:
    """ACK-SUBSET: store what was asked for and is whole, the rest back to the pool; never acknowledge more."""
    harness = make(FEW)
    for variety in troubles:
        harness.simulator.script("fetch", bad_zip(variety))
    assert settle(harness).waiting == 0
    assert_archived(harness)


def test_row_10_documents_whose_names_collide_are_fetched_apart(make: Make) -> None:
    """Who owns which cannot be known: the others go on, those two are fetched alone, nobody has an attempt."""
    harness = make(FEW)
    ids = harness.simulator.ids()
    harness.simulator.faults = Faults(spoilt={ids[0]: bad_zip("same-name", ids[0])})
    assert settle(harness).waiting == 0
    assert fetched(harness) == [ids, (ids[0],), (ids[1],)]
    assert_archived(harness)
    assert {entry.attempts for entry in entries(harness).values()} == {0}
    assert len(harness.observer.named("parcel.names_collided")) == 1


def test_row_10_a_document_whose_own_files_share_a_name_keeps_them_all(make: Make) -> None:
    """Which is which is the index's order: each under its ordinal, with an alarm; nothing is overwritten."""
    harness = make(FEW)
    odd = harness.simulator.ids()[1]
    harness.simulator.faults = Faults(spoilt={odd: bad_zip("same-name-within", odd)})
    assert settle(harness).waiting == 0
    files = entries(harness)[odd].files
    truth = harness.simulator.true_document(odd).files
    assert [file.ordinal for file in files] == list(range(3))
    assert len({file.name for file in files}) == 1
    assert {(file.type, file.sha256) for file in files} == {(f.type, f.sha256) for f in truth if f.type != "FI"}
    assert states(harness)[odd] is DocumentState.ACKNOWLEDGED
    assert [facts["count"] for facts in harness.observer.named("parcel.names_collided")] == [1]


def test_row_10_missing_types_are_asked_for_three_times_and_then_recorded(make: Make) -> None:
    """With FA there, it is archived and acknowledged; what is missing is shown as incomplete; no attempt counts."""
    harness = make(FEW)
    poor = harness.simulator.add_document("demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("a_MT.xml", b"<m/>")})
    assert settle(harness).waiting == 0
    entry = entries(harness)[poor]
    assert [poor in ids for ids in fetched(harness)] == [True, True, True]
    assert (entry.state, entry.missing_types, entry.attempts) == (DocumentState.ACKNOWLEDGED, ("FU",), 0)
    assert {file.type for file in entry.files} == {"FA", "MT"}
    assert harness.archive.account_statuses.overviews()[0].incomplete == 1
    missing = [event["missing"] for event in events(harness, "document.stored") if "missing" in event]
    assert missing == ["FU"]
    others = set(harness.simulator.ids()) - {poor}
    assert {state for doc_id, state in states(harness).items() if doc_id in others} == {DocumentState.ACKNOWLEDGED}


def test_row_10_a_type_that_comes_later_completes_the_document(make: Make) -> None:
    """FU is not ready yet: asked again, it is there; nothing is stored twice."""
    harness = make(FEW)
    late = harness.simulator.ids()[0]
    whole = {file.type: (file.name, file.body) for file in harness.simulator.files(late) if file.type != "FI"}
    harness.simulator.change_document(late, {kind: whole[kind] for kind in ("FA", "MT")})
    settle(harness, after_step=lambda: _once_fetched(harness, late, whole))
    assert_archived(harness)
    assert entries(harness)[late].missing_types == ()
    assert [late in ids for ids in fetched(harness)] == [True, True]


def _once_fetched(harness: Harness, doc_id: int, files: dict[str, tuple[str, bytes]]) -> None:
    if len(fetched(harness)) == 1 and len(harness.simulator.files(doc_id)) == 2:
        harness.simulator.change_document(doc_id, files)


def test_row_10_the_intermediary_s_copy_is_kept_where_there_is_one_and_absent_silently_elsewhere(make: Make) -> None:
    """FI wanted: asked for by type, never waited for, never missing."""
    harness = make(
        replace(SMALL, documents=10, intermediary_share=0.5), wishes={"demo1": Wish(file_types=tuple(FileType))}
    )
    assert settle(harness).waiting == 0
    assert_archived(harness)
    with_copy = {e.doc_id for e in entries(harness).values() if "FI" in {file.type for file in e.files}}
    assert 0 < len(with_copy) < 10
    assert len(fetched(harness)) == 1
    assert harness.simulator.count("jobs-select-type", status=202) == 1
    assert all(entry.missing_types == () for entry in entries(harness).values())


def test_row_10_without_fa_the_first_type_is_the_original(make: Make) -> None:
    """An account that wants metadata only is served, and acknowledged, by it."""
    wish = Wish(file_types=(FileType.MT,))
    harness = make(FEW, wishes={"demo1": wish})
    assert settle(harness).waiting == 0
    assert_archived(harness)


@pytest.mark.parametrize("variety", ["bomb", "lying-size"])
def test_row_11_a_file_that_inflates_beyond_the_limit_is_refused_and_the_others_are_archived(
    make: Make, variety: str
) -> None:
    """`max_file_bytes`, whatever size the zip claims: the others are home from that parcel, this one is shown."""
    bounds = Bounds(parcel=ParcelLimits(most_file_bytes=2 * MEBIBYTE))
    harness = make(FEW, bounds=bounds, policy=Policy(max_attempts=2))
    bomb = harness.simulator.ids()[1]
    harness.simulator.faults = Faults(spoilt={bomb: bad_zip(variety, bomb, size=8 * MEBIBYTE)})
    assert settle(harness).waiting == 0
    assert_archived(harness, but={bomb})
    entry = entries(harness)[bomb]
    assert (entry.state, {file.type for file in entry.files}) == (DocumentState.QUARANTINED, {"MT", "FU"})
    assert str(entry.reason).startswith("FA ")
    assert fetched(harness) == [harness.simulator.ids(), (bomb,)]
    assert inspected(harness)


def test_row_11_names_that_would_lead_elsewhere_are_kept_as_text(make: Make) -> None:
    """`../`, absolute paths, drives, control signs, 300 letters: stored as the service gave them, written nowhere."""
    harness = make(FEW)
    settle(harness)
    for variety in ODD_NAMES:
        (odd,) = add(harness, 1)
        harness.simulator.script("fetch", bad_zip(variety, odd))
        arrive(harness)
        truth = {(f.type, f.sha256): f.name for f in harness.simulator.true_document(odd).files if f.type != "FI"}
        files = entries(harness)[odd].files
        assert {(file.type, file.sha256) for file in files} == set(truth), variety
        assert any(file.name != truth[file.type, file.sha256] for file in files), variety
    within = {path.name for path in harness.folder.iterdir()}
    assert within <= {"archive.db", "archive.db-wal", "archive.db-shm", "archive.db-journal", "spool", "blobs"}
    assert list((harness.folder / "spool").glob("*.zip*")) == []


def test_row_11_a_name_with_nul_is_told_from_one_without(make: Make) -> None:
    """It comes home with a sign in the NUL's place."""
    harness = make(FEW)
    odd = harness.simulator.ids()[0]
    harness.simulator.script("fetch", bad_zip("nul-name", odd))
    assert settle(harness).waiting == 0
    assert {file.sha256 for file in entries(harness)[odd].files} == hashes(harness, odd)
    assert not any("\x00" in file.name for file in entries(harness)[odd].files)


def hashes(harness: Harness, doc_id: int) -> set[str]:
    return {file.sha256 for file in harness.simulator.true_document(doc_id).files if file.type != "FI"}


def test_row_11_a_bad_parcel_is_kept_for_inspection_byte_for_byte(make: Make) -> None:
    """A person can look at what came."""
    harness = make(FEW)
    body = b"PK\x05\x06 this is not a zip"
    harness.simulator.script("fetch", Fault(kind=Kind.BODY, body=body))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert [path.read_bytes() for path in inspected(harness)] == [body]


def test_row_11_garbage_is_refused_as_a_parcel(make: Make) -> None:
    """Random bytes with the right status and type."""
    harness = make(FEW)
    harness.simulator.script("fetch", Fault(kind=Kind.GARBAGE), times=2)
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert len(harness.observer.named("batch.lost")) == 2


def test_row_11_no_zip_of_the_corpus_is_taken_for_a_parcel(make: Make) -> None:
    """Other people's broken and hostile zips: refused cleanly, nothing acknowledged, then everything comes home."""
    zips = sorted(CORPUS.glob("*"))[::6] if CORPUS.is_dir() else []  # all of them are in tests/remote
    if not zips:
        pytest.skip("the shared corpus is not beside the repository")
    patient = Policy(most_losses=1000, max_attempts=1000, retry_base_seconds=0.001)
    harness = make(replace(SMALL, documents=1), policy=patient)
    for path in zips:
        harness.simulator.script("fetch", Fault(kind=Kind.BODY, body=path.read_bytes()))

    def nothing_yet() -> None:
        assert not (harness.simulator.scripted() and harness.simulator.count("acknowledge"))

    assert settle(harness, after_step=nothing_yet).waiting == 0
    assert harness.simulator.scripted() == 0
    assert_archived(harness)
    known = {"archive.db", "archive.db-wal", "archive.db-shm", "archive.db-journal"}
    assert written(harness.folder) <= known | {harness.archive.generation.path.name}


def written(folder: Path) -> set[str]:
    """Every file below the harness's folder, apart from those under our own names: for inspection, and blobs."""
    found: Iterable[Path] = (path for path in folder.rglob("*") if path.is_file())
    blobs = folder / "blobs"
    return {path.name for path in found if path.parent.name != "inspection" and not is_blob(path, blobs)}


def is_blob(path: Path, blobs: Path) -> bool:
    return path.is_relative_to(blobs) and len(path.name) == 64 and path.name.startswith(path.parent.parent.name)
