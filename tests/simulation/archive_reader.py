"""Reads the archive independently of the program: plain SQL on its own connection, and its own decoding of bytes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

Row = tuple[Any, ...]


class ArchiveReader:
    """Rows and bytes of one archive, as they are committed at this moment."""

    def __init__(self, url: str, blobs_folder: Path | None) -> None:
        parsed = sa.make_url(url)
        self._blobs_folder = blobs_folder
        self._sqlite: sqlite3.Connection | None = None
        self._postgres: psycopg.Connection[Row] | None = None
        if parsed.get_backend_name() == "sqlite":
            self._sqlite = sqlite3.connect(str(parsed.database), isolation_level=None)
        else:
            self._postgres = psycopg.connect(
                host=str(parsed.query["host"]), user=parsed.username, dbname=parsed.database, autocommit=True
            )

    def close(self) -> None:
        for connection in (self._sqlite, self._postgres):
            if connection is not None:
                connection.close()

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows; parameters are written `?`."""
        if self._sqlite is not None:
            return self._sqlite.execute(query, parameters).fetchall()
        assert self._postgres is not None
        return self._postgres.execute(query.replace("?", "%s").encode(), parameters).fetchall()

    def change(self, statement: str, parameters: Sequence[object]) -> None:
        """Change rows without the program's knowledge, as a bad disk would."""
        if self._sqlite is not None:
            self._sqlite.execute(statement, parameters)
            return
        assert self._postgres is not None
        self._postgres.execute(statement.replace("?", "%s").encode(), parameters)

    def is_whole(self, sha256: str) -> bool:
        """Whether the stored bytes have this sha256."""
        body = self._stored(sha256)
        return body is not None and hashlib.sha256(body).hexdigest() == sha256

    def rot(self, sha256: str) -> None:
        """Damage a stored blob."""
        if self._blobs_folder is None:
            self.change("UPDATE blob_chunk SET content = ? WHERE sha256 = ?", (b"\0", sha256))
        else:
            self._path(sha256).write_bytes(b"\0")

    def _stored(self, sha256: str) -> bytes | None:
        if self._blobs_folder is not None:
            path = self._path(sha256)
            return path.read_bytes() if path.exists() else None
        chunks = self.rows("SELECT content FROM blob_chunk WHERE sha256 = ? ORDER BY position", (sha256,))
        try:
            return zstd.decompress(b"".join(bytes(content) for (content,) in chunks)) if chunks else None
        except zstd.ZstdError:
            return None

    def _path(self, sha256: str) -> Path:
        assert self._blobs_folder is not None
        return self._blobs_folder / sha256[:2] / sha256[2:4] / sha256
