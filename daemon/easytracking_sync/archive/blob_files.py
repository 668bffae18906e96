"""Blobs as files named by their SHA-256, in two levels of folders."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from easytracking_sync.archive.blobs import BlobRotten, BlobSource, is_whole
from easytracking_sync.effects import Files, make_durable_folder, storage_faults
from easytracking_sync.errors import StorageFault

PIECE_BYTES = 1 << 20
HASH = re.compile(r"[0-9a-f]{64}")
PAIR = re.compile(r"[0-9a-f]{2}")
FORSAKEN_AFTER = timedelta(days=1)
ARRIVING = "arriving"
"""The folder for files being written, on the same file system as the blobs."""


class FileBlobs:
    """Blobs on a file system: write to a temporary file, check, fsync, rename, fsync the folder. Never overwrites an
    intact blob.
    """

    def __init__(self, root: Path, files: Files, owner: str) -> None:
        self._root = root
        self._files = files
        self._owner = "".join(letter if letter.isalnum() else "-" for letter in owner)
        self._lock = threading.Lock()
        self._count = 0
        self._rooted = False

    def put(self, sources: Iterable[BlobSource]) -> None:
        """Durable when it returns; see Blobs. Reads and syncs a blob that exists before it relies on it."""
        folders: set[Path] = set()
        for source in {source.sha256: source for source in sources}.values():
            target = self._path(source.sha256)
            if is_whole(self.read(source.sha256)):
                with self._files.open(target) as file:
                    self._files.sync(file)
            else:
                self._write(source, target)
            folders |= {target.parent, target.parent.parent, self._root}
        for folder in sorted(folders, key=lambda folder: (-len(folder.parts), folder)):
            self._files.sync_folder(folder)

    def read(self, sha256: str) -> Iterator[bytes]:
        try:
            file = self._files.open(self._path(sha256))
        except FileNotFoundError:
            raise BlobRotten(f"blob {sha256} is not in {self._root}") from None
        digest = hashlib.sha256()
        with file:
            while True:
                with storage_faults(f"reading blob {sha256}"):
                    piece = file.read(PIECE_BYTES)
                if not piece:
                    break
                digest.update(piece)
                yield piece
        if digest.hexdigest() != sha256:
            raise BlobRotten(f"blob {sha256} is damaged: its bytes do not match its hash")

    def whole(self, hashes: Collection[str]) -> frozenset[str]:
        return frozenset(sha256 for sha256 in sorted(hashes) if is_whole(self.read(sha256)))

    def names(self) -> Iterator[Sequence[str]]:
        """See Blobs. A page is a folder."""
        for first in self._folders(self._root):
            for second in self._folders(self._root / first):
                page = [name for name in self._names(self._root / first / second) if HASH.fullmatch(name)]
                if page:
                    yield page

    def sweep(self, now: datetime) -> None:
        """See Blobs. Removes files older than a day; a writer that still needed one tries again."""
        arriving = self._root / ARRIVING
        for name in self._names(arriving):
            written_at = self._files.modified_at(arriving / name)
            if written_at is not None and now - written_at > FORSAKEN_AFTER:
                self._files.remove(arriving / name)

    def remove(self, hashes: Collection[str]) -> None:
        """See Blobs. Keeps the folders."""
        for sha256 in hashes:
            self._files.remove(self._path(sha256))

    def _folders(self, folder: Path) -> list[str]:
        return [name for name in self._names(folder) if PAIR.fullmatch(name)]

    def _names(self, folder: Path) -> list[str]:
        try:
            return self._files.names(folder)
        except FileNotFoundError:
            return []

    def _write(self, source: BlobSource, target: Path) -> None:
        if not self._rooted:
            make_durable_folder(self._files, self._root)
            self._rooted = True
        for folder in (self._root / ARRIVING, target.parent):
            self._files.make_folder(folder)
        arriving = self._root / ARRIVING / self._temporary_name(source.sha256)
        digest, size = hashlib.sha256(), 0
        file = self._files.create(arriving)
        try:
            with file:
                for piece in source.chunks():
                    digest.update(piece)
                    size += len(piece)
                    with storage_faults(f"writing blob {source.sha256}"):
                        file.write(piece)
                if (digest.hexdigest(), size) != (source.sha256, source.size):
                    raise BlobRotten(f"blob {source.sha256}: its source changed while it was being stored")
                self._files.sync(file)
            if self._files.size(arriving) != size:
                raise StorageFault(f"blob {source.sha256}: the file is shorter than what was written")
            self._files.rename(arriving, target)
        except BaseException:
            with contextlib.suppress(StorageFault, OSError):
                self._files.remove(arriving)
            raise

    def _temporary_name(self, sha256: str) -> str:
        """A unique name: two threads may store the same bytes at once."""
        with self._lock:
            self._count += 1
            return f"{sha256}.{self._owner}.{self._count}"

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256[2:4] / sha256
