"""Migrations on PostgreSQL create exactly the program's tables, in one transaction, one instance at a time."""

from __future__ import annotations

import itertools
import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.support.killed_migration import kill_migration
from tests.support.postgres import Server

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.database import Database
from easytracking_sync.errors import UsageError


class PulledPlugError(BaseException):
    """No code catches it."""


def table_names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def left_out(inspector: sa.Inspector) -> set[tuple[str, str, str]]:
    """What alembic's comparison leaves out: CHECKs by their text, defaults, and which columns the server counts."""
    found = set()
    for table in tables.metadata.tables:
        found |= {(table, str(one["name"]), one["sqltext"]) for one in inspector.get_check_constraints(table)}
        found |= {(table, one["name"], str(one["default"])) for one in inspector.get_columns(table)}
    return found


def test_the_migrations_make_exactly_the_tables_the_program_works_with(server: Server) -> None:
    with server.database() as migrated, server.database() as created:
        one, other = Database(server.url(migrated)), Database(server.url(created))
        schema.migrate(one)
        with one.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
            made = left_out(sa.inspect(connection))
        with other.write() as connection:
            tables.metadata.create_all(connection)
        with other.read() as connection:
            assert made == left_out(sa.inspect(connection))
        assert any("nextval" in text for _, column, text in made if column == "id")
        one.close()
        other.close()


def test_two_instances_that_start_together_migrate_one_after_the_other(server: Server, empty_database: str) -> None:
    databases = [Database(empty_database) for _ in range(4)]
    start = threading.Barrier(len(databases))
    failures: list[BaseException] = []

    def work(database: Database) -> None:
        start.wait(10)
        try:
            schema.migrate(database)
            schema.require_current(database)
        except BaseException as failure:  # noqa: BLE001  told below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with databases[0].read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").all() == [(tables.SCHEMA,)]
    for database in databases:
        database.close()


def test_row_24_a_migration_that_dies_at_any_statement_leaves_an_empty_database(
    server: Server, empty_database: str
) -> None:
    for statement in itertools.count(0, 7):
        database = Database(empty_database)
        left = itertools.count(statement, -1)

        def die(*_: object, left: itertools.count[int] = left) -> None:
            if next(left) < 0:
                raise PulledPlugError

        sa.event.listen(database._engine, "before_cursor_execute", die)
        try:
            schema.migrate(database)
        except PulledPlugError:
            database.close()
        else:
            break
        again = Database(empty_database)
        assert table_names(again) == set()
        again.close()
    database.close()
    assert statement > 30
    again = Database(empty_database)
    schema.require_current(again)
    again.close()


def test_row_24_a_process_killed_in_the_middle_of_a_migration_holds_nobody_up(empty_database: str) -> None:
    kill_migration(empty_database)
    database = Database(empty_database)
    schema.migrate(database)
    schema.require_current(database)
    database.close()


def test_a_newer_schema_is_refused_with_what_to_do(postgres_archive: str) -> None:
    database = Database(postgres_archive)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    for refusing in (schema.require_current, schema.migrate):
        with pytest.raises(UsageError, match=r"schema 0999, newer than .*install the newer"):
            refusing(database)
    database.close()
