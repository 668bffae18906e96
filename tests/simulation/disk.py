"""A disk that loses everything unsynced at a power cut, including names of files and folders.

Bytes are on the disk once their file was synced. A name (of a new, renamed or removed file, or of a new folder) is
there, or gone, once the folder it stands in was synced, and not before: what POSIX promises, and no more than that.
"""

from __future__ import annotations

import errno
import io
import shutil
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

from tests.simulation.fault_injection import Failure, FaultInjector, Kind

from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageBroken, StorageFault

ROOM = 1 << 40


class Cut(StrEnum):
    """How much unsynced data a power cut loses; a real disk may do any of these."""

    ALL = "all"  # nothing unsynced is there
    BYTES = "bytes"  # the names are there, with half of the bytes, or with zeros
    SOME = "some"  # of each folder the older changes; bytes whole, torn, zeros or none


@dataclass(frozen=True, slots=True)
class Entry:
    """An unsynced change of a folder; `undo` reverts it."""

    number: int
    undo: Callable[[], object]


class MortalFiles(LocalFiles):
    """The file layer of one instance: each call is an effect, and a power cut loses unsynced data."""

    def __init__(self, injector: FaultInjector, seed: int = 0) -> None:
        self.cut = Cut.ALL
        self._dice = Random(f"disk/{seed}")
        self._injector = injector
        self._dirty: dict[Path, bytes] = {}  # what of each file would be left
        self._entries: defaultdict[Path, list[Entry]] = defaultdict(list)  # by the folder that changed
        self._number = 0
        injector.on_power_cut = self.cut_power
        injector.is_unsynced = lambda: bool(self._dirty or self._entries)

    def cut_power(self) -> None:
        """Remove from the real folder what a disk without power would lose."""
        for path, durable in self._dirty.items():
            if path.exists():
                path.write_bytes(self._left(path.read_bytes(), durable))
        for entry in sorted(self._lost(), key=lambda entry: -entry.number):
            entry.undo()
        self._dirty.clear()
        self._entries.clear()

    def make_folder(self, path: Path) -> None:
        missing = list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
        with self._injector.effect(Kind.CHANGE, f"make {path.name}", _refusing(f"making {path.name}")):
            super().make_folder(path)
        for folder in reversed(missing):
            self._note(folder.parent, partial(shutil.rmtree, folder, ignore_errors=True))

    def create(self, path: Path) -> BinaryIO:
        before = _content(path)
        with ExitStack() as closing:
            with self._injector.effect(Kind.CHANGE, f"create {path.name}", _refusing(f"creating {path.name}")):
                file = super().create(path)
                closing.callback(file.close)
            closing.pop_all()
        self._note(path.parent, _restoring(path, before))
        self._dirty[path] = b""
        return MortalFile(file, path, self._injector)  # type: ignore[return-value]

    def sync(self, file: BinaryIO) -> None:
        path = Path(file.name)
        with self._injector.effect(Kind.SYNC, "a file", lambda _: StorageBroken("fsync failed")):
            super().sync(file)
        self._dirty.pop(path, None)

    def rename(self, source: Path, target: Path) -> None:
        before, moved = _content(target), _content(source)
        with self._injector.effect(Kind.CHANGE, f"rename to {target.name}", _refusing(f"renaming {source.name}")):
            super().rename(source, target)
        if source in self._dirty:
            self._dirty[target] = self._dirty.pop(source)
        self._note(target.parent, _restoring(target, before))
        self._note(source.parent, _restoring(source, moved))

    def rename_new(self, source: Path, target: Path) -> bool:
        moved = _content(source)
        with self._injector.effect(Kind.CHANGE, f"rename to {target.name}", _refusing(f"renaming {source.name}")):
            if not super().rename_new(source, target):
                return False
        if source in self._dirty:
            self._dirty[target] = self._dirty.pop(source)
        self._note(target.parent, _restoring(target, None))
        self._note(source.parent, _restoring(source, moved))
        return True

    def sync_folder(self, path: Path) -> None:
        with self._injector.effect(Kind.SYNC, "a folder", lambda _: StorageBroken("fsync of a folder failed")):
            super().sync_folder(path)
        self._entries.pop(path, None)

    def remove(self, path: Path) -> None:
        before = _content(path)
        with self._injector.effect(Kind.CHANGE, f"remove {path.name}", _refusing(f"removing {path.name}")):
            super().remove(path)
        if before is not None:
            self._note(path.parent, _restoring(path, self._dirty.pop(path, before)))

    def open(self, path: Path) -> BinaryIO:
        with self._injector.effect(Kind.LOOK, f"open {path.name}", _refusing(f"opening {path.name}")):
            return super().open(path)

    def size(self, path: Path) -> int | None:
        with self._injector.effect(Kind.LOOK, f"size of {path.name}", _refusing(f"looking at {path.name}")):
            return super().size(path)

    def names(self, folder: Path) -> list[str]:
        with self._injector.effect(Kind.LOOK, f"names in {folder.name}", _refusing(f"reading {folder.name}")):
            return super().names(folder)

    def free_bytes(self, folder: Path) -> int:
        with self._injector.effect(Kind.LOOK, f"room in {folder.name}", _refusing(f"measuring {folder.name}")):
            return ROOM

    def _note(self, folder: Path, undo: Callable[[], object]) -> None:
        self._number += 1
        self._entries[folder].append(Entry(self._number, undo))

    def _left(self, written: bytes, durable: bytes) -> bytes:
        if self.cut is Cut.ALL:
            return durable
        choices = [written[: len(written) // 2], b"\0" * len(written)]
        return self._dice.choice([*choices, written, durable] if self.cut is Cut.SOME else choices)

    def _lost(self) -> list[Entry]:
        lost: list[Entry] = []
        if self.cut is not Cut.BYTES:
            for _, changes in sorted(self._entries.items()):
                kept = self._dice.randint(0, len(changes)) if self.cut is Cut.SOME else 0
                lost += changes[kept:]
        return lost


class MortalFile(io.RawIOBase):
    """A file whose writes are effects."""

    def __init__(self, file: BinaryIO, path: Path, injector: FaultInjector) -> None:
        self.name = str(path)
        self._file = file
        self._injector = injector

    def write(self, content: Any) -> int:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        with self._injector.effect(Kind.WRITE, f"{len(content)} bytes", _os_error, half):
            written = self._file.write(content)
            self._file.flush()
            return written

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


def _refusing(doing: str) -> Callable[[Failure], Exception]:
    def refuse(failure: Failure) -> Exception:
        return StorageFault(f"storage failed while {doing}: {_os_error(failure)}")

    return refuse


def _os_error(failure: Failure) -> OSError:
    if failure is Failure.FULL:
        return OSError(errno.ENOSPC, "No space left on device")
    return OSError(errno.EIO, "Input/output error")


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _restoring(path: Path, content: bytes | None) -> Callable[[], object]:
    """Put a name back as it was: gone, or with these bytes."""

    def restore() -> None:
        if content is None:
            path.unlink(missing_ok=True)
        elif path.parent.exists():
            path.write_bytes(content)

    return restore
