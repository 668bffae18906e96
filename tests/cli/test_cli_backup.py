"""`database backup`: a complete copy of a SQLite archive in use, or nothing."""

from __future__ import annotations

import importlib
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.archive.backup import back_up
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageFault

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

builder = importlib.import_module("tests.support.archive_builder").builder


def rows(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT doc_id, state FROM document ORDER BY id").fetchall()


def archive_of(builder: ArchiveBuilder) -> Path:
    path = builder.archive.database.path
    assert path is not None
    return path


def test_the_copy_is_the_archive_private_and_in_one_file(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    builder.account("acme")
    builder.document("acme", 7)
    told = run("--config", builder.config, "database", "backup", "--to", target)
    assert (told.code, told.err) == (0, "")
    assert [doc_id for doc_id, _ in rows(target)] == [7]
    assert rows(target) == rows(archive_of(builder))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("copy")) == ["copy.db"]


def test_a_backup_is_made_while_a_service_runs(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    with instance_lock(builder.archive.database, {"command": "run"}):
        assert run("--config", builder.config, "database", "backup", "--to", tmp_path / "copy.db").code == 0


def test_a_file_that_is_there_is_never_overwritten(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")
    told = run("--config", builder.config, "database", "backup", "--to", target)
    assert told.code == 2
    assert "exists already" in told.complaint
    assert target.read_text() == "mine"


def test_a_missing_folder_is_named_and_not_created(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    told = run("--config", builder.config, "database", "backup", "--to", tmp_path / "none" / "copy.db")
    assert (told.code, f"the folder {tmp_path / 'none'} does not exist" in told.complaint) == (2, True)


def test_a_file_that_is_no_archive_is_not_backed_up(tmp_path: Path) -> None:
    path, target = tmp_path / "rotten.db", tmp_path / "copy.db"
    path.write_bytes(b"not a database, " * 1000)
    with pytest.raises(StorageFault, match="cannot copy"):
        back_up(path, target, LocalFiles())
    assert [one.name for one in tmp_path.iterdir()] == ["rotten.db"]


def test_without_disk_space_nothing_is_started(builder: ArchiveBuilder, tmp_path: Path) -> None:
    class Full(LocalFiles):
        def free_bytes(self, folder: Path) -> int:
            return 10

    with pytest.raises(StorageFault, match="not enough free space"):
        back_up(archive_of(builder), tmp_path / "copy.db", Full())
    assert not (tmp_path / "copy.db.part").exists()


@pytest.mark.parametrize(
    ("url", "said"), [("postgresql+psycopg://u@db.example/a", "pg_dump"), ("sqlite:////nowhere/a.db", "no archive")]
)
def test_without_a_sqlite_archive_it_succeeds_only_with_if_sqlite(
    run: Run, tmp_path: Path, url: str, said: str
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[database]\nurl = "{url}"\n')
    arguments = ("--config", config, "database", "backup", "--to", tmp_path / "copy.db")
    refused = run(*arguments)
    assert (refused.code, said in refused.complaint) == (2, True)
    skipped = run(*arguments, "--if-sqlite")
    assert (skipped.code, said in skipped.out) == (0, True)
