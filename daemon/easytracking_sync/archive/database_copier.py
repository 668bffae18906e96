"""An archive from one database to another, whichever of the two kinds they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.blob_move import MOST_NAMED, amount, referenced
from easytracking_sync.archive.blobs import AT_ONCE, TRANSACTION_BYTES, Blobs
from easytracking_sync.archive.database import Database
from easytracking_sync.errors import StorageFault, UsageError

BYTES: Final = (tables.blob, tables.blob_chunk)
ROWS: Final = tuple(table for table in tables.metadata.sorted_tables if table not in (*BYTES, tables.lease))
PAGE = 500
COPYING = schema.UNFINISHED_COPY + tables.SCHEMA

OnStep = Callable[[str, int, int], object]
"""Told what is being done, how much is done, and how much there is."""


@dataclass(slots=True)
class CopiedArchive:
    """What the target holds. `rotten` blobs are not whole in the source either."""

    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    rotten: int = 0
    named: list[str] = field(default_factory=list)  # the first of the rotten


class DatabaseCopier:
    """Copies an archive that is held alone to a database that is empty, or holds an unfinished copy.

    Bytes go on where an earlier copy was killed, rows start over. Until all is copied and proven, the target says
    that it is an unfinished copy, and no command takes it for an archive. `in_source` and `in_target` are where the
    files' bytes are read; with `with_bytes` they are the databases' own and are copied too.
    """

    def __init__(
        self,
        source: Database,
        target: Database,
        *,
        in_source: Blobs,
        in_target: Blobs,
        with_bytes: bool,
        on_step: OnStep = lambda *_: None,
    ) -> None:
        self._source = source
        self._target = target
        self._in_source = in_source
        self._in_target = in_target
        self._with_bytes = with_bytes
        self._on_step = on_step

    def run(self) -> CopiedArchive:
        """Copy, prove and only then make an archive of the target. May be killed and repeated at any moment.

        UsageError for a target that holds an archive, or is of another schema.
        """
        self._prepare()
        if self._with_bytes:
            self._copy_bytes()
        copied = self._copy_rows()
        self._set_sequences()
        self._prove_bytes(copied)
        with self._target.write() as connection:
            _mark(connection, tables.SCHEMA)
        return copied

    def _prepare(self) -> None:
        found = schema.revision(self._target)
        if found is not None and found.startswith(schema.UNFINISHED_COPY) and found != COPYING:
            raise UsageError("--to holds an unfinished copy by another version of this program; empty that database")
        if found is None or not found.startswith(schema.UNFINISHED_COPY):
            schema.migrate(self._target)
            self._require_empty()
        with self._target.write() as connection:
            _mark(connection, COPYING)
            _empty(connection)
        self._remove_surplus()

    def _require_empty(self) -> None:
        with self._target.read() as connection:
            for table in (*ROWS, tables.blob):
                if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
                    raise UsageError(
                        f"{schema.shown(self._target)} holds an archive already; name an empty database, or empty it"
                    )

    def _copy_bytes(self) -> None:
        """Blobs as they lie there, compressed; those the target has are left."""
        blob = tables.blob
        with self._source.read() as connection:
            total = int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(blob.c.size), 0))).scalar_one())
        done = 0
        for page in _pages(self._source, blob):
            hashes = [row["sha256"] for row in page]
            with self._target.read() as connection:
                there = set(connection.execute(sa.select(blob.c.sha256).where(blob.c.sha256.in_(hashes))).scalars())
            for group in _groups([row for row in page if row["sha256"] not in there]):
                self._copy_group(group)
            done += sum(row["size"] for row in page)
            self._on_step("copying the files' bytes", done, total)

    def _copy_group(self, group: Sequence[dict[str, Any]]) -> None:
        chunk = tables.blob_chunk
        with self._target.write() as writing:
            writing.execute(sa.insert(tables.blob), list(group))
            for row in group:
                position = -1
                while True:
                    query = sa.select(chunk).where(chunk.c.sha256 == row["sha256"], chunk.c.position > position)
                    with self._source.read() as reading:
                        few = reading.execute(query.order_by(chunk.c.position).limit(AT_ONCE)).mappings().all()
                    if not few:
                        break
                    writing.execute(sa.insert(chunk), [dict(one) for one in few])
                    position = few[-1]["position"]

    def _remove_surplus(self) -> None:
        """Bytes of an earlier copy that are not to be copied now."""
        blob = tables.blob
        for page in _pages(self._target, blob):
            hashes = {row["sha256"] for row in page}
            if self._with_bytes:
                with self._source.read() as connection:
                    hashes -= set(
                        connection.execute(sa.select(blob.c.sha256).where(blob.c.sha256.in_(hashes))).scalars()
                    )
            with self._target.write() as connection:
                for table in reversed(BYTES):
                    connection.execute(sa.delete(table).where(table.c.sha256.in_(hashes)))

    def _copy_rows(self) -> CopiedArchive:
        """Every table in the order of its references, then counted on both sides. A SQLite source cannot change."""
        copied = CopiedArchive()
        with _unchanging(self._source):
            expected = {table.name: _count(self._source, table) for table in self._tables()}
            total, done = sum(expected[table.name] for table in ROWS), 0
            for table in ROWS:
                for page in _pages(self._source, table):
                    rows = [_fitted(row, table, self._target) for row in page]
                    with self._target.write() as connection:
                        connection.execute(sa.insert(table), rows)
                    done += len(rows)
                    self._on_step(f"copying the rows of {table.name}", done, total)
            copied.rows = {table.name: _count(self._target, table) for table in self._tables()}
        if copied.rows != expected:
            odd = ", ".join(name for name, count in expected.items() if copied.rows[name] != count)
            raise StorageFault(
                f"the copy has other row counts than the archive ({odd}); stop what writes, and repeat"
            )
        return copied

    def _tables(self) -> tuple[sa.Table, ...]:
        return (*ROWS, *BYTES) if self._with_bytes else ROWS

    def _set_sequences(self) -> None:
        """New rows are numbered behind the copied ones; SQLite does so by itself."""
        if self._target.is_sqlite:
            return
        with self._target.write() as connection:
            for table in ROWS:
                if "id" in table.c:
                    following = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1).scalar_subquery()
                    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                    connection.execute(sa.select(sa.func.setval(sequence, following, sa.false())))

    def _prove_bytes(self, copied: CopiedArchive) -> None:
        """Read every file's bytes by way of the target, and hash them."""
        _, total = amount(self._target)
        for page in referenced(self._target):
            rotten = page.keys() - self._in_target.whole(page)
            spoilt = self._in_source.whole(rotten)
            if spoilt:
                raise StorageFault(f"blob {min(spoilt)} is not in the copy as it is in the archive; see to the disk")
            copied.files += len(page)
            copied.bytes += sum(page.values())
            copied.rotten += len(rotten)
            copied.named += sorted(rotten)[: MOST_NAMED - len(copied.named)]
            self._on_step("proving the files' bytes", copied.bytes, total)


