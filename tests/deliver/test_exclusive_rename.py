"""A rename never replaces a file, whatever the file system supports."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from easytracking_sync.exclusive_rename import WAYS, Way, rename_exclusively


def refusing(number: int) -> Way:
    def way(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    return way


@pytest.mark.parametrize("way", WAYS)
def test_each_way_moves_a_file_to_a_free_name_and_leaves_an_existing_one(tmp_path: Path, way: Way) -> None:
    one, two, target = (tmp_path / name for name in ("one", "two", "target"))
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    assert rename_exclusively(one, target, (way,))
    assert not one.exists()
    assert not rename_exclusively(two, target, (way,))
    assert (target.read_bytes(), two.read_bytes()) == (b"1", b"2")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP])
def test_what_a_file_system_does_not_support_is_done_in_the_next_way(tmp_path: Path, number: int) -> None:
    """CIFS has no hard links; NFS has no rename without replacing."""
    (tmp_path / "one").write_bytes(b"1")
    assert rename_exclusively(tmp_path / "one", tmp_path / "target", (refusing(number), WAYS[-1]))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_an_error_of_the_disk_is_not_taken_for_a_missing_feature(tmp_path: Path, number: int) -> None:
    (tmp_path / "one").write_bytes(b"1")
    with pytest.raises(OSError, match=r"."):
        rename_exclusively(tmp_path / "one", tmp_path / "target", (refusing(number), *WAYS))
    assert (tmp_path / "one").exists()


def test_the_last_way_reports_its_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not permitted"):
        rename_exclusively(tmp_path / "one", tmp_path / "target", (refusing(errno.EPERM),))
