"""Files' bytes, addressed by their sha256. Whoever relies on a blob reads it back first."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import tables
from easytracking_sync.archive.database import Database
from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable, Permanent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_LEVEL = 3
TRANSACTION_BYTES = 32 << 20
"""Blobs are committed in groups of about this many bytes, so that no transaction grows with a parcel."""

AT_ONCE = 16
"""Small blobs are read and written this many a statement: at most so many MiB in memory."""

_HEADS = (
    sa.select(tables.blob.c.sha256, tables.blob.c.size, tables.blob.c.encoding, tables.blob_chunk.c.content)
    .outerjoin(
        tables.blob_chunk,
        sa.and_(tables.blob_chunk.c.sha256 == tables.blob.c.sha256, tables.blob_chunk.c.position == 0),
    )
    .where(tables.blob.c.sha256.in_(sa.bindparam("hashes", expanding=True)))
)


NAMES_AT_ONCE = 500

_ONE_AFTER_THE_OTHER = sa.select(sa.func.pg_advisory_xact_lock(sa.literal(0x6561_7379_6D65_6E64, sa.BigInteger)))
"""Any number, as long as it stays the same; the lock ends with its transaction."""


class BlobRotten(Permanent):
    """The bytes are gone or are not the ones their name promises."""


@dataclass(frozen=True, slots=True)
class BlobSource:
    """Bytes on their way in: `chunks()` gives them from the beginning each time it is called."""

    sha256: str
    size: int
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)


class Blobs(Protocol):
    """A store of bytes. What `put` returned from is durable; `put` may be repeated and mends a rotten copy."""

    def put(self, sources: Iterable[BlobSource]) -> None: ...
    def read(self, sha256: str) -> Iterator[bytes]:
        """The bytes in chunks; raises BlobRotten, at the latest at the end, unless they are exactly those."""
        ...

    def whole(self, hashes: Collection[str]) -> frozenset[str]:
        """Read these blobs from end to end; those that are there and are what their name says."""
        ...

    def names(self) -> Iterator[Sequence[str]]:
        """The hashes of all blobs there are, whole or not, in pages; what comes or goes meanwhile may be missed."""
        ...

    def sweep(self, now: datetime) -> None:
        """Remove what instances that were killed left half-written. Repeating is safe, beside others too."""
        ...

    def remove(self, hashes: Collection[str]) -> None:
        """These blobs are gone afterwards, whether or not they were there. Only where nothing can be stored."""
        ...


class DatabaseBlobs:
    """Blobs in the archive's own database: zstd, in chunks of at most 1 MiB, few of them in memory at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, sources: Iterable[BlobSource]) -> None:
        """Durable when it returns. Raises BlobRotten where a source does not give the bytes it announced.

        DatabaseUnavailable also where another instance was at the same blob and what it left is not whole.
        """
        wanted = {source.sha256: source for source in sources}
        found = {head.sha256: self._is_whole(head) for head in self._heads(tuple(wanted))}
        # All writers go in one order, and mend apart from inserting: none waits for one that waits for it.
        missing = [source for sha256, source in sorted(wanted.items()) if sha256 not in found]
        rotten = [source for sha256, source in sorted(wanted.items()) if found.get(sha256) is False]
        for group in _groups(missing):
            self._insert(group)
        for group in _groups(rotten):
            self._mend(group)

    def read(self, sha256: str) -> Iterator[bytes]:
        """See Blobs. Each chunk is a statement of its own, so that a long read never blocks the writer."""
        for head in self._heads((sha256,)):
            yield from self._proven(head)
            return
        raise BlobRotten(f"blob {sha256} is not in the database")

    def whole(self, hashes: Collection[str]) -> frozenset[str]:
        """See Blobs."""
        return frozenset(head.sha256 for head in self._heads(sorted(hashes)) if self._is_whole(head))

    def sweep(self, now: datetime) -> None:
        """See Blobs. A transaction that was not committed leaves nothing."""

    def names(self) -> Iterator[Sequence[str]]:
        """See Blobs."""
        blob = tables.blob
        query = sa.select(blob.c.sha256).order_by(blob.c.sha256).limit(NAMES_AT_ONCE)
        last = ""
        while True:
            with self._database.read() as connection:
                page = connection.execute(query.where(blob.c.sha256 > last)).scalars().all()
            if not page:
                return
            yield page
            last = page[-1]

    def remove(self, hashes: Collection[str]) -> None:
        """See Blobs."""
        named = sorted(hashes)
        for start in range(0, len(named), NAMES_AT_ONCE):
            with self._database.write() as connection:
                _remove(connection, named[start : start + NAMES_AT_ONCE])

    def _is_whole(self, head: _Head) -> bool:
        try:
            for _ in self._proven(head):
                pass
        except BlobRotten:
            return False
        return True

    def _heads(self, hashes: Sequence[str]) -> Iterator[_Head]:
        """What the database has of these blobs: the row, and the first chunk, which is often the only one."""
        for start in range(0, len(hashes), AT_ONCE):
            few = hashes[start : start + AT_ONCE]
            with self._database.read() as connection:
                rows = connection.execute(_HEADS, {"hashes": few}).all()
            for row in rows:
                yield _Head(row.sha256, row.size, row.encoding, row.content)

    def _proven(self, head: _Head) -> Iterator[bytes]:
        if head.encoding != "zstd":
            raise BlobRotten(f"blob {head.sha256} has the unknown encoding {head.encoding}")
        digest, size = hashlib.sha256(), 0
        for piece in _inflated(head.sha256, self._chunks(head)):
            digest.update(piece)
            size += len(piece)
            if size > head.size:
                break
            yield piece
        if size != head.size or digest.hexdigest() != head.sha256:
            raise BlobRotten(f"blob {head.sha256} has rotten: its bytes are not the ones that were stored")

    def _chunks(self, head: _Head) -> Iterator[bytes]:
        chunk = tables.blob_chunk
        content, position = head.content, 0
        while content is not None:
            yield content
            position += 1
            with self._database.read() as connection:
                content = connection.execute(
                    sa.select(chunk.c.content).where(chunk.c.sha256 == head.sha256, chunk.c.position == position)
                ).scalar_one_or_none()

    def _insert(self, group: Sequence[BlobSource]) -> None:
        hashes = {source.sha256 for source in group}
        with self._database.write() as connection:
            ours = _insert_rows(connection, group, self._clock.now())
        others = hashes - ours
        if others - self.whole(others):
            raise DatabaseUnavailable("another instance stored the same bytes at this moment, and not whole")

    def _mend(self, group: Sequence[BlobSource]) -> None:
        """Replace rotten copies. Instances mend one after the other, and leave what another has mended meanwhile."""
        hashes = {source.sha256 for source in group}
        with self._database.write() as connection:
            if not self._database.is_sqlite:
                connection.execute(_ONE_AFTER_THE_OTHER)
            still = hashes - (frozenset() if self._database.is_sqlite else self.whole(hashes))
            _remove(connection, sorted(still))
            _insert_rows(connection, [source for source in group if source.sha256 in still], self._clock.now())


