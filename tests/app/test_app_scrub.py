"""The scrub: hashes every stored file, fetches damaged ones again, and detects a store that is not mounted."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from easytracking_sync.app import scrub as scrubbing
from easytracking_sync.app.scrub import ScrubOutcome, scrub
from easytracking_sync.archive import tables
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blob_move import copy_blobs
from easytracking_sync.archive.scrub import Scrubber
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageFault
from easytracking_sync.events import EventName
from easytracking_sync.terms import DocumentState

if TYPE_CHECKING:
    import pytest
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
builder, NOW = archive_builder.builder, archive_builder.NOW


class Noon:
    def now(self) -> Any:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def wait(self, wake: Any, seconds: float) -> bool:
        return True


class Notes(list[tuple[str, str]]):
    """An observer that remembers names and levels."""

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        self.append((name, level or name.level))


def run_scrub(builder: ArchiveBuilder, notes: Notes | None = None, *, refetch_all: bool = False) -> ScrubOutcome:
    observer = Notes() if notes is None else notes
    return scrub(builder.archive, None, clock=Noon(), observer=observer, refetch_all=refetch_all)


def rot(builder: ArchiveBuilder, row_ids: Sequence[int]) -> None:
    """Damage these stored files."""
    hashes = sa.select(tables.file.c.sha256).where(tables.file.c.document_id.in_(row_ids))
    with builder.archive.database.write() as connection:
        chunk = tables.blob_chunk
        connection.execute(sa.update(chunk).where(chunk.c.sha256.in_(hashes)).values(content=b"rotten"))


def fill(builder: ArchiveBuilder, count: int) -> list[int]:
    return [
        builder.document("acme", number, files={"FA": (f"{number}.xml", b"invoice %d" % number)})
        for number in range(1, count + 1)
    ]


def test_row_23_damaged_files_are_reported_and_fetched_again(builder: ArchiveBuilder) -> None:
    rows = fill(builder, 3)
    rot(builder, rows[:1])
    notes = Notes()
    outcome = run_scrub(builder, notes)
    assert (outcome.files, outcome.rotten, outcome.refetched, outcome.lost) == (3, 1, 1, 0)
    assert notes == [("file.rotten", "error")]
    assert builder.value(tables.document.c.state, rows[0]) == DocumentState.DISCOVERED
    assert [one.name for one in builder.archive.document_search.history(outcome_entry(builder))] == [
        "document.rotten"
    ]
    again = run_scrub(builder)
    assert (again.rotten, again.refetched) == (1, 0)


def test_damaged_files_count_as_absent_once_they_are_requested_again(builder: ArchiveBuilder) -> None:
    """NO-LOSS: a parcel that lacks a damaged file must not count it as present."""
    (row,) = fill(builder, 1)
    rot(builder, [row])
    run_scrub(builder)
    ((file,),) = builder.archive.document_files.of([row]).values()
    assert builder.value(tables.document.c.version, row) > file.version


def outcome_entry(builder: ArchiveBuilder) -> Any:
    return builder.archive.document_search.find("acme/1")


def test_a_damaged_older_version_is_lost_and_not_fetched_again(builder: ArchiveBuilder) -> None:
    """The service gives only the current version, so fetching again cannot restore an older one."""
    (row,) = fill(builder, 1)
    rot(builder, [row])
    builder.update(tables.document, row, version=2)
    outcome = run_scrub(builder)
    assert (outcome.rotten, outcome.lost, outcome.refetched) == (1, 1, 0)
    assert builder.value(tables.document.c.state, row) == DocumentState.ACKNOWLEDGED


def test_nothing_is_fetched_again_if_the_store_is_not_mounted(builder: ArchiveBuilder) -> None:
    rows = fill(builder, scrubbing.SUSPICIOUS)
    rot(builder, rows)
    notes = Notes()
    outcome = run_scrub(builder, notes)
    assert (outcome.suspicious, outcome.refetched) == (True, 0)
    assert notes == [("storage.gone", "error")]
    assert builder.value(tables.document.c.state, rows[0]) == DocumentState.ACKNOWLEDGED
    assert run_scrub(builder, refetch_all=True).refetched == len(rows)


def test_damaged_files_are_requested_again_page_by_page(
    builder: ArchiveBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "HELD_BACK", 2)
    rows = fill(builder, 8)
    rot(builder, rows[:4])
    outcome = run_scrub(builder)
    assert (outcome.rotten, outcome.refetched, len(outcome.shown)) == (4, 4, 2)


class Sick(LocalFiles):
    """A disk with one bad sector."""

    def __init__(self, bad: str) -> None:
        self._bad = bad

    def open(self, path: Path) -> Any:
        if path.name == self._bad:
            raise StorageFault("storage failed: Input/output error")
        return super().open(path)


def test_row_23_a_bad_sector_hides_no_other_damage(builder: ArchiveBuilder, tmp_path: Path) -> None:
    fill(builder, 3)
    good = FileBlobs(tmp_path / "blobs", LocalFiles(), "one")
    copy_blobs(builder.archive.database, builder.archive.blobs, good, has_room=lambda _: True)
    bad = builder.archive.document_search.find("acme/2").files[0].sha256
    sick = FileBlobs(tmp_path / "blobs", Sick(bad), "one")
    (page,) = Scrubber(builder.archive.database, sick).scrub()
    assert [one.doc_id for one in page.rotten] == [2]


def test_unreferenced_blobs_are_counted_in_both_stores(builder: ArchiveBuilder, tmp_path: Path) -> None:
    rows = fill(builder, 2)
    files = FileBlobs(tmp_path / "blobs", LocalFiles(), "one")
    copy_blobs(builder.archive.database, builder.archive.blobs, files, has_room=lambda _: True)
    with builder.archive.database.write() as connection:
        connection.execute(sa.delete(tables.file).where(tables.file.c.document_id == rows[0]))
    assert builder.archive.scrubber.unreferenced() == 1
    assert Scrubber(builder.archive.database, files).unreferenced() == 1
