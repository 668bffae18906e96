"""Upkeep of the archive's database: migrate it, back it up, and say what to configure after it was moved."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from easytracking_sync.app.composition import archive_of
from easytracking_sync.archive import schema
from easytracking_sync.archive.backup import back_up
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.archive.tables import SCHEMA
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Database, Settings, StorageBackend
from easytracking_sync.settings.display import redacted


@dataclass(frozen=True, slots=True)
class Migrated:
    """How a migration ended: the schema before (None: there was no archive), and after."""

    archive: str  # the database's address without its password
    before: str | None
    after: str
    copy: Path | None  # the archive as it was


def migrate_archive(settings: Settings, effects: Effects) -> Migrated:
    """Bring the archive to this program's schema, held alone; repeating is safe, and so is a power cut midway.

    UsageError where the archive is newer than this program, LockHeld where another instance works on it.
    """
    with contextlib.closing(archive_of(settings, effects)) as archive:
        with instance_lock(archive.database, {"command": "migrate"}):
            before, copy = schema.migrate(archive.database)
        return Migrated(schema.shown(archive.database), before, SCHEMA, copy)


def why_no_backup(settings: Settings) -> str:
    """Why there is no SQLite archive to copy; empty where there is one."""
    path = settings.database.sqlite_path
    if path is None:
        return "PostgreSQL is backed up with pg_dump"
    return "" if path.exists() else f"there is no archive at {path} yet"


def back_up_archive(settings: Settings, target: Path, effects: Effects) -> int:
    """Copy a SQLite archive to a new file, as it is at one instant, and check the copy; its bytes.

    UsageError where there is none, the target exists, or its folder does not.
    """
    path = settings.database.sqlite_path
    if path is None or not path.exists():
        raise UsageError(why_no_backup(settings))
    if not target.absolute().parent.is_dir():
        raise UsageError(f"the folder {target.absolute().parent} does not exist; create it first")
    return back_up(path, target.absolute(), effects.files)


def settings_after_copy(settings: Settings, url: str, url_file: Path | None) -> tuple[str, ...]:
    """The configuration's lines for an archive that was copied to `url`, which `url_file` holds if it is given.

    Paths that an empty key places beside the database would move with it: they are named, so that they stay.
    """
    shown = f'url = "{redacted(Database(url=SecretStr(url)))["url"]}"'
    if url_file is not None:
        shown = f'url_file = "{url_file.absolute()}"'
    lines: tuple[str, ...] = ("[database]", shown, "[storage]", f'spool = "{settings.spool_path.absolute()}"')
    if settings.storage.backend is StorageBackend.FILESYSTEM:
        lines += (f'path = "{settings.blobs_path.absolute()}"   # the files stay where they are',)
    return lines


def settings_after_move(settings: Settings, to: StorageBackend) -> tuple[str, ...]:
    """The configuration's lines after all bytes were copied to this store; none where it names it already."""
    if settings.storage.backend is to:
        return ()
    lines: tuple[str, ...] = ("[storage]", f'backend = "{to}"')
    if to is StorageBackend.FILESYSTEM and settings.storage.path is None:
        lines += (f'path = "{settings.blobs_path.absolute()}"',)
    return lines
