"""DiskSpace on the disks that the archive writes to: how much there is, and how much must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.effects import Files
from easytracking_sync.errors import StorageFault


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """What is left on the disk under a folder."""

    folder: Path
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DiskShortage:
    """A folder whose disk has less left than must stay free."""

    folder: Path
    free_bytes: int
    needed_bytes: int

    def __str__(self) -> str:
        free, needed = (f"{count / 1e6:,.0f} MB" for count in (self.free_bytes, self.needed_bytes))
        return f"{self.folder} has {free} free, less than storage.min_free_bytes ({needed})"


class DiskSpace:
    """Folders, each perhaps on a disk of its own, and the `least_bytes` that must stay free under each."""

    def __init__(self, folders: Sequence[Path], files: Files, least_bytes: int = 0) -> None:
        self._folders = tuple(folders)
        self._files = files
        self._least_bytes = least_bytes

    def fullest(self) -> FreeSpace | None:
        """The folder with the least left, among those that say how much they have."""
        found = []
        for folder in self._folders:
            try:
                found.append(self._free(folder))
            except StorageFault:  # not to be reached: whoever needs it says so
                continue
        return min(found, key=lambda free: free.free_bytes, default=None)

    def shortage(self) -> DiskShortage | None:
        """The shortest of those that are short; StorageFault where one does not say how much it has."""
        if self._least_bytes == 0:
            return None
        fullest = min(map(self._free, self._folders), key=lambda free: free.free_bytes)
        if fullest.free_bytes >= self._least_bytes:
            return None
        return DiskShortage(fullest.folder, fullest.free_bytes, self._least_bytes)

    def _free(self, folder: Path) -> FreeSpace:
        """A folder that is not there yet will lie on the disk of what is there of the way to it."""
        for nearest in (folder, *folder.absolute().parents):
            try:
                return FreeSpace(folder, self._files.free_bytes(nearest))
            except FileNotFoundError:
                continue
        raise StorageFault(f"nothing is there of {folder}")
