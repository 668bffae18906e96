"""Copies a SQLite archive as it is at one instant, also while the service runs."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from easytracking_sync.effects import Files
from easytracking_sync.errors import StorageFault, UsageError

PART = ".part"


def back_up(path: Path, target: Path, files: Files) -> int:
    """Copy the SQLite database `path` to the new file `target` and check the copy; returns its size in bytes.

    Open transactions are not copied. Unless the journal is a WAL, commits wait while the database is read. A failed
    copy leaves no file. Raises UsageError if `target` exists, StorageFault if it cannot be written or the archive
    cannot be read.
    """
    if target.exists():
        raise UsageError(f"{target} exists already; give a new file name")
    size, free = files.size(path) or 0, files.free_bytes(target.parent)
    if free < size:
        raise StorageFault(
            f"not enough free space in {target.parent} for a copy of {size} bytes: {free} bytes are free"
        )
    part = target.with_name(f"{target.name}{PART}")
    files.create(part).close()  # readable only by its owner from the start
    try:
        copy_database_file(path, part)
        with part.open("r+b") as copy:
            files.sync(copy)
        files.rename(part, target)
        files.sync_folder(target.parent)
    finally:
        files.remove(part)
    return files.size(target) or 0


def copy_database_file(path: Path, target: Path) -> None:
    """Copy a SQLite database over the existing file `target` and check it; StorageFault if that fails."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.execute("PRAGMA busy_timeout = 60000")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # a single file, whatever the archive's journal mode
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StorageFault(f"cannot copy {path} to {target}: {error}") from error
    if found != "ok":
        raise StorageFault(f"the copy of {path} is damaged ({found}); the archive may be too: check the disk")
