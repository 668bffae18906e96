"""The proof that documents are home: only what was read back from durable storage may be acknowledged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from easytracking_sync.archive.blobs import Blobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import document, file
from easytracking_sync.terms import Claim, DocumentState

_SEAL: Final = object()

_CARRIED = document.c.id.in_(sa.bindparam("ids", expanding=True))
_STORED = sa.select(document.c.id, document.c.held, document.c.version).where(
    _CARRIED, document.c.state == DocumentState.STORED
)
_FILES = sa.select(file.c.document_id, file.c.type, file.c.sha256, file.c.version).where(
    file.c.document_id.in_(sa.bindparam("ids", expanding=True))
)


@dataclass(frozen=True, slots=True)
class DurableReceipt:
    """These docIds' rows and bytes were committed, and have been read back whole. Only the archive can make one."""

    batch_id: int
    doc_ids: tuple[int, ...]
    _seal: object = field(repr=False)
    untold: frozenset[int] = frozenset()  # docIds that are home, and of which the service is not told

    @property
    def to_tell(self) -> tuple[int, ...]:
        """The docIds that the service is told about."""
        return tuple(doc_id for doc_id in self.doc_ids if doc_id not in self.untold)

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("a DurableReceipt is made by the archive alone, after reading back")


def read_back(database: Database, blobs: Blobs, claim: Claim, originals: Collection[str]) -> DurableReceipt:
    """Read the files of the batch's stored documents to their ends; the receipt names the documents that are whole.

    Only files of the version that was fetched count. `originals` are the types of which a document must have one at
    least. A document with a rotten or absent blob, or without its original, is left out of the receipt. The service
    is told neither of documents whose phase the operator cleared, nor of those that are wanted in a newer version by
    now. Repeating is safe.
    """
    ids = [carried.document_id for carried in claim.documents]
    with database.read() as connection:
        stored = {row.id: row for row in connection.execute(_STORED, {"ids": ids})}
        files = connection.execute(_FILES, {"ids": ids}).all()
    fetched = {carried.document_id: carried.version for carried in claim.documents}
    rows = [row for row in files if row.version >= fetched[row.document_id]]
    hashes: dict[int, set[str]] = defaultdict(set)
    with_original: set[int] = set()
    for row in rows:
        hashes[row.document_id].add(row.sha256)
        if row.type in originals:
            with_original.add(row.document_id)
    proven = blobs.whole({row.sha256 for row in rows})
    whole = (
        carried.doc_id
        for carried in claim.documents
        if carried.document_id in stored.keys() & with_original and hashes[carried.document_id] <= proven
    )
    silent = {row.id for row in stored.values() if row.held or row.version > fetched[row.id]}
    untold = frozenset(carried.doc_id for carried in claim.documents if carried.document_id in silent)
    return DurableReceipt(claim.batch.id, tuple(whole), _SEAL, untold)
