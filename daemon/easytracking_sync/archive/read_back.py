"""Reads stored documents back: only what was read back from durable storage may be acknowledged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from easytracking_sync.archive.blobs import Blobs
from easytracking_sync.archive.database import IDS, Database
from easytracking_sync.archive.tables import document, file
from easytracking_sync.terms import Claim, DocumentState

_SEAL: Final = object()

_CARRIED = document.c.id.in_(IDS)
_STORED = sa.select(document.c.id, document.c.held, document.c.version).where(
    _CARRIED, document.c.state == DocumentState.STORED
)
_FILES = sa.select(file.c.document_id, file.c.type, file.c.sha256, file.c.version).where(file.c.document_id.in_(IDS))


@dataclass(frozen=True, slots=True)
class DurableReceipt:
    """Proof that these docIds are committed and were read back intact. Only `read_back` can create one."""

    batch_id: int
    doc_ids: tuple[int, ...]
    _seal: object = field(repr=False)
    untold: frozenset[int] = frozenset()  # docIds that are stored but must not be acknowledged at the service

    @property
    def to_tell(self) -> tuple[int, ...]:
        """The docIds to acknowledge at the service."""
        return tuple(doc_id for doc_id in self.doc_ids if doc_id not in self.untold)

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("only read_back may create a DurableReceipt")


def read_back(database: Database, blobs: Blobs, claim: Claim, originals: Collection[str]) -> DurableReceipt:
    """Read the files of the batch's stored documents from end to end; the receipt names the intact documents.

    Only files of the fetched version count. A document needs at least one file of a type in `originals`. The receipt
    omits documents with a rotten or missing blob, or without an original. Documents whose phase the operator cleared,
    or of which a newer version is listed by now, are `untold`. Repeating is safe.
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
