"""Whether what is stored is still what was stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from easytracking_sync.archive import journal
from easytracking_sync.archive.blobs import Blobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.pool import afresh
from easytracking_sync.archive.tables import account, document, file
from easytracking_sync.terms import DocumentState

PAGE = 100


@dataclass(frozen=True, slots=True)
class Rotten:
    """A file whose bytes are gone or wrong."""

    account: str
    document_id: int
    doc_id: int
    type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """How far a scrub is: everything up to here was read and hashed."""

    files: int
    bytes: int
    rotten: tuple[Rotten, ...]


class Integrity:
    """Reads stored bytes from end to end, page by page, and sends what has rotten to be fetched again."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def scrub(self, account_ids: Sequence[int] | None = None) -> Iterator[Scrubbed]:
        """Each page of files as it was read; changes nothing. It may run beside a service."""
        last = 0
        while True:
            query = (
                sa.select(file.c.id, file.c.sha256, file.c.size, file.c.type, document.c.id, document.c.doc_id)
                .add_columns(account.c.label)
                .join(document, document.c.id == file.c.document_id)
                .join(account, account.c.id == document.c.account_id)
                .where(file.c.id > last)
                .order_by(file.c.id)
                .limit(PAGE)
            )
            if account_ids is not None:
                query = query.where(document.c.account_id.in_(account_ids))
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            last = rows[-1][0]
            whole = self._blobs.whole({row.sha256 for row in rows})
            rotten = tuple(
                Rotten(row.label, row[4], row.doc_id, row.type, row.sha256) for row in rows if row.sha256 not in whole
            )
            yield Scrubbed(len(rows), sum(row.size for row in rows), rotten)

    def refetch(self, rotten: Sequence[Rotten], now: datetime) -> int:
        """Send documents back to the pool so that their bytes come again; how many. Repeating is safe.

        Only documents that are home are sent: the others are on their way, or somebody's decision.
        """
        sent = 0
        with self._database.write() as connection:
            for document_id in dict.fromkeys(one.document_id for one in rotten):
                changed = connection.execute(
                    sa.update(document)
                    .where(document.c.id == document_id, document.c.state == DocumentState.ACKNOWLEDGED)
                    .values(**afresh(now), wanted_at=now)
                )
                if changed.rowcount:
                    sent += 1
                    journal.record(connection, "document.rotten", now, document_id=document_id)
        return sent
