"""The spool: where a parcel lies, whole, between the service's one answer and the archive."""

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
class _Poured:
    file: BinaryIO | None = None
    count: int = 0
    kept: bool = False

    def crosses(self, step: int, more: int) -> bool:
        return self.count // step != (self.count + more) // step


class Spool:
    """A folder of parcels, and beside it `inspection/` with the bad ones, capped by count and bytes.

    A name that `holds` answers True for is a parcel that was written whole, synced and renamed. Several instances may
    put parcels into one folder, if each has a `writer` of its own: its parts are then nobody else's.
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
        """What is spooled goes on to the folders `beside`: without room there, nothing is to be asked for either."""
        self.disk_space = DiskSpace((folder, *beside), files, min_free_bytes)
        self._own_disk = DiskSpace((folder,), files, min_free_bytes)
        self._folder = folder
        self._inspection = folder / "inspection"
        self._files = files
        self._writer = "".join(letter if letter.isalnum() else "-" for letter in writer)

    def prepare(self) -> None:
        """The folders exist afterwards."""
        self._files.make_folder(self._folder)
        self._files.make_folder(self._inspection)

    def has_room(self) -> bool:
        """Whether `min_free_bytes` are still free on every disk; where they are not, nothing is reserved."""
        return self.disk_space.shortage() is None

    @contextlib.contextmanager
    def receiving(self, name: str) -> Iterator[Callable[[bytes], object]]:
        """Give a sink for the parcel's bytes. When the block ends, the parcel is whole and durable under `name`.

        When the block raises, or nothing was poured, nothing is left under that name, unless its last sync alone
        failed: then it is the whole parcel. StorageFault before the reserve is eaten.

        Parts of this parcel that other writers left are removed: whoever still wrote one has lost the batch.
        """
        if self._writer:
            for other in self.lying():
                if other.endswith(PART) and _whole_name(other) == name:
                    self.remove(other)
        part = self._folder / (f"{name}.{self._writer}{PART}" if self._writer else name + PART)
        with contextlib.ExitStack() as closing:
            poured = _Poured()

            def sink(chunk: bytes) -> None:
                if poured.file is None:
                    poured.file = self._files.create(part)
                    closing.callback(self._drop, poured, part)
                if poured.crosses(FREE_CHECK_BYTES, len(chunk)) and (short := self._own_disk.shortage()):
                    raise StorageFault(f"{short}; free some space")
                with storage_faults("writing a parcel to the spool"):
                    poured.file.write(chunk)
                poured.count += len(chunk)

            yield sink
            if poured.file is None:
                return
            self._files.sync(poured.file)
            with storage_faults("closing a parcel in the spool"):
                poured.file.close()
            if self._files.size(part) != poured.count:
                raise StorageFault("the spool holds fewer bytes than were written")
            self._files.rename(part, self._folder / name)
            self._files.sync_folder(self._folder)
            poured.kept = True

    def holds(self, name: str) -> bool:
        """Whether a whole parcel lies under this name."""
        return self._files.size(self._folder / name) is not None

    def open(self, name: str) -> BinaryIO:
        """The parcel for reading; FileNotFoundError where it is gone."""
        return self._files.open(self._folder / name)

    def remove(self, name: str) -> None:
        """The parcel is gone afterwards; repeating is safe."""
        self._files.remove(self._folder / name)

    def keep_for_inspection(self, name: str) -> str | None:
        """Put a bad parcel aside for a person to look at, and the oldest away; the name it has there."""
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

    def lying(self) -> list[str]:
        """The names of all parcels and parts that lie here now."""
        return [
            name
            for name in self._files.names(self._folder)
            if name.endswith(ZIP) or (ZIP in name and name.endswith(PART))
        ]

    def sweep(self, wanted: Collection[str], lying: Collection[str] | None = None) -> None:
        """Remove what no batch waits for: parts of a run that died, parcels whose batch is done.

        Where others put parcels here too, `lying` is what lay here before `wanted` was read, so that one that comes
        meanwhile stays; and so do the parts of parcels that are waited for, whoever writes them.
        """
        for name in self.lying() if lying is None else lying:
            if name not in wanted and not (self._writer and _whole_name(name) in wanted):
                self.remove(name)

    def _drop(self, poured: _Poured, part: Path) -> None:
        if poured.file is not None and not poured.kept:
            with contextlib.suppress(OSError):
                poured.file.close()
            with contextlib.suppress(StorageFault):  # the sweep takes it; what went wrong before must be heard
                self._files.remove(part)

    def _by_age(self) -> list[str]:
        def batch_number(name: str) -> tuple[int, str]:
            head = name.partition("-")[0]
            return (int(head) if head.isdecimal() else 0, name)

        return sorted(self._files.names(self._inspection), key=batch_number)


def _whole_name(part: str) -> str:
    """The parcel that a part is to become."""
    return part.partition(ZIP)[0] + ZIP


def parcel_name(batch_id: int, job_id: str) -> str:
    """One name for one job of one batch, so that a parcel found after a crash is known to be the right one."""
    return f"{batch_id}-{job_id}{ZIP}"