def refuse_itself(source: Database, target: Database) -> None:
    """UsageError where both are the same database, as far as their addresses tell."""
    if _address(source) == _address(target):
        raise UsageError("--to names the archive itself; name another database")


def _address(database: Database) -> str:
    return str(database.path.resolve()) if database.path else database.url.render_as_string(hide_password=False)


def _mark(connection: Connection, revision: str) -> None:
    connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _empty(connection: Connection) -> None:
    """All rows but the bytes' go, at once however many there are."""
    emptied = (*ROWS, tables.lease)
    if connection.dialect.name == "sqlite":
        for table in reversed(emptied):
            connection.execute(sa.delete(table))
    else:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(table.name for table in emptied)}")


def _unchanging(source: Database) -> Any:
    """SQLite: nobody else writes while this is open. A server's tables are only read, page by page."""
    return source.write() if source.is_sqlite else source.read()


def _count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _pages(database: Database, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """A table's rows in the order of its key, a page at a time, no connection held between."""
    key = tuple(table.primary_key.columns)
    query = sa.select(table).order_by(*key).limit(PAGE)
    page = query
    while True:
        with database.read() as connection:
            rows = [dict(row) for row in connection.execute(page).mappings()]
        if not rows:
            return
        yield rows
        last = [sa.literal(rows[-1][column.name], column.type) for column in key]
        page = query.where(sa.tuple_(*key) > sa.tuple_(*last))


def _groups(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Blobs for one transaction each."""
    group: list[dict[str, Any]] = []
    weight = 0
    for row in rows:
        group.append(row)
        weight += row["size"]
        if weight >= TRANSACTION_BYTES:
            yield group
            group, weight = [], 0
    if group:
        yield group


def _fitted(row: dict[str, Any], table: sa.Table, target: Database) -> dict[str, Any]:
    """The row as the target takes it: leases void, and without the NUL that PostgreSQL's text cannot hold."""
    if table is tables.batch:
        row |= {"lease_owner": None, "lease_until": None}
    if not target.is_sqlite:
        for column in table.columns:
            if isinstance(column.type, sa.String) and isinstance(row[column.name], str):
                row[column.name] = row[column.name].replace("\0", "\ufffd")
    return row
