"""Copies an archive from one database to another, SQLite or PostgreSQL, and verifies the copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.blob_move import MOST_NAMED, referenced, referenced_total
from easytracking_sync.archive.blobs import AT_ONCE, Blobs, grouped_by_size
from easytracking_sync.archive.database import Database
from easytracking_sync.errors import StorageFault, UsageError

BYTES: Final = (tables.blob, tables.blob_chunk)
ROWS: Final = tuple(table for table in tables.metadata.sorted_tables if table not in (*BYTES, tables.lease))
PAGE = 500
COPYING = schema.UNFINISHED_COPY + tables.SCHEMA

OnStep = Callable[[str, int, int], object]
"""Receives the current step, how much of it is done, and its total."""


@dataclass(slots=True)
class CopiedArchive:
    """What the target holds. `rotten` blobs are damaged in the source too."""

    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    rotten: int = 0
    named: list[str] = field(default_factory=list)  # the first of the rotten blobs


@dataclass(frozen=True, slots=True)
class DatabaseCopier:
    """Copies an archive in exclusive use to a database that is empty or holds an unfinished copy.

    After a kill, blobs continue where the earlier copy stopped; rows start over. Until everything is copied and
    verified, the target is marked as an unfinished copy, and every command refuses it. `in_source` and `in_target`
    are where files are read; with `with_bytes` they are the databases' own blobs and are copied too.
    """

    source: Database
    target: Database
    _: KW_ONLY
    in_source: Blobs
    in_target: Blobs
    with_bytes: bool
    on_step: OnStep = lambda *_: None

    def run(self) -> CopiedArchive:
        """Copy, verify, and only then mark the target as an archive. May be killed and repeated at any moment.

        UsageError if the target holds an archive or has another schema.
        """
        self._prepare()
        if self.with_bytes:
            self._copy_bytes()
        copied = self._copy_rows()
        self._set_sequences()
        self._verify_bytes(copied)
        with self.target.write() as connection:
            _mark(connection, tables.SCHEMA)
        return copied

    def _prepare(self) -> None:
        found = schema.revision(self.target)
        if found is not None and found.startswith(schema.UNFINISHED_COPY) and found != COPYING:
            raise UsageError(
                "--to holds an unfinished copy made by another version of this program; empty that database"
            )
        if found is None or not found.startswith(schema.UNFINISHED_COPY):
            schema.migrate(self.target)
            self._require_empty()
        with self.target.write() as connection:
            _mark(connection, COPYING)
            _empty(connection)
        self._remove_surplus()

    def _require_empty(self) -> None:
        with self.target.read() as connection:
            for table in (*ROWS, tables.blob):
                if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
                    raise UsageError(
                        f"{schema.shown(self.target)} holds an archive already; name an empty database, or empty it"
                    )

    def _copy_bytes(self) -> None:
        """Copy blobs as they are stored, compressed; skip those the target has."""
        blob = tables.blob
        with self.source.read() as connection:
            total = int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(blob.c.size), 0))).scalar_one())
        done = 0
        for page in _pages(self.source, blob):
            hashes = [row["sha256"] for row in page]
            with self.target.read() as connection:
                there = set(connection.execute(sa.select(blob.c.sha256).where(blob.c.sha256.in_(hashes))).scalars())
            missing = [row for row in page if row["sha256"] not in there]
            for group in grouped_by_size(missing, lambda row: int(row["size"])):
                self._copy_group(group)
            done += sum(row["size"] for row in page)
            self.on_step("copying the files' bytes", done, total)

    def _copy_group(self, group: list[dict[str, Any]]) -> None:
        chunk = tables.blob_chunk
        with self.target.write() as writing:
            writing.execute(sa.insert(tables.blob), list(group))
            for row in group:
                position = -1
                while True:
                    query = sa.select(chunk).where(chunk.c.sha256 == row["sha256"], chunk.c.position > position)
                    with self.source.read() as reading:
                        few = reading.execute(query.order_by(chunk.c.position).limit(AT_ONCE)).mappings().all()
                    if not few:
                        break
                    writing.execute(sa.insert(chunk), [dict(one) for one in few])
                    position = few[-1]["position"]

    def _remove_surplus(self) -> None:
        """Remove blobs of an earlier copy that are not part of this one."""
        blob = tables.blob
        for page in _pages(self.target, blob):
            hashes = {row["sha256"] for row in page}
            if self.with_bytes:
                with self.source.read() as connection:
                    hashes -= set(
                        connection.execute(sa.select(blob.c.sha256).where(blob.c.sha256.in_(hashes))).scalars()
                    )
            with self.target.write() as connection:
                for table in reversed(BYTES):
                    connection.execute(sa.delete(table).where(table.c.sha256.in_(hashes)))

    def _copy_rows(self) -> CopiedArchive:
        """Copy every table in the order of its references, then compare the counts. Locks a SQLite source."""
        copied = CopiedArchive()
        with _unchanging(self.source):
            expected = {table.name: _count(self.source, table) for table in self._tables()}
            total, done = sum(expected[table.name] for table in ROWS), 0
            for table in ROWS:
                for page in _pages(self.source, table):
                    rows = [_fitted(row, table, self.target) for row in page]
                    with self.target.write() as connection:
                        connection.execute(sa.insert(table), rows)
                    done += len(rows)
                    self.on_step(f"copying the rows of {table.name}", done, total)
            copied.rows = {table.name: _count(self.target, table) for table in self._tables()}
        if copied.rows != expected:
            odd = ", ".join(name for name, count in expected.items() if copied.rows[name] != count)
            raise StorageFault(
                f"the copy and the archive differ in row counts ({odd}); stop what writes to the archive, and repeat"
            )
        return copied

    def _tables(self) -> tuple[sa.Table, ...]:
        return (*ROWS, *BYTES) if self.with_bytes else ROWS

    def _set_sequences(self) -> None:
        """Continue the numbering of rows after the copied ones; SQLite does so by itself."""
        if self.target.is_sqlite:
            return
        with self.target.write() as connection:
            for table in ROWS:
                if "id" in table.c:
                    following = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1).scalar_subquery()
                    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                    connection.execute(sa.select(sa.func.setval(sequence, following, sa.false())))

    def _verify_bytes(self, copied: CopiedArchive) -> None:
        """Read every file through the target, and hash it."""
        _, total = referenced_total(self.target)
        for page in referenced(self.target):
            rotten = page.keys() - self.in_target.whole(page)
            spoilt = self.in_source.whole(rotten)
            if spoilt:
                raise StorageFault(f"blob {min(spoilt)} is damaged in the copy; check the disk")
            copied.files += len(page)
            copied.bytes += sum(page.values())
            copied.rotten += len(rotten)
            copied.named += sorted(rotten)[: MOST_NAMED - len(copied.named)]
            self.on_step("verifying the files", copied.bytes, total)


def refuse_itself(source: Database, target: Database) -> None:
    """UsageError if both have the same address."""
    if _address(source) == _address(target):
        raise UsageError("the database in --to is the archive itself; give another database")


def _address(database: Database) -> str:
    return str(database.path.resolve()) if database.path else database.url.render_as_string(hide_password=False)


def _mark(connection: Connection, revision: str) -> None:
    connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _empty(connection: Connection) -> None:
    """Delete all rows except blobs, in one step however many there are."""
    emptied = (*ROWS, tables.lease)
    if connection.dialect.name == "sqlite":
        for table in reversed(emptied):
            connection.execute(sa.delete(table))
    else:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(table.name for table in emptied)}")


def _unchanging(source: Database) -> Any:
    """SQLite: lock out other writers. PostgreSQL: read only; `_copy_rows` compares the counts."""
    return source.write() if source.is_sqlite else source.read()


def _count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _pages(database: Database, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    for rows in database.pages(sa.select(table), *table.primary_key.columns, size=PAGE):
        yield [dict(row._mapping) for row in rows]  # noqa: SLF001  SQLAlchemy's public name


def _fitted(row: dict[str, Any], table: sa.Table, target: Database) -> dict[str, Any]:
    """The row with its leases removed, and NUL, which PostgreSQL cannot store in text, replaced."""
    if table is tables.batch:
        row |= {"lease_owner": None, "lease_until": None}
    if not target.is_sqlite:
        for column in table.columns:
            if isinstance(column.type, sa.String) and isinstance(row[column.name], str):
                row[column.name] = row[column.name].replace("\0", "\ufffd")
    return row
