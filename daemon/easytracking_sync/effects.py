"""Effects on the outside: clock, randomness, files and network. Simulations replace them.

No other module reads a clock, sleeps, draws a random number or touches a file that must survive a power cut. The
network is used by `remote` alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from easytracking_sync.errors import StorageBroken, StorageFault
from easytracking_sync.exclusive_rename import rename_exclusively


class Clock(Protocol):
    """Time. `now` is aware UTC and may jump; `monotonic` (seconds) never decreases."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Sleep until `wake` is set, at most `seconds`; whether it is set."""
        ...


class Dice(Protocol):
    """Randomness, for jitter only."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


class Files(Protocol):
    """The file layer. Every method may raise StorageFault; a failed sync raises StorageBroken."""

    def make_folder(self, path: Path) -> None: ...
    def create(self, path: Path) -> BinaryIO:
        """A new file, 0600, open for writing; replaces a file of that name."""
        ...

    def sync(self, file: BinaryIO) -> None: ...
    def rename(self, source: Path, target: Path) -> None: ...
    def rename_new(self, source: Path, target: Path) -> bool:
        """Rename a file unless the target exists; whether it was renamed."""
        ...

    def set_access(self, path: Path, mode: int, group: str | None) -> None:
        """Set the permissions, and the group if one is given; a folder keeps its setgid bit."""
        ...

    def sync_folder(self, path: Path) -> None: ...
    def open(self, path: Path) -> BinaryIO:
        """An existing file for reading; FileNotFoundError if it is missing."""
        ...

    def size(self, path: Path) -> int | None:
        """Bytes, or None if there is no such file."""
        ...

    def modified_at(self, path: Path) -> datetime | None:
        """When it was last written, or None if there is no such file."""
        ...

    def remove(self, path: Path) -> None:
        """Remove the file if it exists."""
        ...

    def names(self, folder: Path) -> list[str]: ...
    def free_bytes(self, folder: Path) -> int: ...


class Network(Protocol):
    """Carries HTTP requests to the vendor's service: an httpx transport, which only `remote` needs to know.

    Accounts and threads share it.
    """

    def handle_request(self, request: Any, /) -> Any: ...
    def close(self) -> None: ...


@contextlib.contextmanager
def storage_faults(doing: str) -> Iterator[None]:
    """Translate OSError into StorageFault; `doing` completes the sentence "while …"."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFault(f"storage failed while {doing}: {error.strerror or error}") from error


class LocalFiles:
    def make_folder(self, path: Path) -> None:
        with storage_faults(f"making the folder {path}"):
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except FileNotFoundError as error:  # a file system without new folders, such as /proc
                raise StorageFault(f"cannot make the folder {path}: {error.strerror}") from error

    def create(self, path: Path) -> BinaryIO:
        with storage_faults(f"creating {path}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            return os.fdopen(os.open(path, flags, 0o600), "wb")

    def sync(self, file: BinaryIO) -> None:
        with storage_faults("flushing a file"):
            file.flush()
        try:
            os.fsync(file.fileno())
        except OSError as error:
            raise StorageBroken(f"fsync failed, the disk cannot be trusted: {error.strerror}") from error

    def rename(self, source: Path, target: Path) -> None:
        with storage_faults(f"renaming to {target}"):
            source.replace(target)

    def rename_new(self, source: Path, target: Path) -> bool:
        with storage_faults(f"renaming to {target}"):
            return rename_exclusively(source, target)

    def set_access(self, path: Path, mode: int, group: str | None) -> None:
        with storage_faults(f"setting the permissions of {path}"):
            setgid = path.stat().st_mode & stat.S_ISGID
            if group is not None:
                try:
                    shutil.chown(path, group=group)
                except LookupError:
                    raise StorageFault(f"this system has no group {group}; create it or name another") from None
            path.chmod(mode | setgid)

    def sync_folder(self, path: Path) -> None:
        with storage_faults(f"opening the folder {path}"):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        except OSError as error:
            raise StorageBroken(f"fsync of {path} failed: {error.strerror}") from error
        finally:
            os.close(folder)

    def open(self, path: Path) -> BinaryIO:
        with storage_faults(f"opening {path}"):
            return path.open("rb")

    def size(self, path: Path) -> int | None:
        with storage_faults(f"looking at {path}"):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                return None

    def modified_at(self, path: Path) -> datetime | None:
        with storage_faults(f"looking at {path}"):
            try:
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                return None

    def remove(self, path: Path) -> None:
        with storage_faults(f"removing {path}"):
            path.unlink(missing_ok=True)

    def names(self, folder: Path) -> list[str]:
        with storage_faults(f"reading the folder {folder}"):
            return sorted(entry.name for entry in folder.iterdir())

    def free_bytes(self, folder: Path) -> int:
        with storage_faults(f"reading the free space of {folder}"):
            return shutil.disk_usage(folder).free


def make_durable_folder(files: Files, path: Path) -> None:
    """Create the folder and its parents so that they survive a power cut. Repeating is safe.

    A process that died in the middle left at most one folder unsynced: the deepest that exists.
    """
    missing = list(itertools.takewhile(lambda folder: files.size(folder) is None, (path, *path.parents)))
    deepest = missing[-1].parent if missing else path
    with contextlib.suppress(StorageFault):  # a parent that cannot be read was not created here
        files.sync_folder(deepest.parent)
    for folder in reversed(missing):
        files.make_folder(folder)
        files.sync_folder(folder.parent)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(seconds)


@dataclass(frozen=True, slots=True)
class Effects:
    """All effects. Without a `network`, `remote` builds the real one for each account (proxy, ca_file)."""

    clock: Clock = field(default_factory=SystemClock)
    dice: Dice = field(default_factory=random.SystemRandom)
    files: Files = field(default_factory=LocalFiles)
    network: Network | None = None
