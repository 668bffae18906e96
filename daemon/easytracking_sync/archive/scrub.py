"""The scrub: reads stored files from end to end and compares their hashes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from easytracking_sync.archive.blobs import Blobs
from easytracking_sync.archive.database import IDS, Database
from easytracking_sync.archive.tables import account, document, file
from easytracking_sync.errors import StorageFault

PAGE = 100

Between = tuple[datetime, datetime]
"""The first and the last reception time, both included; naive and local."""


@dataclass(frozen=True, slots=True)
class RottenFile:
    """A file whose bytes are missing or damaged. If not `current`, it is an old version and lost."""

    account: str
    document_id: int
    doc_id: int
    type: str
    sha256: str
    current: bool


@dataclass(frozen=True, slots=True)
class ScrubbedPage:
    files: int
    bytes: int
    rotten: tuple[RottenFile, ...]


@dataclass(frozen=True, slots=True)
class ScrubTotal:
    files: int
    bytes: int


class Scrubber:
    """Reads stored files and compares their hashes, page by page."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def total(self, account_ids: Collection[int] | None = None, between: Between | None = None) -> ScrubTotal:
        """What `scrub` with the same arguments reads."""
        counted = _of(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(file.c.size), 0)), account_ids, between)
        with self._database.read() as connection:
            files, size = connection.execute(counted).one()
        return ScrubTotal(int(files), int(size))

    def scrub(
        self, account_ids: Collection[int] | None = None, between: Between | None = None
    ) -> Iterator[ScrubbedPage]:
        """Read the files of these accounts, received in between, and yield each page; changes nothing.

        May run while the service runs. A file that the disk cannot read counts as rotten.
        """
        columns = sa.select(file.c.id, file.c.document_id, document.c.doc_id, account.c.label).add_columns(
            file.c.type, file.c.sha256, file.c.size, (file.c.version >= document.c.version).label("current")
        )
        for rows in self._database.pages(_of(columns, account_ids, between), file.c.id, size=PAGE):
            whole = self._whole({row.sha256 for row in rows})
            rotten = tuple(_rotten(row) for row in rows if row.sha256 not in whole)
            yield ScrubbedPage(len(rows), sum(row.size for row in rows), rotten)

    def filed(self, account_id: int, doc_ids: Collection[int]) -> frozenset[int]:
        """The docIds among these that have a file of their current version, of any type."""
        query = (
            sa.select(document.c.doc_id)
            .join(file, file.c.document_id == document.c.id)
            .where(
                document.c.account_id == account_id,
                document.c.doc_id.in_(IDS),
                file.c.version >= document.c.version,
            )
            .distinct()
        )
        return frozenset(row.doc_id for row in self._database.rows_of(query, doc_ids))

    def unreferenced(self) -> int:
        """How many stored blobs no file row refers to: left by a killed process, or of a parcel being stored now."""
        count = 0
        for page in self._blobs.names():
            with self._database.read() as connection:
                known = set(
                    connection.execute(sa.select(file.c.sha256).where(file.c.sha256.in_(page)).distinct()).scalars()
                )
            count += len(set(page) - known)
        return count

    def _whole(self, hashes: Collection[str]) -> frozenset[str]:
        try:
            return self._blobs.whole(hashes)
        except StorageFault:  # one bad sector must not hide other damage
            return frozenset(sha256 for sha256 in hashes if self._is_readable(sha256))

    def _is_readable(self, sha256: str) -> bool:
        try:
            return bool(self._blobs.whole((sha256,)))
        except StorageFault:
            return False


def _of(query: sa.Select[Any], account_ids: Collection[int] | None, between: Between | None) -> sa.Select[Any]:
    query = query.select_from(file).join(document, document.c.id == file.c.document_id)
    query = query.join(account, account.c.id == document.c.account_id)
    if account_ids is not None:
        query = query.where(document.c.account_id.in_(account_ids))
    return query if between is None else query.where(document.c.received.between(*between))


def _rotten(row: Row[Any]) -> RottenFile:
    return RottenFile(row.label, row.document_id, row.doc_id, row.type, row.sha256, bool(row.current))
