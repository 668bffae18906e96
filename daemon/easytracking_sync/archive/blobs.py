"""Files' bytes, addressed by their sha256. Whoever relies on a blob reads it back first."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import tables
from easytracking_sync.archive.database import Database
from easytracking_sync.effects import Clock
from easytracking_sync.errors import Permanent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_LEVEL = 3
TRANSACTION_BYTES = 32 << 20
"""Blobs are committed in groups of about this many bytes, so that no transaction grows with a parcel."""


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


def is_whole(blobs: Blobs, sha256: str) -> bool:
    """Read a blob from end to end; whether it is there and is what its name says."""
    try:
        for _ in blobs.read(sha256):
            pass
    except BlobRotten:
        return False
    return True


class DatabaseBlobs:
    """Blobs in the archive's own database: zstd, in chunks of at most 1 MiB, one chunk in memory at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, sources: Iterable[BlobSource]) -> None:
        """Durable when it returns. Raises BlobRotten where a source does not give the bytes it announced."""
        group: list[BlobSource] = []
        weight = 0
        for source in sources:
            if is_whole(self, source.sha256):
                continue
            group.append(source)
            weight += source.size
            if weight >= TRANSACTION_BYTES:
                self._insert(group)
                group, weight = [], 0
        self._insert(group)

    def read(self, sha256: str) -> Iterator[bytes]:
        """See Blobs. Each chunk is a statement of its own, so that a long read never blocks the writer."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(tables.blob.c.size, tables.blob.c.encoding).where(tables.blob.c.sha256 == sha256)
            ).one_or_none()
        if row is None:
            raise BlobRotten(f"blob {sha256} is not in the database")
        if row.encoding != "zstd":
            raise BlobRotten(f"blob {sha256} has the unknown encoding {row.encoding}")
        digest, size = hashlib.sha256(), 0
        for chunk in _inflated(sha256, self._stored_chunks(sha256)):
            digest.update(chunk)
            size += len(chunk)
            if size > row.size:
                break
            yield chunk
        if size != row.size or digest.hexdigest() != sha256:
            raise BlobRotten(f"blob {sha256} has rotten: its bytes are not the ones that were stored")

    def _stored_chunks(self, sha256: str) -> Iterator[bytes]:
        chunk = tables.blob_chunk
        position = 0
        while True:
            with self._database.read() as connection:
                content = connection.execute(
                    sa.select(chunk.c.content).where(chunk.c.sha256 == sha256, chunk.c.position == position)
                ).scalar_one_or_none()
            if content is None:
                return
            yield content
            position += 1

    def _insert(self, group: list[BlobSource]) -> None:
        if not group:
            return
        with self._database.write() as connection:
            for source in {source.sha256: source for source in group}.values():
                self._insert_one(connection, source)

    def _insert_one(self, connection: Connection, source: BlobSource) -> None:
        chunk, blob = tables.blob_chunk, tables.blob
        connection.execute(sa.delete(chunk).where(chunk.c.sha256 == source.sha256))
        connection.execute(sa.delete(blob).where(blob.c.sha256 == source.sha256))
        row = {"sha256": source.sha256, "size": source.size, "encoding": "zstd", "stored_at": self._clock.now()}
        connection.execute(sa.insert(blob), row)
        for position, content in enumerate(_rechunked(_deflated(source))):
            connection.execute(sa.insert(chunk), {"sha256": source.sha256, "position": position, "content": content})


def _deflated(source: BlobSource) -> Iterator[bytes]:
    compressor = zstd.ZstdCompressor(level=ZSTD_LEVEL)
    digest = hashlib.sha256()
    for chunk in source.chunks():
        digest.update(chunk)
        yield compressor.compress(chunk)
    yield compressor.flush()
    if digest.hexdigest() != source.sha256:
        raise BlobRotten(f"blob {source.sha256}: the source changed while it was stored")


def _inflated(sha256: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zstd.ZstdDecompressor()
    try:
        for chunk in chunks:
            piece = inflater.decompress(chunk, max_length=tables.CHUNK_BYTES)
            while piece or not (inflater.needs_input or inflater.eof):
                yield piece
                if inflater.eof:
                    break
                piece = inflater.decompress(b"", max_length=tables.CHUNK_BYTES)
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
