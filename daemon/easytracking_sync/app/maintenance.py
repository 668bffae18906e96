"""Maintenance of the archive: migrate it, back it up, copy its database, move its files to another store."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from easytracking_sync.app.composition import archive_of, existing_archive
from easytracking_sync.archive import schema
from easytracking_sync.archive.backup import back_up
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blob_move import CopiedBlobs, copy_blobs, referenced_total, remove_all
from easytracking_sync.archive.blobs import Blobs, DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.database_copier import CopiedArchive, DatabaseCopier, OnStep, refuse_itself
from easytracking_sync.archive.instance_lock import exclusive_use, instance_lock
from easytracking_sync.archive.tables import SCHEMA
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Database as DatabaseSettings
from easytracking_sync.settings import Settings, StorageBackend
from easytracking_sync.settings.display import redacted


@dataclass(frozen=True, slots=True)
class Migrated:
    """The result of a migration: the schema before (None: no archive existed) and after."""

    archive: str  # the database's address without its password
    before: str | None
    after: str
    copy: Path | None  # a copy of the archive as it was


def migrate_archive(settings: Settings, effects: Effects) -> Migrated:
    """Migrate the archive to this program's schema, locked meanwhile. Safe to repeat, also after a power cut.

    UsageError if the archive is newer than this program, LockHeld if another instance works on it.
    """
    with contextlib.closing(archive_of(settings, effects)) as archive:
        with instance_lock(archive.database, {"command": "migrate"}):
            before, copy = schema.migrate(archive.database)
        return Migrated(schema.shown(archive.database), before, SCHEMA, copy)


def why_no_backup(settings: Settings) -> str:
    """Why there is no SQLite archive to copy; empty if there is one."""
    path = settings.database.sqlite_path
    if path is None:
        return "PostgreSQL is backed up with pg_dump"
    return "" if path.exists() else f"there is no archive at {path} yet"


def back_up_archive(settings: Settings, target: Path, effects: Effects) -> int:
    """Copy a SQLite archive to a new file, consistently, and check the copy; its size in bytes.

    UsageError if there is none, the target exists, or its folder does not.
    """
    path = settings.database.sqlite_path
    if path is None or not path.exists():
        raise UsageError(why_no_backup(settings))
    if not target.absolute().parent.is_dir():
        raise UsageError(f"the folder {target.absolute().parent} does not exist; create it first")
    return back_up(path, target.absolute(), effects.files)


def settings_after_copy(settings: Settings, url: str, url_file: Path | None) -> tuple[str, ...]:
    """The configuration lines for an archive that was copied to `url`, or to the URL in `url_file`.

    Names the paths that default to a folder beside the database, since they would change with it.
    """
    shown = f'url = "{redacted(DatabaseSettings(url=SecretStr(url)))["url"]}"'
    if url_file is not None:
        shown = f'url_file = "{url_file.absolute()}"'
    lines: tuple[str, ...] = ("[database]", shown, "[storage]", f'spool = "{settings.spool_path.absolute()}"')
    if settings.storage.backend is StorageBackend.FILESYSTEM:
        lines += (f'path = "{settings.blobs_path.absolute()}"   # the files stay where they are',)
    return lines


def settings_after_move(settings: Settings, to: StorageBackend) -> tuple[str, ...]:
    """The configuration lines after all bytes were copied to this store; none if it is configured already."""
    if settings.storage.backend is to:
        return ()
    lines: tuple[str, ...] = ("[storage]", f'backend = "{to}"')
    if to is StorageBackend.FILESYSTEM and settings.storage.path is None:
        lines += (f'path = "{settings.blobs_path.absolute()}"',)
    return lines


def copy_database(
    settings: Settings, url: str, *, effects: Effects, on_step: OnStep = lambda *_: None
) -> CopiedArchive:
    """Copy the configured archive to the database at `url`; see DatabaseCopier for the guarantees.

    Files stored on the file system stay there; their hashes are checked too.
    """
    target = Database(url)
    try:
        with existing_archive(settings, effects) as archive:
            refuse_itself(archive.database, target)
            with_bytes = settings.storage.backend is StorageBackend.DATABASE
            in_target = DatabaseBlobs(target, effects.clock) if with_bytes else archive.blobs
            with (
                exclusive_use(archive.database, "database copy", effects.clock.now()),
                instance_lock(target, {"command": "database copy"}),
            ):
                return DatabaseCopier(
                    archive.database,
                    target,
                    in_source=archive.blobs,
                    in_target=in_target,
                    with_bytes=with_bytes,
                    on_step=on_step,
                ).run()
    finally:
        target.close()


@dataclass(frozen=True, slots=True)
class Moved:
    """How a move ended. `removed` blobs were deleted from the source; none if a blob was intact in neither store."""

    copied_blobs: CopiedBlobs
    removed: int = 0


def move_storage(
    settings: Settings,
    to: StorageBackend,
    *,
    delete_source: bool,
    effects: Effects,
    on_step: OnStep = lambda *_: None,
) -> Moved:
    """Copy all blobs to the store `to` and check each by its hash; with `delete_source`, empty the other store then.

    The archive is locked but stays readable. Safe to kill and to repeat at any time. UsageError if the source
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
