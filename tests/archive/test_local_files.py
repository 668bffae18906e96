"""The real file layer: it syncs what it promises to sync, and reports what the disk refuses."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageBroken, StorageFault

PROC = Path("/proc")
FULL = Path("/dev/full")


def test_row_12_a_file_that_cannot_be_synced_is_a_broken_promise() -> None:
    """FAIL-STOP: a pipe takes every byte and refuses fsync, so a layer that did not call it would not notice."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as file:
        file.write(b"bytes")
        with pytest.raises(StorageBroken, match="cannot be trusted"):
            LocalFiles().sync(file)


@pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc, a folder that refuses fsync")
def test_row_12_a_folder_that_cannot_be_synced_is_a_broken_promise() -> None:
    """FAIL-STOP."""
    with pytest.raises(StorageBroken, match="/proc"):
        LocalFiles().sync_folder(PROC)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_row_12_what_is_still_held_back_when_a_file_is_synced_may_meet_a_full_disk() -> None:
    file = FULL.open("wb")
    file.write(b"bytes")
    with pytest.raises(StorageFault, match="No space left"):
        LocalFiles().sync(file)
    with pytest.raises(OSError, match="No space left"):
        file.close()


def test_a_new_file_is_its_owners_alone_and_no_link_is_followed(tmp_path: Path) -> None:
    files = LocalFiles()
    files.create(tmp_path / "new").close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFault):
        files.create(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


REFUSED: dict[str, Callable[[LocalFiles, Path], object]] = {
    "make_folder": lambda files, path: files.make_folder(path / "folder"),
    "create": lambda files, path: files.create(path / "file"),
    "rename": lambda files, path: files.rename(path.parent / "other", path / "file"),
    "sync_folder": lambda files, path: files.sync_folder(path),
    "open": lambda files, path: files.open(path / "file"),
    "names": lambda files, path: files.names(path),
    "remove": lambda files, path: files.remove(path / "file"),
    "free_bytes": lambda files, path: files.free_bytes(path / "file"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_row_12_whatever_the_system_refuses_is_a_storage_fault(tmp_path: Path, call: str) -> None:
    """Here: a file stands where a folder is wanted."""
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFault, match=r"Not a directory|File exists"):
        REFUSED[call](LocalFiles(), tmp_path / "file")
