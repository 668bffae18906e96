"""The schema: created completely or not at all; an older or newer one is refused."""

from __future__ import annotations

import itertools
import re
import shutil
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.archive.archive_harness import ON_SQLITE, ArchiveHarness
from tests.support.killed_migration import kill_migration

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.database import Database
from easytracking_sync.bundled import bundled_folder
from easytracking_sync.errors import StorageBroken, UsageError

NOW, LATER = tables.SCHEMA, "0998"

NEXT_MIGRATION = '''
"""A later schema. Revision 0998, after this program's."""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0998", "{schema}"

def upgrade() -> None:
    op.add_column("account", sa.Column("colour", sa.Text()))
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
'''


class PulledPlugError(BaseException):
    """No code catches it."""


def stamp(database: Database, revision: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def table_names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with one more migration than this one has."""
    folder = tmp_path / "migrations"
    shutil.copytree(bundled_folder("migrations"), folder)
    (folder / "versions" / "0998_later.py").write_text(NEXT_MIGRATION.format(schema=NOW))
    monkeypatch.setattr(tables, "SCHEMA", LATER)
    monkeypatch.setattr(schema, "bundled_folder", lambda name: folder)


def test_an_empty_database_comes_to_this_programs_schema_and_repeating_changes_nothing(fresh: Database) -> None:
    assert schema.revision(fresh) is None
    assert schema.migrate(fresh) == (None, None)
    assert schema.revision(fresh) == tables.SCHEMA
    assert fresh.path is not None
    before = fresh.path.read_bytes()
    assert schema.migrate(fresh) == (tables.SCHEMA, None)
    assert fresh.path.read_bytes() == before
    assert [path.name for path in fresh.path.parent.iterdir()] == ["archive.db"]
    schema.require_current(fresh)


def test_the_migrations_make_exactly_the_tables_the_program_works_with(fresh: Database) -> None:
    """Tables, columns, types, defaults, indices, unique and foreign keys, and every CHECK by its text."""
    schema.migrate(fresh)
    with fresh.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        made = _checks_and_defaults(sa.inspect(connection))
    plain = sa.create_engine("sqlite://")
    tables.metadata.create_all(plain)
    assert made == _checks_and_defaults(sa.inspect(plain))
    assert any("'abandoned'" in text for _, _, text in made)
    plain.dispose()


def _checks_and_defaults(inspector: sa.Inspector) -> set[tuple[str, str, str]]:
    """What alembic's comparison leaves out."""
    found = set()
    for table in tables.metadata.tables:
        found |= {(table, str(one["name"]), one["sqltext"]) for one in inspector.get_check_constraints(table)}
        found |= {(table, one["name"], str(one["default"])) for one in inspector.get_columns(table)}
    return found


def test_the_newest_migration_is_the_schema_the_program_asks_for_and_they_form_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(bundled_folder("migrations")))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [tables.SCHEMA]
    assert len(script.get_bases()) == 1


def test_every_constraint_and_index_has_the_name_that_the_convention_gives_it(fresh: Database) -> None:
    """A later migration must be able to name what it drops, on every database."""
    schema.migrate(fresh)
    with fresh.read() as connection:
        statements = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
        ).scalars()
        text = "\n".join(statements)
    constraints = len(re.findall(r"\b(?:CHECK|UNIQUE|PRIMARY KEY|FOREIGN KEY)\s*\(", text))
    assert constraints > 20
    assert len(re.findall(r"CONSTRAINT (?:ck|uq|pk|fk)_\w+ (?:CHECK|UNIQUE|PRIMARY|FOREIGN)", text)) == constraints


@ON_SQLITE
def test_a_newer_schema_is_refused_with_what_to_do_and_is_not_touched(archive_harness: ArchiveHarness) -> None:
    stamp(archive_harness.archive.database, "0999")
    before = archive_harness.path.read_bytes()
    for refusing in (schema.require_current, schema.migrate):
        with pytest.raises(UsageError, match=r"schema 0999, newer than .*install the newer"):
            refusing(archive_harness.archive.database)
    assert archive_harness.path.read_bytes() == before