def _groups(sources: Sequence[BlobSource]) -> Iterator[Sequence[BlobSource]]:
    """As many in each as one transaction is to hold."""
    group: list[BlobSource] = []
    weight = 0
    for source in sources:
        group.append(source)
        weight += source.size
        if weight >= TRANSACTION_BYTES:
            yield group
            group, weight = [], 0
    if group:
        yield group


def _insert_rows(connection: Connection, group: Sequence[BlobSource], now: datetime) -> set[str]:
    """Insert the blobs that are not there; the hashes of those that were inserted."""
    rows = [{"sha256": one.sha256, "size": one.size, "encoding": "zstd", "stored_at": now} for one in group]
    if not rows:
        return set()
    new = tables.upsert(connection, tables.blob).on_conflict_do_nothing().returning(tables.blob.c.sha256)
    ours = set(connection.execute(new, rows).scalars())
    _insert_chunks(connection, (source for source in group if source.sha256 in ours))
    return ours


def _remove(connection: Connection, hashes: Sequence[str]) -> None:
    blob, chunk = tables.blob, tables.blob_chunk
    for start in range(0, len(hashes), NAMES_AT_ONCE):
        few = hashes[start : start + NAMES_AT_ONCE]
        connection.execute(sa.delete(chunk).where(chunk.c.sha256.in_(few)))
        connection.execute(sa.delete(blob).where(blob.c.sha256.in_(few)))


def _insert_chunks(connection: Connection, sources: Iterable[BlobSource]) -> None:
    held: list[dict[str, object]] = []
    for source in sources:
        for position, content in enumerate(_rechunked(_deflated(source))):
            held.append({"sha256": source.sha256, "position": position, "content": content})
            if len(held) >= AT_ONCE:
                connection.execute(sa.insert(tables.blob_chunk), held)
                held = []
    if held:
        connection.execute(sa.insert(tables.blob_chunk), held)


@dataclass(frozen=True, slots=True)
class _Head:
    """A blob's row with its first chunk."""

    sha256: str
    size: int
    encoding: str
    content: bytes | None = field(repr=False)


def _deflated(source: BlobSource) -> Iterator[bytes]:
    compressor = zstd.ZstdCompressor(level=ZSTD_LEVEL)
    digest, size = hashlib.sha256(), 0
    for chunk in source.chunks():
        digest.update(chunk)
        size += len(chunk)
        yield compressor.compress(chunk)
    yield compressor.flush()
    if (digest.hexdigest(), size) != (source.sha256, source.size):
        raise BlobRotten(f"blob {source.sha256}: the source changed while it was stored")


def _inflated(sha256: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of one frame; chunks beyond its end are not asked for."""
    inflater = zstd.ZstdDecompressor()
    try:
        for chunk in chunks:
            piece = inflater.decompress(chunk, max_length=tables.CHUNK_BYTES)
            while piece:
                yield piece
                piece = b"" if inflater.eof else inflater.decompress(b"", max_length=tables.CHUNK_BYTES)
            if inflater.eof:
                return
    except (zstd.ZstdError, EOFError) as error:
        raise BlobRotten(f"blob {sha256} has rotten: {error}") from error


def _rechunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= tables.CHUNK_BYTES:
            yield bytes(held[: tables.CHUNK_BYTES])
            del held[: tables.CHUNK_BYTES]
    if held:
        yield bytes(held)
