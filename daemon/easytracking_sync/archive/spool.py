"""The spool: keeps a parcel on disk between the service's only answer and its storage in the archive."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from easytracking_sync.archive.disk_space import DiskSpace
from easytracking_sync.effects import Files, storage_faults
from easytracking_sync.errors import StorageFault

ZIP = ".zip"
PART = ".part"
MOST_INSPECTED = 20
MOST_INSPECTED_BYTES = 1 << 30
FREE_CHECK_BYTES = 16 << 20


@dataclass(slots=True)
class _Received:
    file: BinaryIO | None = None
    count: int = 0
    kept: bool = False

    def crosses(self, step: int, more: int) -> bool:
        return self.count // step != (self.count + more) // step


class Spool:
    """A folder of parcels, with `inspection/` for unusable ones, limited by count and bytes.

    A parcel that `holds` reports was written completely, synced and renamed. Several instances may share one folder
    if each has its own `writer`, which marks its partial files.
    """

    def __init__(
        self,
        folder: Path,
        files: Files,
        *,
        min_free_bytes: int = 0,
        beside: Collection[Path] = (),
        writer: str = "",
    ) -> None:
        """Parcels are later stored in the folders `beside`: without space there, nothing may be reserved either."""
        self.disk_space = DiskSpace((folder, *beside), files, min_free_bytes)
        self._own_disk = DiskSpace((folder,), files, min_free_bytes)
        self._folder = folder
        self._inspection = folder / "inspection"
        self._files = files
        self._writer = "".join(letter if letter.isalnum() else "-" for letter in writer)

    def prepare(self) -> None:
        self._files.make_folder(self._folder)
        self._files.make_folder(self._inspection)

    def has_space(self) -> bool:
        """Whether `min_free_bytes` are free on every disk; if not, nothing may be reserved."""
        return self.disk_space.shortage() is None

    @contextlib.contextmanager
    def receiving(self, name: str) -> Iterator[Callable[[bytes], object]]:
        """Yield a sink for the parcel's bytes. When the block ends, the parcel is complete and durable under `name`.

        If the block raises, or the sink received nothing, no parcel exists under that name, unless only the last sync
        failed: then it is complete. StorageFault before the free space falls below the minimum.

        Removes partial files of this parcel that other writers left: they have lost the batch.
        """
        if self._writer:
            for other in self.names():
                if other.endswith(PART) and _complete_name(other) == name:
                    self.remove(other)
        part = self._folder / (f"{name}.{self._writer}{PART}" if self._writer else name + PART)
        with contextlib.ExitStack() as closing:
            received = _Received()

            def sink(chunk: bytes) -> None:
                if received.file is None:
                    received.file = self._files.create(part)
                    closing.callback(self._drop, received, part)
                if received.crosses(FREE_CHECK_BYTES, len(chunk)) and (short := self._own_disk.shortage()):
                    raise StorageFault(f"{short}; free some space")
                with storage_faults("writing a parcel to the spool"):
                    received.file.write(chunk)
                received.count += len(chunk)

            yield sink
            if received.file is None:
                return
            self._files.sync(received.file)
            with storage_faults("closing a parcel in the spool"):
                received.file.close()
            if self._files.size(part) != received.count:
                raise StorageFault("the parcel in the spool is shorter than what was written")
            self._files.rename(part, self._folder / name)
            self._files.sync_folder(self._folder)
            received.kept = True

    def holds(self, name: str) -> bool:
        """Whether a complete parcel has this name."""
        return self._files.size(self._folder / name) is not None

    def open(self, name: str) -> BinaryIO:
        """The parcel, open for reading; FileNotFoundError if it does not exist."""
        return self._files.open(self._folder / name)

    def remove(self, name: str) -> None:
        """Remove the parcel; repeating is safe."""
        self._files.remove(self._folder / name)

    def keep_for_inspection(self, name: str) -> str | None:
        """Move an unusable parcel to `inspection/` and remove the oldest ones there; returns its name there."""
        size = self._files.size(self._folder / name)
        if size is None:
            return None
        if size > MOST_INSPECTED_BYTES:
            self.remove(name)
            return None
        self._files.rename(self._folder / name, self._inspection / name)
        kept = [(self._files.size(self._inspection / other) or 0, other) for other in self._by_age()]
        while len(kept) > MOST_INSPECTED or sum(size for size, _ in kept) > MOST_INSPECTED_BYTES:
            self._files.remove(self._inspection / kept.pop(0)[1])
        return name

    def names(self) -> list[str]:
        """The names of all parcels and partial files in the spool."""
        return [
            name
            for name in self._files.names(self._folder)
            if name.endswith(ZIP) or (ZIP in name and name.endswith(PART))
        ]

    def sweep(self, wanted: Collection[str], names: Collection[str] | None = None) -> None:
        """Remove what no batch waits for: partial files of a killed run, parcels whose batch is done.

        If other instances use the folder too, pass the `names` read before `wanted`, so that a parcel added meanwhile
        is kept. Partial files of wanted parcels are kept, whoever writes them.
        """
        for name in self.names() if names is None else names:
            if name not in wanted and not (self._writer and _complete_name(name) in wanted):
                self.remove(name)

    def _drop(self, received: _Received, part: Path) -> None:
        if received.file is not None and not received.kept:
            with contextlib.suppress(OSError):
                received.file.close()
            with contextlib.suppress(StorageFault):  # the sweep removes it; the first error must be reported
                self._files.remove(part)

    def _by_age(self) -> list[str]:
        def batch_number(name: str) -> tuple[int, str]:
            head = name.partition("-")[0]
            return (int(head) if head.isdecimal() else 0, name)

        return sorted(self._files.names(self._inspection), key=batch_number)


def _complete_name(part: str) -> str:
    """The name of the parcel that a partial file belongs to."""
    return part.partition(ZIP)[0] + ZIP


def parcel_name(batch_id: int, job_id: str) -> str:
    """The parcel's name, unique to the job and the batch, so that a parcel found after a crash can be identified."""
    return f"{batch_id}-{job_id}{ZIP}"
