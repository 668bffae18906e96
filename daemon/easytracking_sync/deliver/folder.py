"""A folder as a sink: local, or mounted by NFS or CIFS."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from easytracking_sync.deliver.sink import Probe, Put, checked
from easytracking_sync.effects import Files, storage_faults
from easytracking_sync.errors import SinkRefused, SinkUnavailable, StorageBroken, StorageFault

FORSAKEN_AFTER = timedelta(days=1)
PRIVATE = 0o700
"""The mode in which `Files.make_folder` creates folders."""

_PART = re.compile(r"\.[0-9a-f]{16}-[A-Za-z0-9-]+-\d+\.part")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use what is delivered. Without a group, a setgid bit of the folder decides it."""

    mode: int = 0o640
    group: str | None = None

    @property
    def folder_mode(self) -> int:
        """Who may read a file may also open its folder."""
        return self.mode | PRIVATE | (self.mode & 0o444) >> 2


class FolderSink:
    """Writes a `.part` file beside its target, syncs and checks it, then renames it without replacing anything.

    The folder itself must exist: otherwise files would go into the empty mount point of a share that is not mounted.
    `owner` names this process in temporary names.
    """

    def __init__(self, root: Path, files: Files, owner: str, access: Access = Access()) -> None:
        self._root = root
        self._files = files
        self._owner = re.sub(r"[^A-Za-z0-9]", "-", owner) or "-"
        self._access = access
        self._numbers = itertools.count(1)  # next() is atomic

    def put_new(self, name: str, content: bytes, sha256: str) -> Put:
        """See PutSink."""
        target = self._root / checked(name, content, sha256)
        with self._unavailable():
            self._make_folders(target.parent)
            put = self._existing(target, sha256)
            if put is None:
                put = Put.WRITTEN if self._write(target, content, sha256) else self._existing(target, sha256)
            if put is None:  # it was taken away between two looks
                raise SinkUnavailable(f"{target} appeared and disappeared while it was being written")
            if put is not Put.OTHER:
                self._files.sync_folder(target.parent)
            return put

    def read(self, name: str) -> bytes | None:
        """See PutSink."""
        path = self._root / name
        with self._unavailable():
            self._require_root()
            if self._is_strange(path):
                raise SinkRefused(f"{path} is not a file")
            return self._content(path)

    def probe(self) -> Probe:
        """See PutSink."""
        mine = f"probe-{self._owner}-{next(self._numbers)}.tmp"
        first, other = b"first", b"other"
        path = self._root / mine
        try:
            self.put_new(mine, first, _hash(first))
            with self._unavailable():
                replaced = self._write(path, other, _hash(other))
                mode = path.stat().st_mode
            if replaced or self.read(mine) != first:
                raise SinkRefused(f"{self._root} replaces existing files; deliver to another file system")
        finally:
            with contextlib.suppress(StorageFault):
                self._files.remove(path)
        if stat.S_IMODE(mode) == self._access.mode:
            return Probe()
        return Probe((f"{self._root} gives files the mode {stat.S_IMODE(mode):04o}, not {self._access.mode:04o}",))

    def sweep(self, now: datetime) -> None:
        """Remove `.part` files that a dead process left more than a day ago."""
        with self._unavailable():
            self._require_root()
            for path in sorted(self._root.rglob(".*.part")):
                written_at = self._files.modified_at(path)
                if _PART.fullmatch(path.name) and written_at is not None and now - written_at > FORSAKEN_AFTER:
                    self._files.remove(path)

    @contextlib.contextmanager
    def _unavailable(self) -> Iterator[None]:
        """A full, failing or missing disk stops this sink only, not the program."""
        try:
            with storage_faults(f"delivering to {self._root}"):
                yield
        except (StorageFault, StorageBroken) as error:
            raise SinkUnavailable(str(error)) from error
        except FileNotFoundError as error:
            raise SinkUnavailable(f"{error.filename or self._root} disappeared during a delivery") from error

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise SinkUnavailable(f"the folder {self._root} does not exist; mount or create it")

    def _make_folders(self, folder: Path) -> None:
        self._require_root()
        path = self._root
        for part in folder.relative_to(self._root).parts:
            path /= part
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise SinkRefused(f"{path} is not a folder; remove it, or change the pattern")
            if not path.exists():
                self._files.make_folder(path)
            if stat.S_IMODE(path.stat().st_mode) & 0o777 == PRIVATE:  # new, or left so by a crash
                self._files.set_access(path, self._access.folder_mode, self._access.group)
            self._files.sync_folder(path.parent)

    def _write(self, target: Path, content: bytes, sha256: str) -> bool:
        """Whether the name was free."""
        part = target.with_name(f".{sha256[:16]}-{self._owner}-{next(self._numbers)}.part")
        try:
            with self._files.create(part) as file:
                file.write(content)
                self._files.set_access(part, self._access.mode, self._access.group)
                self._files.sync(file)
            if self._content(part) != content:
                raise StorageFault(f"{part} holds other bytes than were written")
            return self._files.rename_new(part, target)
        finally:
            with contextlib.suppress(StorageFault):
                self._files.remove(part)

    def _existing(self, target: Path, sha256: str) -> Put | None:
        """None if the name is free. The bytes of an equal file are synced, as a crash may have left them unsynced."""
        if self._is_strange(target):
            return Put.OTHER
        content = self._content(target)
        if content is None:
            return None
        if _hash(content) != sha256:
            return Put.OTHER
        with contextlib.suppress(FileNotFoundError), self._files.open(target) as file:
            self._files.sync(file)
        return Put.SAME

    def _is_strange(self, path: Path) -> bool:
        return path.is_symlink() or (path.exists() and not path.is_file())

    def _content(self, path: Path) -> bytes | None:
        try:
            with self._files.open(path) as file:
                return file.read()
        except FileNotFoundError:
            return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
