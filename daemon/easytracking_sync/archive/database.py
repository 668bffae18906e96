"""One database, two ways in: `read()` and `write()`. What a driver raises is translated here, once.

SQLite: `BEGIN IMMEDIATE` for every writer, journal DELETE with synchronous EXTRA (a commit survives a power cut),
or WAL with FULL where the linked library carries the WAL-reset fix.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from easytracking_sync.errors import (
    DatabaseUnavailable,
    StorageBroken,
    StorageFault,
    SyncError,
    UsageError,
)

BUSY_SECONDS = 30
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"}
)
WAL_RESET_FIXED = {(3, 50): 7, (3, 44): 6}
"""Patch releases of older lines that carry the fix; 3.51.3 and later have it all."""


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite cannot lose a commit by the WAL-reset bug."""
    if version >= (3, 51, 3):
        return True
    patch = WAL_RESET_FIXED.get(version[:2])
    return patch is not None and version[2] >= patch


class Database:
    """The archive's database.

    `write()` runs one transaction, alone in this process on SQLite; it either commits as its block ends or leaves
    nothing. `read()` sees one committed state per statement and never blocks a writer for long.

    Both raise DatabaseUnavailable (wait), StorageFault (disk full) or StorageBroken (stop).
    """

    def __init__(self, url: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._busy_seconds = busy_seconds
        self._writing = threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        if self.is_sqlite:
            refuse_network_file_system(sqlite_path(self.url))
        self._engine = sa.create_engine(
            self.url,
            hide_parameters=True,
            pool_pre_ping=not self.is_sqlite,
            connect_args={"timeout": busy_seconds, "check_same_thread": False} if self.is_sqlite else {},
        )
        if self.is_sqlite:
            sa.event.listen(self._engine, "connect", self._prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database; None elsewhere."""
        return sqlite_path(self.url) if self.is_sqlite else None

    def exists(self) -> bool:
        """Whether there is anything to open (a database server always counts)."""
        return self.path is None or self.path.exists()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction; committed when the block ends, rolled back when it raises."""
        with self._writing, translated(), self._engine.connect() as connection:
            connection.execution_options(write=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from; keep it short."""
        with translated(), self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Give all connections back; the object can be used again afterwards."""
        self._engine.dispose()

    def _prepare_sqlite(self, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        del record
        connection.isolation_level = None  # the driver's own transactions lose updates
        journal, synchronous = ("WAL", "FULL") if wal_is_safe(sqlite3.sqlite_version_info) else ("DELETE", "EXTRA")
        connection.execute(f"PRAGMA busy_timeout = {int(self._busy_seconds * 1000)}")
        for pragma in (f"journal_mode = {journal}", f"synchronous = {synchronous}", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA trusted_schema = OFF")


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def sqlite_path(url: URL) -> Path:
    """The file a SQLite URL points at, links followed."""
    if not url.database:
        raise UsageError("database.url names no file; write sqlite:////absolute/path/archive.db")
    return Path(url.database).resolve()  # a link must lead past neither the lock nor the check of the file system


def prepare_private_file(path: Path) -> None:
    """The database's folder (0700) and file (0600) exist afterwards; repeating is safe."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageFault(f"cannot create the database {path}: {error.strerror}") from error


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """SQLite's locks do not hold on network file systems: UsageError there."""
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
            f"database.url lies on a network file system ({kind} at {best}), where SQLite's locks do not hold; "
            "put it on a local disk, or use PostgreSQL"
        )


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy and the drivers raise into what the caller must do."""
    try:
        yield
    except SyncError:
        raise
    except DBAPIError as error:
        raise _translation(error) from error
    except sa.exc.TimeoutError as error:
        raise DatabaseUnavailable("the database has no connection free") from error


def _translation(error: DBAPIError) -> SyncError | SQLAlchemyError:
    said = str(error.orig)
    if "disk is full" in said or "No space left" in said:
        return StorageFault("the disk that holds the database is full; free some space")
    if "disk I/O error" in said or "malformed" in said or "not a database" in said:
        return StorageBroken(f"the database cannot be trusted ({said}); see to the disk, then restore or restart")
    if "readonly" in said or "unable to open" in said:
        return StorageFault(f"the database cannot be written ({said}); check its path and permissions")
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        if "no such" in said or "syntax error" in said:
            return error
        return DatabaseUnavailable(f"the database did not answer ({said.splitlines()[0] if said else 'no reason'})")
    return error
