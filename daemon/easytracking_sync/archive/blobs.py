"""The bytes of files as blobs, addressed by their SHA-256. Read a blob back before you rely on it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import tables
from easytracking_sync.archive.database import IDS_AT_ONCE, Database
from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable, Permanent
from easytracking_sync.terms import chunked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

T = TypeVar("T")

ZSTD_LEVEL = 3
TRANSACTION_BYTES = 32 << 20
"""One transaction holds blobs of about this many bytes, however large the parcel is."""

AT_ONCE = 16
"""Chunks per statement: at most this many MiB in memory."""

_HEADS = (
    sa.select(tables.blob.c.sha256, tables.blob.c.size, tables.blob.c.encoding, tables.blob_chunk.c.content)
    .outerjoin(
        tables.blob_chunk,
        sa.and_(tables.blob_chunk.c.sha256 == tables.blob.c.sha256, tables.blob_chunk.c.position == 0),
    )
    .where(tables.blob.c.sha256.in_(sa.bindparam("hashes", expanding=True)))
)

_REPAIR_LOCK = sa.select(sa.func.pg_advisory_xact_lock(sa.literal(0x6561_7379_6D65_6E64, sa.BigInteger)))
"""The number is arbitrary but must never change. The lock ends with its transaction."""


class BlobRotten(Permanent):
    """The bytes are missing or do not match their hash."""


@dataclass(frozen=True, slots=True)
class BlobSource:
    """Bytes to store: each call of `chunks()` returns them from the beginning."""

    sha256: str
    size: int
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)


class Blobs(Protocol):
    """A store of bytes. Once `put` returns, they are durable. `put` may be repeated and replaces a rotten copy."""

    def put(self, sources: Iterable[BlobSource]) -> None: ...
    def read(self, sha256: str) -> Iterator[bytes]:
        """The bytes in chunks; raises BlobRotten, at the latest at the end, if they do not match the hash."""
        ...

    def whole(self, hashes: Collection[str]) -> frozenset[str]:
        """Read these blobs from end to end; returns those that exist and match their hash."""
        ...

    def names(self) -> Iterator[Sequence[str]]:
        """The hashes of all blobs, intact or not, in pages; may miss blobs added or removed meanwhile."""
        ...

    def sweep(self, now: datetime) -> None:
        """Remove what killed instances left half-written. Repeating is safe, and so are several instances at once."""
        ...

    def remove(self, hashes: Collection[str]) -> None:
        """Remove these blobs, if they exist. Only call this while nothing can be stored."""
        ...


class DatabaseBlobs:
    """Blobs in the archive's database: zstd, in chunks of at most 1 MiB, few of them in memory at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, sources: Iterable[BlobSource]) -> None:
        """Durable when it returns. Raises BlobRotten if a source does not return the bytes it announced.

        DatabaseUnavailable also if another instance stored the same blob meanwhile and its copy is not intact.
        """
        wanted = {source.sha256: source for source in sources}
        found = {head.sha256: is_whole(self._proven(head)) for head in self._heads(tuple(wanted))}
        # All writers use the same order and repair apart from inserting, so that they cannot deadlock.
        missing = [source for sha256, source in sorted(wanted.items()) if sha256 not in found]
        rotten = [source for sha256, source in sorted(wanted.items()) if found.get(sha256) is False]
        for group in grouped_by_size(missing, lambda source: source.size):
            self._insert(group)
        for group in grouped_by_size(rotten, lambda source: source.size):
            self._replace(group)

    def read(self, sha256: str) -> Iterator[bytes]:
        """See Blobs. Reads each chunk in its own statement, so that a long read never blocks the writer."""
        for head in self._heads((sha256,)):
            yield from self._proven(head)
            return
        raise BlobRotten(f"blob {sha256} is not in the database")

    def whole(self, hashes: Collection[str]) -> frozenset[str]:
        return frozenset(head.sha256 for head in self._heads(sorted(hashes)) if is_whole(self._proven(head)))

    def sweep(self, now: datetime) -> None:
        """See Blobs. Nothing to do: an uncommitted transaction leaves nothing."""

    def names(self) -> Iterator[Sequence[str]]:
        blob = tables.blob
        for rows in self._database.pages(sa.select(blob.c.sha256), blob.c.sha256, size=IDS_AT_ONCE):
            yield [row.sha256 for row in rows]

    def remove(self, hashes: Collection[str]) -> None:
        for some in chunked(sorted(hashes), IDS_AT_ONCE):
            with self._database.write() as connection:
                _remove(connection, some)

    def _heads(self, hashes: Sequence[str]) -> Iterator[_Head]:
        """The rows of these blobs, each with its first chunk, which is often the only one."""
        for few in chunked(hashes, AT_ONCE):
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
            raise BlobRotten(f"blob {head.sha256} is damaged: its bytes do not match its hash")

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
            raise DatabaseUnavailable(
                "another instance stored the same blob at the same time, and its copy is damaged"
            )

    def _replace(self, group: Sequence[BlobSource]) -> None:
        """Replace rotten copies. Instances do so one at a time and skip what another has replaced meanwhile."""
        hashes = {source.sha256 for source in group}
        with self._database.write() as connection:
            if not self._database.is_sqlite:
                connection.execute(_REPAIR_LOCK)
            still = hashes - (frozenset() if self._database.is_sqlite else self.whole(hashes))
            _remove(connection, sorted(still))
            _insert_rows(connection, [source for source in group if source.sha256 in still], self._clock.now())


def is_whole(pieces: Iterator[bytes]) -> bool:
    """Read a blob to its end; False if it is rotten."""
    try:
        for _ in pieces:
            pass
    except BlobRotten:
        return False
    return True


def grouped_by_size(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Items in groups of about TRANSACTION_BYTES, one for each transaction."""
    group: list[T] = []
    weight = 0
    for item in items:
        group.append(item)
        weight += size(item)
        if weight >= TRANSACTION_BYTES:
            yield group
            group, weight = [], 0
    if group:
        yield group


def _insert_rows(connection: Connection, group: Sequence[BlobSource], now: datetime) -> set[str]:
    """Insert the blobs that are missing; returns their hashes."""
    rows = [{"sha256": one.sha256, "size": one.size, "encoding": "zstd", "stored_at": now} for one in group]
    if not rows:
        return set()
    new = tables.upsert(connection, tables.blob).on_conflict_do_nothing().returning(tables.blob.c.sha256)
    ours = set(connection.execute(new, rows).scalars())
    _insert_chunks(connection, (source for source in group if source.sha256 in ours))
    return ours


def _remove(connection: Connection, hashes: Sequence[str]) -> None:
    blob, chunk = tables.blob, tables.blob_chunk
    for few in chunked(hashes, IDS_AT_ONCE):
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
        raise BlobRotten(f"blob {source.sha256}: its source changed while it was being stored")


def _inflated(sha256: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of one zstd frame; does not request chunks beyond its end."""
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
        raise BlobRotten(f"blob {sha256} is damaged: {error}") from error


def _rechunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= tables.CHUNK_BYTES:
            yield bytes(held[: tables.CHUNK_BYTES])
            del held[: tables.CHUNK_BYTES]
    if held:
        yield bytes(held)
