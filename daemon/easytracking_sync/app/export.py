"""Exports files from the archive to a folder. Never overwrites, leaves the folder, or writes partial files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.app.documents import list_documents, require_file_types
from easytracking_sync.archive.blobs import BlobRotten, Blobs
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter, FileEntry
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Files, make_durable_folder, storage_faults
from easytracking_sync.errors import LockHeld, StorageFault, UsageError
from easytracking_sync.safe_file_names import distinct_names, safe_name
from easytracking_sync.settings import Settings

PART = ".part"
READ_BYTES = 1 << 20
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}  # returned by some network file systems


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export. `differing` and `rotten` need attention."""

    documents: int = 0
    written: int = 0
    bytes: int = 0
    skipped: int = 0  # already there, identical
    differing: tuple[Path, ...] = ()  # already there, different: not overwritten
    rotten: tuple[str, ...] = ()  # the archive's own copy is damaged


def export_documents(
    archive: Archive,
    settings: Settings,
    filters: DocumentFilter,
    folder: Path,
    files: Files,
    *,
    types: Collection[str] = (),
) -> Exported:
    """Write the files of the documents that match to FOLDER/ACCOUNT/YYYY-MM/DOCID/NAME, in every version.

    Every file is written under a temporary name, checked against its sha256, synced and then renamed, unless a file
    of that name exists. Safe to repeat; writes only what is missing. No `types` means all. UsageError for an unknown
    account, document type or type of file, or a path that is not a folder; LockHeld if another export writes there;
    StorageFault or StorageBroken if the disk fails.
    """
    require_file_types(archive, types)
    documents = list_documents(archive, settings, filters)
    with _exclusively(folder, files):
        work = _Export(folder, archive.blobs, files, types)
        for entry in documents:
            work.add(entry)
    return Exported(work.documents, work.written, work.bytes, work.skipped, tuple(work.differing), tuple(work.rotten))


class _Export:
    """The work, and the counts so far."""

    def __init__(self, folder: Path, blobs: Blobs, files: Files, types: Collection[str]) -> None:
        self._folder = folder
        self._blobs = blobs
        self._files = files
        self._types = frozenset(types)
        self.documents = self.written = self.bytes = self.skipped = 0
        self.differing: list[Path] = []
        self.rotten: list[str] = []

    def add(self, entry: DocumentEntry) -> None:
        """Write one document's files."""
        names = distinct_names(part.name for part in entry.files)  # of all files, so that `types` changes no name
        wanted = [
            (part, name)
            for part, name in zip(entry.files, names, strict=True)
            if not self._types or part.type in self._types
        ]
        if not wanted:
            return
        self.documents += 1
        folder = self._folder_of(entry)
        for part, name in wanted:
            self._place(part, folder / name, entry)
        self._files.sync_folder(folder)

    def _folder_of(self, entry: DocumentEntry) -> Path:
        day = entry.received or entry.document_date
        month = "undated" if day is None else f"{day.year:04}-{day.month:02}"
        folder = self._folder
        for name in (safe_name(entry.account), month, str(entry.doc_id)):
            folder /= name
            self._make_folder(folder)
        return folder

    def _make_folder(self, folder: Path) -> None:
        with storage_faults(f"looking at {folder}"):
            if folder.is_symlink():
                raise UsageError(f"{folder} is a symbolic link, which an export does not follow; remove it")
            if folder.is_dir():
                return
        self._files.make_folder(folder)
        self._files.sync_folder(folder.parent)

    def _place(self, part: FileEntry, target: Path, entry: DocumentEntry) -> None:
        if os.path.lexists(target):
            self._compare(part, target)
            return
        temporary = target.with_name(f".{part.sha256}{PART}")
        try:
            self._write(part, temporary)
            if self._files.rename_new(temporary, target):
                self.written += 1
                self.bytes += part.size
            else:
                self._compare(part, target)
        except BlobRotten as rotten:
            self.rotten.append(f"{entry.shown_id} {part.type}: {rotten}")
        finally:
            self._files.remove(temporary)

    def _write(self, part: FileEntry, temporary: Path) -> None:
        """`Blobs.read` verifies size and sha256. The temporary file is in the folder of its target."""
        file = self._files.create(temporary)
        with contextlib.closing(file), storage_faults(f"writing {temporary.parent}"):
            for chunk in self._blobs.read(part.sha256):
                file.write(chunk)
            self._files.sync(file)

    def _compare(self, part: FileEntry, target: Path) -> None:
        if _is_same(target, part, self._files):
            self.skipped += 1
        else:
            self.differing.append(target)


@contextlib.contextmanager
def _exclusively(folder: Path, files: Files) -> Iterator[None]:
    """Create and lock the folder; LockHeld if another export writes to it."""
    if folder.is_symlink() and not folder.exists():
        raise UsageError(f"{folder} is a symbolic link to a folder that does not exist; name another folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name another one")
    make_durable_folder(files, folder)
    with storage_faults(f"opening {folder}"):
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(held, folder)
        yield
    finally:
        os.close(held)


def _lock(held: int, folder: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeld(f"another export writes to {folder}; wait until it has finished") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise StorageFault(f"cannot lock {folder}: {error.strerror}") from error


def _is_same(target: Path, part: FileEntry, files: Files) -> bool:
    if target.is_symlink() or not target.is_file() or files.size(target) != part.size:
        return False
    digest = hashlib.sha256()
    with files.open(target) as file, storage_faults(f"reading {target}"):
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == part.sha256