def test_where_there_is_no_archive_the_message_says_how_to_make_one_and_nothing_is_made(fresh: Database) -> None:
    with pytest.raises(UsageError, match=r"no archive at .*catch-up"):
        schema.require_current(fresh)
    assert fresh.path is not None
    assert not fresh.path.parent.exists()


@ON_SQLITE
@pytest.mark.usefixtures("later")
def test_an_older_archive_is_refused_by_readers_and_copied_before_it_is_migrated(
    archive_harness: ArchiveHarness,
) -> None:
    archive_harness.take_in(archive_harness.account(), [1, 2, 3])
    with pytest.raises(
        UsageError, match=f"schema {NOW}, this program needs {LATER}; run `easytracking-sync migrate`"
    ):
        schema.require_current(archive_harness.archive.database)
    before, copy = schema.migrate(archive_harness.archive.database)
    assert (before, schema.revision(archive_harness.archive.database)) == (NOW, LATER)
    assert "later" in table_names(archive_harness.archive.database)
    assert copy is not None
    assert copy.parent == archive_harness.path.parent
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    old = Database(f"sqlite:///{copy}")
    assert schema.revision(old) == NOW
    assert "later" not in table_names(old)
    with old.read() as connection:
        assert connection.execute(sa.text("SELECT doc_id FROM document ORDER BY 1")).scalars().all() == [1, 2, 3]
    old.close()


def dies_at(statement: int, path: Path) -> bool:
    """Migrate, and die before the statement of that number; False where the migration ended sooner."""
    database = Database(f"sqlite:///{path}")
    left = [statement]

    def die(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PulledPlugError

    sa.event.listen(database._engine, "before_cursor_execute", die)
    try:
        schema.migrate(database)
    except PulledPlugError:
        return True
    finally:
        database.close()
    return False


def test_row_24_a_first_migration_that_dies_at_any_statement_leaves_an_empty_database(tmp_path: Path) -> None:
    """The next start migrates as if nothing had been."""
    for statement in itertools.chain(range(12), itertools.count(12, 5)):
        path = tmp_path / f"{statement}.db"
        if not dies_at(statement, path):
            break
        database = Database(f"sqlite:///{path}")
        assert table_names(database) == set()
        schema.migrate(database)
        assert schema.revision(database) == tables.SCHEMA
        database.close()
    assert statement > 30


@ON_SQLITE
@pytest.mark.usefixtures("later")
def test_row_24_a_later_migration_that_dies_at_any_statement_leaves_the_old_archive(
    archive_harness: ArchiveHarness,
) -> None:
    archive_harness.take_in(archive_harness.account(), [1, 2, 3])
    before, statement = archive_harness.dump(), 0
    while dies_at(statement, archive_harness.path):
        assert schema.revision(archive_harness.archive.database) == NOW
        assert "later" not in table_names(archive_harness.archive.database)
        assert archive_harness.dump() == before
        statement += 1
    assert statement > 3
    assert schema.revision(archive_harness.archive.database) == LATER


def test_an_address_is_shown_without_its_password_and_a_file_as_it_is_called() -> None:
    assert schema.shown(Database("sqlite:////srv/perché no/a.db")) == "sqlite:////srv/perché no/a.db"
    assert schema.shown(Database("postgresql+psycopg://me:secret@db/archive")).count("secret") == 0


def test_row_24_a_process_killed_in_the_middle_of_a_migration_loses_nothing(tmp_path: Path) -> None:
    """The half-written pages and the journal that remain are rolled back by whoever opens the file next."""
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    kill_migration(url)
    database = Database(url)
    assert schema.revision(database) is None
    assert table_names(database) == set()
    schema.migrate(database)
    assert schema.revision(database) == tables.SCHEMA
    database.close()


def test_a_garbage_file_is_not_migrated_over(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageBroken):
        schema.migrate(Database(f"sqlite:///{path}"))
    assert path.read_bytes() == b"not a database at all" * 100
