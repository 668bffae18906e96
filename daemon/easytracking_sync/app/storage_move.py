"""Moves the stored files between the database and the file system."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.app.composition import existing_archive
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blob_move import CopiedBlobs, copy_blobs, referenced_total, remove_all
from easytracking_sync.archive.blobs import Blobs, DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.instance_lock import exclusive_use
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Settings, StorageBackend


@dataclass(frozen=True, slots=True)
class Moved:
    """How a move ended. `removed` blobs were deleted from the source; none if a blob was intact in neither store."""

    copied_blobs: CopiedBlobs
    removed: int = 0


OnStep = Callable[[str, int, int], object]
"""Told what is being done, the bytes or blobs done, and their total."""


def move_storage(
    settings: Settings,
    to: StorageBackend,
    *,
    delete_source: bool,
    effects: Effects,
    on_step: OnStep = lambda *_: None,
) -> Moved:
    """Copy all blobs to the store `to` and check each by its hash; with `delete_source`, empty the other store then.

    The archive is held alone but stays readable. Safe to kill and to repeat at any time. UsageError if the source
    would be deleted while it is still configured; LockHeld if another instance runs.
    """
    if delete_source and settings.storage.backend is not to:
        raise UsageError(
            f'storage.backend is still "{settings.storage.backend}"; set it to "{to}" before you delete the source'
        )
    with existing_archive(settings, effects) as archive:
        database = archive.database
        with exclusive_use(database, "storage move", effects.clock.now()):
            source, target = _stores(settings, database, to, effects)
            blobs, weight = referenced_total(database)

            def show(done: CopiedBlobs) -> None:
                on_step(f"{done.blobs} of {blobs} blobs, {done.copied} copied", done.bytes, weight)

            copied_blobs = copy_blobs(
                database, source, target, has_room=_room(settings, database, to, effects), on_step=show
            )
            if not delete_source or copied_blobs.rotten:
                return Moved(copied_blobs)
            return Moved(copied_blobs, remove_all(source, lambda removed: on_step("deleting the source", removed, 0)))


def _stores(settings: Settings, database: Database, to: StorageBackend, effects: Effects) -> tuple[Blobs, Blobs]:
    """Source and target."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    files = FileBlobs(settings.blobs_path, effects.files, owner)
    rows = DatabaseBlobs(database, effects.clock)
    return (rows, files) if to is StorageBackend.FILESYSTEM else (files, rows)


def _room(settings: Settings, database: Database, to: StorageBackend, effects: Effects) -> Callable[[int], bool]:
    """Whether the target's disk keeps `min_free_bytes` after this many more bytes; unknown for a database server."""
    folder = settings.blobs_path if to is StorageBackend.FILESYSTEM else database.path and database.path.parent
    if folder is None:
        return lambda _: True
    nearest = nearest_folder(folder.absolute())
    return lambda more: effects.files.free_bytes(nearest) - more >= settings.storage.min_free_bytes


def nearest_folder(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())
