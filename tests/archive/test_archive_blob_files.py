"""Blobs as files: the steps that make a blob durable come in order, and existing blobs are checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.archive.archive_harness import source_of

from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blobs import BlobRotten
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageBroken, StorageFault

CONTENT = b"<FatturaElettronica/>"


@dataclass
class Told(LocalFiles):
    """The real file layer, which tells the order of what it was asked to do, and may forget a file's last byte."""

    steps: list[str] = field(default_factory=list)
    keeps_all: bool = True
    syncs: bool = True

    def create(self, path: Path) -> BinaryIO:
        self.steps.append(f"create {path.parent.name}")
        return super().create(path)

    def sync(self, file: BinaryIO) -> None:
        self.steps.append("sync")
        if not self.syncs:
            raise StorageBroken("fsync failed")
        super().sync(file)
        if not self.keeps_all:
            file.truncate(file.tell() - 1)

    def rename(self, source: Path, target: Path) -> None:
        self.steps.append(f"rename {source.parent.name}")
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self.steps.append(f"sync {path.name}")
        super().sync_folder(path)


def files_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def above(folder: Path) -> list[str]:
    """What is synced before anything else: where this folder stands, and where the new one in it does."""
    return [f"sync {folder.parent.name}", f"sync {folder.name}"]


def test_row_12_a_blob_is_written_aside_then_synced_then_named_then_its_folders_synced(tmp_path: Path) -> None:
    """Any other order could show a name whose bytes a power cut takes away."""
    files = Told()
    source = source_of(CONTENT)
    FileBlobs(tmp_path / "blobs", files, "one").put([source])
    first, second = source.sha256[:2], source.sha256[2:4]
    naming = ["create arriving", "sync", "rename arriving"]
    assert files.steps == [*above(tmp_path), *naming, f"sync {second}", f"sync {first}", "sync blobs"]
    (lying,) = files_in(tmp_path)
    assert lying == tmp_path / "blobs" / first / second / source.sha256
    assert lying.read_bytes() == CONTENT


def test_row_12_a_blob_that_lies_there_already_is_synced_before_it_is_relied_on(tmp_path: Path) -> None:
    """Whoever wrote it may have died before its fsync: being able to read it proves nothing."""
    source = source_of(CONTENT)
    FileBlobs(tmp_path / "blobs", LocalFiles(), "one").put([source])
    files = Told()
    FileBlobs(tmp_path / "blobs", files, "two").put([source])
    folders = [f"sync {name}" for name in (source.sha256[2:4], source.sha256[:2], "blobs")]
    assert files.steps[:4] == ["sync", *folders]


def test_row_12_a_blob_of_which_the_disk_keeps_less_gets_no_name(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs", Told(keeps_all=False), "one")
    source = source_of(CONTENT)
    with pytest.raises(StorageFault, match="shorter than what was written"):
        blobs.put([source])
    assert list(files_in(tmp_path)) == []
    with pytest.raises(BlobRotten):
        list(blobs.read(source.sha256))


def test_row_12_a_blob_whose_fsync_fails_gets_no_name_and_is_not_synced_again(tmp_path: Path) -> None:
    """FAIL-STOP: the kernel drops what it could not write; a second fsync would succeed and promise nothing."""
    files = Told(syncs=False)
    with pytest.raises(StorageBroken):
        FileBlobs(tmp_path / "blobs", files, "one").put([source_of(CONTENT)])
    assert files.steps == [*above(tmp_path), "create arriving", "sync"]
    assert list(files_in(tmp_path)) == []


def test_what_a_killed_instance_left_half_written_is_swept_a_day_later(tmp_path: Path) -> None:
    """BOUNDED: kills for years fill no disk; what another instance is writing at this moment stays."""
    blobs = FileBlobs(tmp_path / "blobs", LocalFiles(), "one")
    now = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    blobs.sweep(now)
    blobs.put([source_of(CONTENT)])
    arriving = tmp_path / "blobs" / "arriving"
    for name, age in (("forsaken", timedelta(hours=25)), ("fresh", timedelta(hours=1))):
        (arriving / name).write_bytes(b"half")
        written = (now - age).timestamp()
        os.utime(arriving / name, (written, written))
    blobs.sweep(now)
    assert [path.name for path in arriving.iterdir()] == ["fresh"]
    assert b"".join(blobs.read(source_of(CONTENT).sha256)) == CONTENT
