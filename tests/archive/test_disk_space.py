"""Disk space: every disk that is written to is checked, and the full one is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from easytracking_sync.archive.disk_space import DiskShortage, DiskSpace, FreeSpace
from easytracking_sync.archive.opening import open_archive
from easytracking_sync.archive.spool import FREE_CHECK_BYTES
from easytracking_sync.effects import Effects, LocalFiles
from easytracking_sync.errors import StorageFault


class Disks(LocalFiles):
    """Folders that are there, each on a disk with so much left; None where nothing may be asked."""

    def __init__(self, left: Mapping[Path, int | None]) -> None:
        self._left = left

    def free_bytes(self, folder: Path) -> int:
        if folder not in self._left:
            raise FileNotFoundError(folder)
        left = self._left[folder]
        if left is None:
            raise StorageFault(f"asking how full {folder} is")
        return left


SPOOL, ARCHIVE, BLOBS = Path("/fast/spool"), Path("/slow/archive"), Path("/slow/blobs")


def test_the_disk_with_the_least_left_is_the_one_that_counts() -> None:
    room = DiskSpace((SPOOL, ARCHIVE), Disks({SPOOL: 5000, ARCHIVE: 10}), 11)
    assert room.fullest() == FreeSpace(ARCHIVE, 10)
    assert room.shortage() == DiskShortage(ARCHIVE, 10, 11)
    assert DiskSpace((SPOOL, ARCHIVE), Disks({SPOOL: 5000, ARCHIVE: 10}), 10).shortage() is None


def test_a_folder_that_is_not_there_yet_lies_on_the_disk_of_what_is() -> None:
    room = DiskSpace((SPOOL, BLOBS), Disks({SPOOL: 5000, Path("/"): 10}), 11)
    assert room.shortage() == DiskShortage(BLOBS, 10, 11)


def test_a_disk_that_does_not_say_is_passed_over_by_who_looks_and_stops_who_would_reserve() -> None:
    room = DiskSpace((SPOOL, ARCHIVE), Disks({SPOOL: 5000, ARCHIVE: None}), 11)
    assert room.fullest() == FreeSpace(SPOOL, 5000)
    with pytest.raises(StorageFault, match="/slow/archive"):
        room.shortage()
    assert DiskSpace((ARCHIVE,), Disks({ARCHIVE: None}), 11).fullest() is None


def test_where_nothing_must_stay_free_no_disk_is_asked() -> None:
    assert DiskSpace((ARCHIVE,), Disks({ARCHIVE: None})).shortage() is None


@pytest.mark.parametrize("short", ["spool", "archive", "blobs"])
def test_an_archive_has_room_where_spool_database_and_blobs_have(tmp_path: Path, short: str) -> None:
    folders = {name: tmp_path / name for name in ("spool", "archive", "blobs")}
    disks = Disks({folder: 10 if name == short else 5000 for name, folder in folders.items()})
    url = f"sqlite:///{folders['archive']}/archive.db"
    archive = open_archive(
        url,
        folders["spool"],
        Effects(files=disks),
        owner="test",
        min_free_bytes=100,
        blobs_folder=folders["blobs"],
    )
    assert not archive.spool.has_space()
    assert archive.spool.disk_space.shortage() == DiskShortage(folders[short], 10, 100)


def test_a_parcel_under_way_is_broken_off_for_want_of_room_in_the_spool_alone(tmp_path: Path) -> None:
    """It may wait there until the archive's disk has room; broken off, the service would have to make it anew."""
    spool, elsewhere = tmp_path / "spool", tmp_path / "archive"
    disks = Disks({spool: 5000, elsewhere: 0})
    archive = open_archive(
        f"sqlite:///{elsewhere}/archive.db", spool, Effects(files=disks), owner="test", min_free_bytes=100
    )
    archive.spool.prepare()
    with archive.spool.receiving("1-a.zip") as sink:
        sink(bytes(FREE_CHECK_BYTES))
    assert archive.spool.holds("1-a.zip")
