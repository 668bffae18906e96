"""Free space on the disks that the archive writes to, and the minimum that must stay free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.effects import Files
from easytracking_sync.errors import StorageFault


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Free space on the disk of a folder."""

    folder: Path
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DiskShortage:
    """A folder whose disk has less free space than required."""

    folder: Path
    free_bytes: int
    needed_bytes: int

    def __str__(self) -> str:
        free, needed = (f"{count / 1e6:,.0f} MB" for count in (self.free_bytes, self.needed_bytes))
        return f"{self.folder} has {free} free, less than storage.min_free_bytes ({needed})"


class DiskSpace:
    """Folders, possibly on different disks, and the `least_bytes` that must stay free on each."""

    def __init__(self, folders: Sequence[Path], files: Files, least_bytes: int = 0) -> None:
        self._folders = tuple(folders)
        self._files = files
        self._least_bytes = least_bytes

    def fullest(self) -> FreeSpace | None:
        """The folder with the least free space, of those whose free space can be read."""
        found = []
        for folder in self._folders:
            try:
                found.append(self._free(folder))
            except StorageFault:  # unreachable: whoever writes there reports it
                continue
        return min(found, key=lambda free: free.free_bytes, default=None)

    def shortage(self) -> DiskShortage | None:
        """The folder with the least free space, if that is too little; StorageFault if it cannot be read."""
        if self._least_bytes == 0:
            return None
        fullest = min(map(self._free, self._folders), key=lambda free: free.free_bytes)
        if fullest.free_bytes >= self._least_bytes:
            return None
        return DiskShortage(fullest.folder, fullest.free_bytes, self._least_bytes)

    def _free(self, folder: Path) -> FreeSpace:
        """A folder that does not exist yet will be on the disk of its nearest existing parent."""
        for nearest in (folder, *folder.absolute().parents):
            try:
                return FreeSpace(folder, self._files.free_bytes(nearest))
            except FileNotFoundError:
                continue
        raise StorageFault(f"neither {folder} nor any of its parents exists")
