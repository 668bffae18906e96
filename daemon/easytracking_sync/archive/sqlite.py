"""SQLite: required settings, its file, and what its errors mean for the caller."""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path

from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from easytracking_sync.effects import LocalFiles, make_durable_folder
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, SyncError, UsageError

SYNCHRONOUS_NAMES = {1: "normal", 2: "full", 3: "extra"}
"""SQLite's values of `PRAGMA synchronous`."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"}
)
LEAST_SYNCHRONOUS = {"delete": 3, "wal": 2}
"""By journal mode: EXTRA, so that a removed journal stays removed; FULL, so that the last commit is on disk."""

WAL_RESET_FIXED = {(3, 50): 7, (3, 44): 6}
"""Patch releases of older versions that have the fix; so do 3.51.3 and all later versions."""


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite version has the fix for the WAL-reset bug, which can lose a commit."""
    if version >= (3, 51, 3):
        return True
    patch = WAL_RESET_FIXED.get(version[:2])
    return patch is not None and version[2] >= patch


def prepare(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Set up a new connection; StorageBroken unless its commits survive a power cut."""
    connection.isolation_level = None  # the driver's implicit transactions lose updates
    journal, synchronous = ("WAL", "FULL") if wal_is_safe(sqlite3.sqlite_version_info) else ("DELETE", "EXTRA")
    connection.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
    for pragma in (f"journal_mode = {journal}", f"synchronous = {synchronous}", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA trusted_schema = OFF")
    require_durability(connection)


def require_durability(connection: sqlite3.Connection) -> None:
    """StorageBroken unless a commit survives a power cut: SQLite may grant less than was requested."""
    journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    synchronous = int(connection.execute("PRAGMA synchronous").fetchone()[0])
    if synchronous < LEAST_SYNCHRONOUS.get(journal, math.inf):
        raise StorageBroken(
            f"SQLite could lose commits at a power cut (journal_mode {journal}, synchronous {synchronous}); "
            "move the database to another file system, or use PostgreSQL"
        )


def begin(connection: Connection) -> None:
    """Open a transaction: an immediate one for a writer, so that it never has to upgrade its lock."""
    immediate = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def file_of(url: URL) -> Path:
    """The file of a SQLite URL, with links resolved."""
    if not url.database:
        raise UsageError("database.url has no file; write sqlite:////absolute/path/archive.db")
    return Path(url.database).resolve()  # a link must not bypass the lock or the check of the file system


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFault(f"cannot look at the database {path}: {error.strerror}") from error
    return found.st_dev, found.st_ino


def prepare_private_file(path: Path) -> None:
    """Create the database's folder (mode 0700) and file (0600) if they do not exist; repeating is safe."""
    try:
        make_durable_folder(LocalFiles(), path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageFault(f"cannot create the database {path}: {error.strerror}") from error


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """UsageError if the file is on a network file system, where SQLite's locks do not work."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    best, kind = Path("/"), ""
    for line in lines:
        parts = line.split()
        point = Path(parts[1].replace("\\040", " ")) if len(parts) > 2 else Path("/nowhere")
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, parts[2]
    if kind in NETWORK_FILE_SYSTEMS:
        raise UsageError(
            f"database.url is on a network file system ({kind} at {best}), where SQLite's locks do not work; "
            "move it to a local disk, or use PostgreSQL"
        )


def meaning(error: DBAPIError, file: str | None) -> SyncError | SQLAlchemyError:
    """The error that says what to do about a driver's error; the same error for a bug."""
    said = str(error.orig)
    if "disk is full" in said or "No space left" in said:
        return StorageFault("the disk of the database is full; free some space")
    if "disk I/O error" in said or "malformed" in said or "not a database" in said:
        advice = "check database.url and the disk, then restore a backup or restart"
        return StorageBroken(f"the database {file} is damaged or unreadable ({said}); {advice}")
    if "readonly" in said or "unable to open" in said:
        return StorageFault(f"the database {file} cannot be written ({said}); check its path and permissions")
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        if "no such" in said or "syntax error" in said:
            return error
        return DatabaseUnavailable(f"the database does not answer ({said.splitlines()[0] if said else 'no reason'})")
    return error
