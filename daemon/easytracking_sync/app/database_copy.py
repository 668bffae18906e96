"""Copies the archive to another database and verifies the copy."""

from __future__ import annotations

from easytracking_sync.app.composition import existing_archive
from easytracking_sync.archive.blobs import DatabaseBlobs
from easytracking_sync.archive.copy import Copied, DatabaseCopy, OnStep, refuse_itself
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.quiet import undisturbed
from easytracking_sync.archive.store import alone
from easytracking_sync.effects import Effects
from easytracking_sync.settings import Settings, StorageBackend

COMMAND = "database copy"


def copy_database(settings: Settings, url: str, *, effects: Effects, on_step: OnStep = lambda *_: None) -> Copied:
    """Copy the configured archive to the database at `url`; see DatabaseCopy for the guarantees.

    Files stored on the file system stay there; their hashes are checked too.
    """
    target = Database(url)
    try:
        with existing_archive(settings, effects) as archive:
            refuse_itself(archive.database, target)
            with_bytes = settings.storage.backend is StorageBackend.DATABASE
            in_target = DatabaseBlobs(target, effects.clock) if with_bytes else archive.blobs
            with (
                undisturbed(archive.database, COMMAND, effects.clock.now()),
                alone(target, {"command": COMMAND}),
            ):
                return DatabaseCopy(
                    archive.database,
                    target,
                    in_source=archive.blobs,
                    in_target=in_target,
                    with_bytes=with_bytes,
                    on_step=on_step,
                ).run()
    finally:
        target.close()
