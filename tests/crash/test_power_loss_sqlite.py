"""Row 13 for SQLite's files: after a power cut at any moment, every acknowledged document can be read.

A real job runs under strace, which hears every write, fsync and unlink. Then the power is cut at one moment after the
other: of what was not synced nothing is left, or whatever the dice say, page by page and name by name.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest
from tests.crash import small_job
from tests.crash.strace_log import Act, Did, Disk, acts, record
from tests.simulation.archive_reader import ArchiveReader

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="power loss under SQLite is not tested: no strace (apt-get install strace)"
)
MOMENTS = 120
ROLLS = 2
SETTLED = ("stored", "acknowledged")


@functools.cache
def heard() -> tuple[Act, ...]:
    """What a whole job did to the folder of its archive; the job runs once a process."""
    with tempfile.TemporaryDirectory() as name:
        folder, tape = Path(name).resolve() / "archive", Path(name) / "tape"
        folder.mkdir()
        record([sys.executable, "-m", "tests.crash.small_job", str(folder)], tape)
        return tuple(acts(tape, folder))


def moments(told: list[Act]) -> list[int]:
    """When the power goes: after the calls that matter most (a sync, a removal, the service told), evenly chosen."""
    weighty = [
        number for number, act in enumerate(told) if act.did in (Did.SYNCED, Did.REMOVED) or is_confession(act)
    ]
    return weighty[:: max(1, len(weighty) // MOMENTS)]


def is_confession(act: Act) -> bool:
    return act.path.name == small_job.TOLD and act.did is Did.WROTE


def expect_readable(found: dict[Path, bytes], told: set[int], folder: Path) -> None:
    """Put it there, open it as the program does, and look for what the service believes to be home."""
    for path, content in found.items():
        (folder / path.name).write_bytes(content)
    archive = folder / small_job.ARCHIVE
    if not archive.exists():
        assert not told, "NO-ACK-BEFORE-DURABLE: the archive is gone"
        return
    with contextlib.closing(ArchiveReader(f"sqlite:///{archive}", None)) as reader:
        assert reader.rows("PRAGMA integrity_check") == [("ok",)]
        if told:
            expect_home(reader, told)


def expect_home(reader: ArchiveReader, told: set[int]) -> None:
    """Each of these documents is stored, with its original, and every file of it can be read."""
    states = {row[0]: row[1] for row in reader.rows("SELECT doc_id, state FROM document")}
    files = reader.rows("SELECT d.doc_id, f.type, f.sha256 FROM file f JOIN document d ON d.id = f.document_id")
    whole = {sha256 for _, _, sha256 in files if reader.is_whole(sha256)}
    assert {doc_id for doc_id in told if states.get(doc_id) not in SETTLED} == set(), "NO-ACK-BEFORE-DURABLE"
    broken = [(doc_id, kind) for doc_id, kind, sha256 in files if doc_id in told and sha256 not in whole]
    assert not broken, f"NO-ACK-BEFORE-DURABLE: {broken} cannot be read"
    with_original = {doc_id for doc_id, kind, _ in files if kind == "FA"}
    assert told <= with_original, "NO-ACK-BEFORE-DURABLE: without their originals"


@needs_strace
def test_row_13_whenever_the_power_fails_acknowledged_documents_are_readable(folder: Path) -> None:
    """NO-ACK-BEFORE-DURABLE, with SQLite's journal and all: real writes, real fsyncs, a disk that forgets."""
    tape = list(heard())
    cuts = set(moments(tape))
    assert len(cuts) > MOMENTS // 2
    disk, told = Disk(), set[int]()
    for number, act in enumerate(tape):
        if is_confession(act):
            told |= set(json.loads(act.content))
        elif act.path.name != small_job.TOLD:
            disk.do(act)
        if number in cuts:
            for roll in (None, *range(ROLLS)):
                with tempfile.TemporaryDirectory(dir=folder) as name:
                    dice = None if roll is None else Random(f"{number}/{roll}")
                    expect_readable(disk.after_a_power_cut(dice), told, Path(name))
    assert len(told) == small_job.DOCUMENTS


@needs_strace
def test_the_disk_forgets_what_sqlite_does_not_sync(folder: Path) -> None:
    """The proof above is worth what this is: without fsyncs the same tape loses what the service was told of."""
    disk, told = Disk(), set[int]()
    for act in heard():
        if is_confession(act):
            told |= set(json.loads(act.content))
        elif act.path.name != small_job.TOLD and (act.did is not Did.SYNCED or act.path.suffix == ""):
            disk.do(act)
    with tempfile.TemporaryDirectory(dir=folder) as name, pytest.raises((AssertionError, sqlite3.DatabaseError)):
        expect_readable(disk.after_a_power_cut(None), told, Path(name))
