"""The database: transactions through `read()` and `write()`, and the translation of drivers' errors.

SQLite: `BEGIN IMMEDIATE` for every writer; journal DELETE with synchronous EXTRA (a commit survives a power cut),
or WAL with FULL if the linked library has the WAL-reset fix. PostgreSQL: READ COMMITTED, limits for every
transaction, and no connection to a server that could lose commits at a power cut (`archive.postgresql`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from easytracking_sync.archive import journal, postgresql, sqlite
from easytracking_sync.errors import (
    DatabaseUnavailable,
    StorageBroken,
    SyncError,
    UsageError,
)
from easytracking_sync.terms import chunked

BUSY_SECONDS = 30

IDS_AT_ONCE = 500
"""The most ids in one statement; both databases accept this many."""

IDS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
ACCOUNT_ID = sa.bindparam("account_id", type_=sa.Integer)
ACCOUNT_IDS: sa.BindParameter[int] = sa.bindparam("account_ids", expanding=True)


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
        self._closings = 0
        self._engine = self._sqlite_engine() if self.is_sqlite else self._postgresql_engine(connections)
        sa.event.listen(self._engine, "connect", self._note_opened)
        sa.event.listen(self._engine, "checkin", self._close_if_left_over)

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database; None for PostgreSQL."""
        return sqlite.file_of(self.url) if self.is_sqlite else None

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

    def rows_of(self, query: sa.Select[Any], ids: Iterable[int], **parameters: object) -> list[sa.Row[Any]]:
        """The rows of a query with the parameter IDS, read in statements of IDS_AT_ONCE ids."""
        with self.read() as connection:
            return [
                row
                for some in chunked(tuple(ids), IDS_AT_ONCE)
                for row in connection.execute(query, {**parameters, "ids": some})
            ]

    def facts(self) -> DatabaseFacts:
        """What the database reports about itself."""
        with self.read() as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
            engine = connection.dialect.name
            journal = None
            if self.is_sqlite:
                mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
                synchronous = sqlite.SYNCHRONOUS_NAMES.get(
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
        if sqlite.file_identity(self.path) != self._opened:
            raise StorageBroken(
                f"the database {self.path} was replaced or removed while the program used it; restart the program"
            )

    def close(self) -> None:
        """Close all connections, those in use as soon as they are returned; the object can be used again."""
        self._closings += 1
        self._engine.dispose()

    def _note_opened(self, _connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["closings"] = self._closings

    def _close_if_left_over(self, connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        """`dispose` leaves a connection in use to its old pool, which never closes it."""
        if connection is not None and record.info.get("closings") != self._closings:
            record.invalidate()

    def _sqlite_engine(self) -> Engine:
        sqlite.refuse_network_file_system(sqlite.file_of(self.url))
        arguments = {"timeout": self._busy_seconds, "check_same_thread": False}
        engine = sa.create_engine(self.url, hide_parameters=True, connect_args=arguments)
        sa.event.listen(engine, "connect", self._prepare_sqlite)
        sa.event.listen(engine, "begin", sqlite.begin)
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

    def _prepare_sqlite(self, connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
        if self._opened is None and self.path is not None:
            self._opened = sqlite.file_identity(self.path)
        sqlite.prepare(connection, self._busy_seconds)

    def _prepare_postgresql(self, connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
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
            return sqlite.meaning(error, self.url.database)
        lost = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
        state = getattr(error.orig, "sqlstate", None)
        return postgresql.meaning(state, self._shown(error.orig), lost=lost) or error

    def _shown(self, error: BaseException | None) -> str:
        """The driver's message without the password."""
        said, password = str(error), self.url.password
        return said.replace(str(password), "********") if password else said


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError("database.url is not the URL of a database") from error
    if "@" in (parsed.host or ""):
        raise UsageError("database.url: write an @ in the password as %40, and other special characters likewise")
    return parsed


class ArchivePart:
    """Reads and writes some of the archive's tables. Any thread may call its methods."""

    def __init__(self, database: Database) -> None:
        self._database = database
