"""Bringing a database to this program's schema, and refusing one from the future."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from easytracking_sync.archive import postgresql, tables
from easytracking_sync.archive.database import Database, prepare_private_file
from easytracking_sync.bundled import bundled_folder
from easytracking_sync.errors import StorageFault, UsageError

UNFINISHED_COPY = "copying-"
"""Instead of a schema, with the schema behind it, in a database that an archive is being copied to."""


def revision(database: Database) -> str | None:
    """The schema the database is at; None where it is empty or not there."""
    if not database.exists():
        return None
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(database: Database) -> None:
    """Return only for a database at this program's schema; UsageError with what to do otherwise."""
    found = revision(database)
    if found == tables.SCHEMA:
        return
    if found is None:
        raise UsageError(f"there is no archive at {shown(database)} yet; `easytracking-sync catch-up` creates it")
    _refuse_newer(found)
    raise UsageError(
        f"the archive is at schema {found}, this program at {tables.SCHEMA}; run `easytracking-sync migrate`"
    )


def migrate(database: Database) -> tuple[str | None, Path | None]:
    """Bring the database to this program's schema; repeating is safe, a kill midway leaves the old schema.

    Two instances that start together on one server migrate one after the other, and the second finds nothing to do.

    A SQLite file that holds something is copied first. Returns the schema before, and the copy if one was made.
    """
    if database.path is not None:
        prepare_private_file(database.path)
    before = revision(database)
    if before == tables.SCHEMA:
        return before, None
    copy = None
    if before is not None:
        _refuse_newer(before)
        copy = _copy(database, before)
    with database.write() as connection:
        if not database.is_sqlite:
            postgresql.begin_migration(connection)
        config = Config()
        config.set_main_option("script_location", str(bundled_folder("migrations")))
        config.attributes["connection"] = connection
        command.upgrade(config, tables.SCHEMA)
    return before, copy


def shown(database: Database) -> str:
    """The database's address without its password, and a file as it is called."""
    if database.path is not None:
        return f"sqlite:///{database.url.database}"
    return database.url.render_as_string(hide_password=True)


def _refuse_newer(found: str) -> None:
    if found.startswith(UNFINISHED_COPY):
        raise UsageError(
            "this database holds an unfinished copy of an archive: repeat the `easytracking-sync database copy` that "
            "began it, with the configuration it was begun with"
        )
    if found > tables.SCHEMA:
        raise UsageError(
            f"the archive is at schema {found}, newer than this program's {tables.SCHEMA}; "
            "install the newer easytracking-sync again, or restore the copy made before its migration"
        )


def _copy(database: Database, before: str) -> Path | None:
    if database.path is None:
        return None
    copy = database.path.with_name(f"{database.path.name}.before-{tables.SCHEMA}-from-{before}")
    prepare_private_file(copy)
    try:
        with (
            contextlib.closing(sqlite3.connect(database.path)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise StorageFault(f"cannot copy the database to {copy} before migrating: {error}") from error
    return copy
