"""Migrates a database to this program's schema; refuses a newer schema."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from easytracking_sync.archive import postgresql, tables
from easytracking_sync.archive.backup import copy_database_file
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.sqlite import prepare_private_file
from easytracking_sync.bundled import bundled_folder
from easytracking_sync.errors import UsageError

UNFINISHED_COPY = "copying-"
"""Prefix of the schema revision in a database to which an archive is being copied."""


def revision(database: Database) -> str | None:
    """The database's schema revision; None if it is empty or does not exist."""
    if not database.exists():
        return None
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(database: Database) -> None:
    """UsageError, with what to do, unless the database has this program's schema."""
    found = revision(database)
    if found == tables.SCHEMA:
        return
    if found is None:
        raise UsageError(
            f"there is no archive at {shown(database)} yet; run `easytracking-sync catch-up` to create it"
        )
    _refuse_newer(found)
    raise UsageError(
        f"the archive has schema {found}, this program needs {tables.SCHEMA}; run `easytracking-sync migrate`"
    )


def migrate(database: Database) -> tuple[str | None, Path | None]:
    """Migrate the database to this program's schema. Repeating is safe; after a kill the old schema remains.

    Instances that start together on one server migrate one after the other. A SQLite archive is copied first.
    Returns the revision before, and the path of the copy if one was made.
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
    """The database's URL without its password; for SQLite, the file as configured."""
    if database.path is not None:
        return f"sqlite:///{database.url.database}"
    return database.url.render_as_string(hide_password=True)


def _refuse_newer(found: str) -> None:
    if found.startswith(UNFINISHED_COPY):
        raise UsageError(
            "this database holds an unfinished copy of an archive; repeat the `easytracking-sync database copy` that "
            "started it, with the same configuration"
        )
    if found > tables.SCHEMA:
        raise UsageError(
            f"the archive has schema {found}, newer than this program's {tables.SCHEMA}; "
            "install the newer easytracking-sync again, or restore the copy made before its migration"
        )


def _copy(database: Database, before: str) -> Path | None:
    if database.path is None:
        return None
    copy = database.path.with_name(f"{database.path.name}.before-{tables.SCHEMA}-from-{before}")
    prepare_private_file(copy)
    copy_database_file(database.path, copy)
    return copy
