"""Renames a file without ever replacing another, on every file system."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

_UNSUPPORTED = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.ENOTTY}
)
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

Way = Callable[[Path, Path], None]
"""Renames the source to the target; FileExistsError if the target exists."""


def rename_without_replacing(source: Path, target: Path) -> None:
    """The kernel's own call. NFS and some FUSE file systems do not support it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def link_and_unlink(source: Path, target: Path) -> None:
    """A hard link. CIFS and FAT do not support it. After a crash in between, the file has both names."""
    os.link(source, target, follow_symlinks=False)
    source.unlink()


def look_and_rename(source: Path, target: Path) -> None:
    """The last resort: another program that takes the name between the two calls loses its file."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


WAYS: tuple[Way, ...] = (rename_without_replacing, link_and_unlink, look_and_rename)


def rename_exclusively(source: Path, target: Path, ways: Sequence[Way] = WAYS) -> bool:
    """Rename in the first way that the file system supports; False if the target exists. OSError otherwise."""
    for number, way in enumerate(ways, start=1):
        try:
            way(source, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _UNSUPPORTED or number == len(ways):
                raise
        else:
            return True
    raise ValueError("no way to rename was given")
