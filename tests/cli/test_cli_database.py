"""`database copy`: every row and byte is copied and verified; an unfinished copy is no archive."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from easytracking_sync.archive import blobs, database_copier, journal, schema, tables
from easytracking_sync.archive.blobs import DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.database_copier import DatabaseCopier
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import StorageFault, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.terms import BatchState, DocumentState

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

NOW = importlib.import_module("tests.support.archive_builder").NOW
Everything = dict[str, list[dict[str, Any]]]


def fill(builder: ArchiveBuilder) -> None:
    """Rows of every table, and text that PostgreSQL does not accept."""
    rows = [
        builder.document(
            "acme", doc_id, DocumentState.BATCHED, files={"FA": (f"\udc80{doc_id}\0", b"%d" % doc_id * 9)}
        )
        for doc_id in range(1, 4)
    ]
    builder.update(tables.document, rows[0], number="7\x00/A", raw=b"\x00\xff", held=True)
    builder.quarantined("beta", 2**62)
    batch = builder.batch("acme", *rows, state=BatchState.RESERVED, epoch=9, lease_owner="dead", lease_until=NOW)
    with builder.archive.database.write() as connection:
        detail = {"reason": "\0 and \u20ac"}
        journal.record(connection, EventName.BATCH_RESERVED, NOW, batch_id=batch, detail=detail)
        connection.execute(sa.insert(tables.lease).values(name="x", owner="y", epoch=1, taken_at=NOW, until=NOW))
    builder.archive.service_requests.ask("catch-up", {"accounts": []}, NOW)
    builder.insert(tables.cycle, account_id=builder.account("acme"), kind="sync", begun_at=NOW)
    big = bytes(range(256)) * 9000
    builder.file(rows[0], "MT", "big.xml", big)


def everything(database: Database) -> Everything:
    """All rows of all tables that are copied."""
    with database.read() as connection:
        return {
            table.name: [
                dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in (*database_copier.ROWS, *database_copier.BYTES)
        }


def as_copied(rows: Everything, *, to_server: bool) -> Everything:
    """What the copy is to hold: no leases, and NUL shown as what it cannot be."""
    for row in rows["batch"]:
        row |= {"lease_owner": None, "lease_until": None}
    if to_server:
        for row in rows["document"]:
            row["number"] = row["number"] and row["number"].replace("\0", "\ufffd")
    return rows


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that is not there yet, or is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/elsewhere/copy.db"
    return str(request.getfixturevalue("empty_database"))


def test_an_archive_goes_to_another_database_and_back(
    run: Run, builder: ArchiveBuilder, target: str, tmp_path: Path
) -> None:
    fill(builder)
    before = everything(builder.archive.database)
    told = run("--config", builder.config, "database", "copy", "--to", target)
    assert (told.code, told.err) == (0, "")
    assert "2 accounts, 4 documents" in told.out
    assert "4 of 4 blobs" in told.out
    assert f'spool = "{builder.folder}/spool"' in told.out
    assert f'url = "{target.partition("?")[0]}' in told.out
    copy = Database(target)
    assert everything(builder.archive.database) == before, "the archive itself is only read"
    to_server = target.startswith("postgresql")
    assert everything(copy) == as_copied(before, to_server=to_server)
    with copy.write() as connection:  # new rows are numbered behind the old ones
        row = before["document"][0] | {"doc_id": 999}
        del row["id"]
        new = connection.execute(sa.insert(tables.document).returning(tables.document.c.id), row).scalar_one()
        connection.execute(sa.delete(tables.document).where(tables.document.c.id == new))
    assert new > max(row["id"] for row in before["document"])
    builder.config.write_text(builder.config.read_text().replace(f"sqlite:///{builder.path}", target))
    back = f"sqlite:///{tmp_path}/back.db"
    assert run("--config", builder.config, "scrub").code == 0
    assert run("--config", builder.config, "database", "copy", "--to", back).code == 0
    again = Database(back)
    assert everything(again) == everything(copy)
    again.close()
    copy.close()


class Killed(Exception):
    """The process is gone."""


@pytest.mark.parametrize("survives", [0, 3, 9])
def test_a_killed_copy_is_not_an_archive_and_can_be_continued(
    run: Run, builder: ArchiveBuilder, target: str, survives: int
) -> None:
    fill(builder)
    steps = iter(range(100))

    def die(*_: object) -> None:
        if next(steps) >= survives:
            raise Killed

    copy = Database(target)
    with pytest.raises(Killed):
        copier(builder, copy, die).run()
    with pytest.raises(UsageError, match="unfinished copy"):
        schema.require_current(copy)
    with pytest.raises(UsageError, match="unfinished copy"):
        schema.migrate(copy)
    with copy.write() as connection:  # a leftover of an archive that was copied here before
        leftover = {"sha256": "0" * 64, "size": 1, "encoding": "zstd", "stored_at": NOW}
        connection.execute(sa.insert(tables.blob), leftover)
    assert run("--config", builder.config, "database", "copy", "--to", target).code == 0
    rows = as_copied(everything(builder.archive.database), to_server=not copy.is_sqlite)
    assert everything(copy) == rows
    copy.close()


def copier(
    builder: ArchiveBuilder, target: Database, on_step: Callable[..., object] = lambda *_: None
) -> DatabaseCopier:
    source = builder.archive
    blobs = DatabaseBlobs(target, SystemClock())
    return DatabaseCopier(
        source.database, target, in_source=source.blobs, in_target=blobs, with_bytes=True, on_step=on_step
    )


def test_a_target_database_with_an_archive_is_refused(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/elsewhere/copy.db"
    fill(builder)
    command = ("--config", builder.config, "database", "copy", "--to", target)
    assert run(*command).code == 0
    told = run(*command)
    assert told.code == 2
    assert "holds an archive already" in told.complaint


def test_an_empty_archive_may_be_copied_to(run: Run, builder: ArchiveBuilder, target: str) -> None:
    copy = Database(target)
    schema.migrate(copy)
    copy.close()
    fill(builder)
    assert run("--config", builder.config, "database", "copy", "--to", target).code == 0


def test_damaged_blobs_are_copied_as_they_are_and_reported(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/elsewhere/copy.db"
    fill(builder)
    sha256 = builder.archive.document_search.find("acme/3").files[0].sha256
    with builder.archive.database.write() as connection:
        spoilt = sa.update(tables.blob_chunk).where(tables.blob_chunk.c.sha256 == sha256).values(content=b"rotten")
        connection.execute(spoilt)
    told = run("--config", builder.config, "database", "copy", "--to", target)
    assert told.code == 3
    assert f"blob {sha256} was damaged in the archive already" in told.err
    assert "3 of 4 blobs" in told.out


def test_bytes_that_cannot_be_read_back_do_not_count_as_copied(builder: ArchiveBuilder, tmp_path: Path) -> None:
    fill(builder)
    copy = Database(f"sqlite:///{tmp_path}/copy.db")

    def spoil(doing: str, done: int, whole: int) -> None:
        if doing.startswith("copying the rows of account"):
            with copy.write() as connection:
                connection.execute(sa.update(tables.blob_chunk).values(content=b"torn"))

    with pytest.raises(StorageFault, match="damaged in the copy"):
        copier(builder, copy, spoil).run()
    assert schema.revision(copy) == database_copier.COPYING
    copy.close()


def test_files_on_the_file_system_stay_where_they_are_and_are_proven(
    run: Run, builder: ArchiveBuilder, tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path}/elsewhere/copy.db"
    fill(builder)
    assert run("--config", builder.config, "storage", "move", "--to", "filesystem").code == 0
    text = builder.config.read_text().replace("[storage]\n", '[storage]\nbackend = "filesystem"\n')
    builder.config.write_text(text)
    told = run("--config", builder.config, "database", "copy", "--to", target)
    assert told.code == 0
    assert f'path = "{builder.folder}/blobs"' in told.out
    assert "stay where they are" in told.out
    copy = Database(target)
    assert everything(copy)["blob"] == []
    copy.close()


def test_a_password_is_read_from_a_file_and_never_shown(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    fill(builder)
    file = tmp_path / "url"
    file.write_text("postgresql+psycopg://sync:canary-pass@127.0.0.1:9/archive\n")
    told = run("--log-level", "debug", "--config", builder.config, "database", "copy", "--to-file", file)
    assert told.code == 75
    assert "canary" not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one of --to and --to-file"),
        (["--to", "mysql://canary@x/y"], "--to must be sqlite:///"),
        (["--to", "postgresql://canary@x/y"], "postgresql+psycopg"),
        (["--to", "sqlite:///{folder}/archive.db"], "the archive itself"),
        (["--to", "sqlite:///{folder}/../{name}/archive.db"], "the archive itself"),
        (["--to-file", "{folder}/absent"], "cannot be read"),
        (["--to", "sqlite:////x/y.db", "--to-file", "z"], "give one of"),
    ],
)
def test_a_wrong_copy_is_one_clear_line(run: Run, builder: ArchiveBuilder, arguments: list[str], said: str) -> None:
    given = [one.format(folder=builder.folder, name=builder.folder.name) for one in arguments]
    told = run("--config", builder.config, "database", "copy", *given)
    assert told.code == 2
    assert said in told.complaint
    assert "canary" not in told.err


def test_a_running_service_excludes_other_writers(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    with instance_lock(builder.archive.database, {"pid": "4711"}):
        told = run("--config", builder.config, "database", "copy", "--to", f"sqlite:///{tmp_path}/x.db")
    assert told.code == 5
    assert "4711" in told.complaint


def test_a_server_whose_leases_are_alive_is_not_copied_from(
    run: Run, builder: ArchiveBuilder, empty_database: str
) -> None:
    fill(builder)
    url = empty_database
    assert run("--config", builder.config, "database", "copy", "--to", url).code == 0
    copy = Database(url)
    with copy.write() as connection:
        soon = sa.func.clock_timestamp() + sa.literal(timedelta(minutes=5), sa.Interval)
        connection.execute(sa.update(tables.batch).values(lease_owner="alive", lease_until=soon))
    builder.config.write_text(builder.config.read_text().replace(f"sqlite:///{builder.path}", url))
    told = run("--config", builder.config, "database", "copy", "--to", f"sqlite:///{builder.folder}/x.db")
    assert told.code == 5
    assert "a service uses" in told.complaint
    copy.close()


def test_pages_of_one_row_copy_the_same(
    builder: ArchiveBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded memory: tables go by pages and blobs by groups, whatever their sizes."""
    fill(builder)
    monkeypatch.setattr(database_copier, "PAGE", 1)
    monkeypatch.setattr(blobs, "TRANSACTION_BYTES", 1)
    monkeypatch.setattr(database_copier, "AT_ONCE", 1)
    copy = Database(f"sqlite:///{tmp_path}/copy.db")
    copier(builder, copy).run()
    assert everything(copy) == as_copied(everything(builder.archive.database), to_server=False)
    copy.close()
