"""Copies the archive to another database and verifies the copy."""

from __future__ import annotations

from easytracking_sync.app.composition import existing_archive
from easytracking_sync.archive.blobs import DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.database_copier import CopiedArchive, DatabaseCopier, OnStep, refuse_itself
from easytracking_sync.archive.instance_lock import exclusive_use, instance_lock
from easytracking_sync.effects import Effects
from easytracking_sync.settings import Settings, StorageBackend

COMMAND = "database copy"


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
                exclusive_use(archive.database, COMMAND, effects.clock.now()),
                instance_lock(target, {"command": COMMAND}),
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
