"""`storage move`: between both stores, killed at any moment, without loss."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from tests.simulation.disk import MortalFiles
from tests.simulation.fault_injection import CrashError, Failure, FaultInjector

from easytracking_sync.archive import blob_move, tables
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blob_move import copy_blobs, remove_all
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageFault

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder


def fill(builder: ArchiveBuilder, count: int = 3) -> None:
    for doc_id in range(1, count + 1):
        builder.document("acme", doc_id, files={"FA": (f"{doc_id}.xml", f"invoice {doc_id}".encode())})


def backend(builder: ArchiveBuilder, name: str) -> None:
    """Let the configuration name this store."""
    text = builder.config.read_text().replace('backend = "filesystem"\n', "")
    builder.config.write_text(
        text.replace("[storage]\n", f'[storage]\nbackend = "{name}"\n' if name else "[storage]\n")
    )


def on_disk(builder: ArchiveBuilder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (builder.folder / "blobs").glob("??/??/*")}


def in_rows(builder: ArchiveBuilder) -> int:
    with builder.archive.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(tables.blob)).scalar_one())


def test_files_move_to_the_file_system_and_back(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    fill(builder)
    move = ("--config", builder.config, "storage", "move")
    told = run(*move, "--to", "filesystem")
    assert (told.code, told.err) == (0, "")
    assert "3 of 3 blobs (27 B) verified in" in told.out
    assert f'path = "{builder.folder}/blobs"' in told.out
    assert {hashlib.sha256(content).hexdigest() for content in on_disk(builder).values()} == on_disk(builder).keys()
    assert in_rows(builder) == 3, "nothing is removed"
    backend(builder, "filesystem")
    assert "0 copied in this run" in run(*move, "--to", "filesystem").out
    told = run(*move, "--to", "filesystem", "--delete-source")
    assert (told.code, in_rows(builder)) == (0, 0)
    assert run("--config", builder.config, "scrub").code == 0
    assert run("--config", builder.config, "invoices", "export", "--to", tmp_path / "out").code == 0
    assert run(*move, "--to", "database").code == 0
    backend(builder, "")
    assert run(*move, "--to", "database", "--delete-source").code == 0
    assert on_disk(builder) == {}
    assert run("--config", builder.config, "scrub").code == 0


def test_the_source_is_not_emptied_while_the_configuration_names_it(run: Run, builder: ArchiveBuilder) -> None:
    fill(builder)
    told = run("--config", builder.config, "storage", "move", "--to", "filesystem", "--delete-source")
    assert told.code == 2
    assert 'storage.backend is still "database"' in told.complaint
    assert (in_rows(builder), on_disk(builder)) == (3, {})


def test_a_blob_damaged_in_both_stores_is_reported_and_the_source_is_kept(run: Run, builder: ArchiveBuilder) -> None:
    fill(builder)
    rotten = builder.archive.document_search.find("acme/2").files[0].sha256
    builder.archive.database.close()
    with builder.archive.database.write() as connection:
        connection.execute(
            sa.update(tables.blob_chunk).where(tables.blob_chunk.c.sha256 == rotten).values(content=b"rotten")
        )
    backend(builder, "filesystem")
    told = run("--config", builder.config, "storage", "move", "--to", "filesystem", "--delete-source")
    assert told.code == 3
    assert f"blob {rotten} is damaged in both stores" in told.err
    assert "2 of 3 blobs" in told.out
    assert (in_rows(builder), len(on_disk(builder))) == (3, 2)


def test_a_copy_damaged_meanwhile_is_repaired_before_the_source_is_deleted(run: Run, builder: ArchiveBuilder) -> None:
    fill(builder)
    move = ("--config", builder.config, "storage", "move", "--to", "filesystem")
    run(*move)
    next((builder.folder / "blobs").glob("??/??/*")).write_bytes(b"rotten")
    backend(builder, "filesystem")
    assert run(*move, "--delete-source").code == 0
    assert {hashlib.sha256(content).hexdigest() for content in on_disk(builder).values()} == on_disk(builder).keys()
    assert run("--config", builder.config, "scrub").code == 0


@pytest.mark.parametrize("survives", range(4))
def test_a_killed_move_continues_where_it_stopped(builder: ArchiveBuilder, tmp_path: Path, survives: int) -> None:
    """Readable throughout: what was put is whole, and the source is as it was."""
    fill(builder)
    database, source = builder.archive.database, builder.archive.blobs
    target = FileBlobs(tmp_path / "blobs", Dying(survives), "one")
    with pytest.raises(KeyboardInterrupt):
        copy_blobs(database, source, target, has_room=lambda _: True)
    hashes = [part.sha256 for doc_id in (1, 2, 3) for part in builder.archive.document_search.find(str(doc_id)).files]
    assert source.whole(hashes) == set(hashes)
    target = FileBlobs(tmp_path / "blobs", LocalFiles(), "two")
    done = copy_blobs(database, source, target, has_room=lambda _: True)
    assert (done.rotten, set(target.whole(hashes))) == (0, set(hashes))
    remove_all(source)
    assert not source.whole(hashes)
    assert target.whole(hashes) == set(hashes)


def test_a_copy_that_does_not_read_back_stops_the_move(builder: ArchiveBuilder, tmp_path: Path) -> None:
    """BYTE-IDENTITY: what the disk made of it is read before anybody may empty the source."""
    fill(builder, 1)
    database, source = builder.archive.database, builder.archive.blobs
    with pytest.raises(StorageFault, match="cannot be read back"):
        copy_blobs(database, source, FileBlobs(tmp_path / "blobs", Spoiling(), "one"), has_room=lambda _: True)


class Spoiling(LocalFiles):
    """A disk that stores other bytes than it was given."""

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        target.write_bytes(target.read_bytes()[::-1])


class Dying(LocalFiles):
    """The process is killed at a rename."""

    def __init__(self, survives: int) -> None:
        self._left = survives

    def rename(self, source: Path, target: Path) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        if self._left == 0:
            raise KeyboardInterrupt
        super().sync_folder(path)


def test_row_13_what_a_killed_move_had_not_synced_is_synced_by_the_next(
    builder: ArchiveBuilder, tmp_path: Path
) -> None:
    """NO-LOSS: whole in memory is not on the disk; a power cut after the source was emptied takes nothing."""
    fill(builder, 2)
    database, source = builder.archive.database, builder.archive.blobs
    hashes = {part.sha256 for doc_id in (1, 2) for part in builder.archive.document_search.find(str(doc_id)).files}
    calm = FaultInjector()
    copy_blobs(database, source, FileBlobs(tmp_path / "calm", MortalFiles(calm), "one"), has_room=lambda _: True)
    assert len(calm.trace) > 20
    for death in range(len(calm.trace)):
        root = tmp_path / str(death) / "blobs"
        injector = FaultInjector(deal=lambda number, _, death=death: Failure.KILLED if number == death else None)  # type: ignore[misc]
        files = MortalFiles(injector)
        with pytest.raises(CrashError):
            copy_blobs(database, source, FileBlobs(root, files, "one"), has_room=lambda _: True)
        injector.revive()
        copy_blobs(database, source, FileBlobs(root, files, "two"), has_room=lambda _: True)
        files.cut_power()
        assert FileBlobs(root, LocalFiles(), "three").whole(hashes) == hashes, calm.trace[death]


def test_a_full_disk_stops_the_move_and_keeps_what_was_copied(
    builder: ArchiveBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_move, "PAGE", 2)
    fill(builder, 3)
    target = FileBlobs(tmp_path / "blobs", LocalFiles(), "one")
    asked: list[int] = []

    def has_room(more: int) -> bool:
        asked.append(more)
        return len(asked) == 1

    with pytest.raises(StorageFault, match="not enough free space"):
        copy_blobs(builder.archive.database, builder.archive.blobs, target, has_room=has_room)
    assert len(list(tmp_path.glob("blobs/??/??/*"))) == 2
    assert copy_blobs(builder.archive.database, builder.archive.blobs, target, has_room=lambda _: True).copied == 1


def test_a_running_service_keeps_its_archive(run: Run, builder: ArchiveBuilder) -> None:
    with instance_lock(builder.archive.database, {"pid": "4711"}):
        told = run("--config", builder.config, "storage", "move", "--to", "filesystem")
    assert told.code == 5
    assert "4711" in told.complaint


@pytest.mark.parametrize("arguments", [["move"], ["move", "--to", "tape"], ["mov"]])
def test_a_wrong_storage_command_is_one_clear_line(run: Run, builder: ArchiveBuilder, arguments: list[str]) -> None:
    told = run("--config", builder.config, "storage", *arguments)
    assert told.code == 2
    assert told.complaint
