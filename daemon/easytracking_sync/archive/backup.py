"""A copy of a SQLite archive as it is at one instant, made beside whoever works on it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from easytracking_sync.effects import Files
from easytracking_sync.errors import StorageFault, UsageError

PART = ".part"


def back_up(path: Path, target: Path, files: Files) -> int:
    """Copy the SQLite database `path` to the new file `target` and check the copy; its bytes.

    A transaction that is open meanwhile is not in it. While it is read, whoever works on the archive waits with its
    commits where the journal is not a WAL. A copy that broke off leaves nothing under its name. Raises UsageError
    where `target` exists, StorageFault where it cannot be written or the archive cannot be read.
    """
    if target.exists():
        raise UsageError(f"{target} exists already; a copy never overwrites anything")
    size, free = files.size(path) or 0, files.free_bytes(target.parent)
    if free < size:
        raise StorageFault(f"no room for a copy of {size} bytes in {target.parent}: {free} bytes are free")
    part = target.with_name(f"{target.name}{PART}")
    files.create(part).close()  # private from its first byte
    try:
        _copy(path, part)
        with part.open("r+b") as copy:
            files.sync(copy)
        files.rename(part, target)
        files.sync_folder(target.parent)
    finally:
        files.remove(part)
    return files.size(target) or 0


def _copy(path: Path, part: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as source,
            contextlib.closing(sqlite3.connect(part)) as copy,
        ):
            source.execute("PRAGMA busy_timeout = 60000")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whatever the archive's journal
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StorageFault(f"cannot copy {path} to {part}: {error}") from error
    if found != "ok":
        raise StorageFault(f"the copy of {path} is not whole ({found}); the archive may be damaged: see to the disk")
