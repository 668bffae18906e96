"""The database: transactions through `read()` and `write()`, and the translation of drivers' errors.

SQLite: `BEGIN IMMEDIATE` for every writer; journal DELETE with synchronous EXTRA (a commit survives a power cut),
or WAL with FULL if the linked library has the WAL-reset fix. PostgreSQL: READ COMMITTED, limits for every
transaction, and no connection to a server that could lose commits at a power cut (`archive.postgresql`).
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from easytracking_sync.archive import journal, postgresql
from easytracking_sync.effects import LocalFiles, make_durable_folder
from easytracking_sync.errors import (
    DatabaseUnavailable,
    StorageBroken,
    StorageFault,
    SyncError,
    UsageError,
)

BUSY_SECONDS = 30

IDS_AT_ONCE = 500
"""The most ids in one statement; both databases accept this many."""

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


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What `check` reports about the database."""

    engine: str
    version: str
    journal: str | None  # SQLite: the journal mode and the synchronous setting


class Database:
    """The archive's database.

    `write()` runs one transaction; on SQLite, one at a time in this process. It commits at the end of its block or
    changes nothing. If the commit itself raised DatabaseUnavailable, read to find out which. `read()` sees one
    committed state per statement and never blocks a writer for long.

    Both raise DatabaseUnavailable (wait), StorageFault (disk full), StorageBroken or UsageError (stop).
    At most `connections` to a PostgreSQL server are open at a time.
    """

    def __init__(self, url: str, *, busy_seconds: float = BUSY_SECONDS, connections: int = 16) -> None:
        self.url = _parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._busy_seconds = busy_seconds
        self._writing = threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        self._opened: tuple[int, int] | None = None
        self._engine = self._sqlite_engine() if self.is_sqlite else self._postgresql_engine(connections)

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database; None for PostgreSQL."""
        return sqlite_path(self.url) if self.is_sqlite else None

    def exists(self) -> bool:
        """Whether the SQLite file exists; always True for PostgreSQL."""
        return self.path is None or self.path.exists()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back if it raises."""
        with self._writing, self._translated(), self._engine.connect() as connection:
            connection.execution_options(write=True)
            with connection.begin(), journal.collected(connection):
                yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; keep the block short."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    def pages(self, query: sa.Select[Any], *key: sa.ColumnElement[Any], size: int) -> Iterator[Sequence[sa.Row[Any]]]:
        """The rows of a query in the order of its unique key, `size` at a time; no connection is held between pages.

        The key's columns must be selected under their own names.
        """
        query = query.order_by(*key).limit(size)
        page = query
        while True:
            with self.read() as connection:
                rows = connection.execute(page).all()
            if not rows:
                return
            yield rows
            last = [sa.literal(getattr(rows[-1], str(column.key)), column.type) for column in key]
            page = query.where(key[0] > last[0] if len(key) == 1 else sa.tuple_(*key) > sa.tuple_(*last))

    def facts(self) -> DatabaseFacts:
        """What the database reports about itself."""
        with self.read() as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
            engine = connection.dialect.name
            journal = None
            if self.is_sqlite:
                mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
                synchronous = SYNCHRONOUS_NAMES.get(
                    connection.exec_driver_sql("PRAGMA synchronous").scalar_one(), "off"
                )
                journal = f"{mode}, synchronous {synchronous}"
        return DatabaseFacts(engine, version, journal)

    def require_same_file(self) -> None:
        """StorageBroken if the SQLite file was replaced or removed since it was first opened.

        Open connections continue with the old file, and what they commit there is lost.
        """
        if self.path is None or self._opened is None:
            return
        if file_identity(self.path) != self._opened:
            raise StorageBroken(
                f"the database {self.path} was replaced or removed while the program used it; restart the program"
            )

    def close(self) -> None:
        """Close all connections; the object can be used again afterwards."""
        self._engine.dispose()

    def _sqlite_engine(self) -> Engine:
        refuse_network_file_system(sqlite_path(self.url))
        arguments = {"timeout": self._busy_seconds, "check_same_thread": False}
        engine = sa.create_engine(self.url, hide_parameters=True, connect_args=arguments)
        sa.event.listen(engine, "connect", self._prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql_engine(self, connections: int) -> Engine:
        kept = min(postgresql.KEPT_CONNECTIONS, connections)
        try:
            engine = sa.create_engine(
                self.url,
                hide_parameters=True,
                connect_args=postgresql.connect_arguments(self.url),
                use_native_hstore=False,
                pool_pre_ping=True,
                pool_use_lifo=True,
                pool_size=kept,
                max_overflow=connections - kept,
                pool_timeout=postgresql.FREE_CONNECTION_SECONDS,
            )
        except ImportError as error:
            raise UsageError(
                "database.url: PostgreSQL needs its driver; install easytracking-sync[postgresql]"
            ) from error
        sa.event.listen(engine, "connect", self._prepare_postgresql)
        sa.event.listen(engine, "begin", postgresql.begin)
        return engine

    def _prepare_sqlite(self, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        del record
        if self._opened is None and self.path is not None:
            self._opened = file_identity(self.path)
        connection.isolation_level = None  # the driver's implicit transactions lose updates
        journal, synchronous = ("WAL", "FULL") if wal_is_safe(sqlite3.sqlite_version_info) else ("DELETE", "EXTRA")
        connection.execute(f"PRAGMA busy_timeout = {int(self._busy_seconds * 1000)}")
        for pragma in (f"journal_mode = {journal}", f"synchronous = {synchronous}", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA trusted_schema = OFF")
        require_durability(connection)

    def _prepare_postgresql(self, connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        try:
            postgresql.require_durability(connection)
        except UsageError:
            connection.close()
            raise
        except Exception as error:
            connection.close()
            refused = postgresql.meaning(getattr(error, "sqlstate", None), self._shown(error), lost=True)
            raise refused or error from error

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate the errors of SQLAlchemy and the drivers into errors that say what the caller must do."""
        try:
            yield
        except SyncError:
            raise
        except DBAPIError as error:
            raise self._translation(error) from error
        except sa.exc.TimeoutError as error:
            raise DatabaseUnavailable("no free connection to the database") from error

    def _translation(self, error: DBAPIError) -> SyncError | SQLAlchemyError:
        if self.is_sqlite:
            return _sqlite_translation(error, self.url.database)
        lost = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
        state = getattr(error.orig, "sqlstate", None)
        return postgresql.meaning(state, self._shown(error.orig), lost=lost) or error

    def _shown(self, error: BaseException | None) -> str:
        """The driver's message without the password."""
        said, password = str(error), self.url.password
        return said.replace(str(password), "********") if password else said


def require_durability(connection: sqlite3.Connection) -> None:
    """StorageBroken unless a commit survives a power cut: SQLite may grant less than was requested."""
    journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    synchronous = int(connection.execute("PRAGMA synchronous").fetchone()[0])
    if synchronous < LEAST_SYNCHRONOUS.get(journal, math.inf):
        raise StorageBroken(
            f"SQLite could lose commits at a power cut (journal_mode {journal}, synchronous {synchronous}); "
            "move the database to another file system, or use PostgreSQL"
        )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError("database.url is not the URL of a database") from error
    if "@" in (parsed.host or ""):
        raise UsageError("database.url: write an @ in the password as %40, and other special characters likewise")
    return parsed


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def sqlite_path(url: URL) -> Path:
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


def _sqlite_translation(error: DBAPIError, file: str | None) -> SyncError | SQLAlchemyError:
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
