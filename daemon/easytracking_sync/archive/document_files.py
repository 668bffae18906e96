"""The file table: which blobs belong to which version of which document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import IDS, ArchivePart
from easytracking_sync.archive.tables import file
from easytracking_sync.terms import KnownFile
from easytracking_sync.transition import NewFile, SeenFile

_OF = (
    sa.select(file.c.document_id, file.c.id, file.c.type, file.c.sha256, file.c.version)
    .where(file.c.document_id.in_(IDS))
    .order_by(file.c.document_id, file.c.ordinal)
)


class DocumentFiles(ArchivePart):
    """What the machine reads from the file table."""

    def of(self, document_ids: Collection[int]) -> Mapping[int, Sequence[KnownFile]]:
        """The files of each of these documents (row ids), oldest first."""
        found: dict[int, list[KnownFile]] = defaultdict(list)
        with self._database.read() as connection:
            for row in connection.execute(_OF, {"ids": list(document_ids)}):
                found[row.document_id].append(KnownFile(row.id, row.type, row.sha256, row.version))
        return found


def write(connection: Connection, new: Sequence[NewFile], seen: Sequence[SeenFile], now: datetime) -> None:
    """Insert rows for new files; files received again are marked with the newer version of their document."""
    if new:
        rows = [
            {
                "document_id": one.document_id,
                "ordinal": one.ordinal,
                **asdict(one.file),
                "fetched_at": now,
                "version": one.version,
            }
            for one in new
        ]
        connection.execute(sa.insert(file), rows)
    by_version: dict[int, list[int]] = defaultdict(list)
    for again in seen:
        by_version[again.version].append(again.file.id)
    for version, ids in by_version.items():
        connection.execute(sa.update(file).where(file.c.id.in_(ids)).values(version=version))
