"""BOUNDED, and row 12 of the fault matrix as the machine meets it: jobs in flight, ids a call, full disks."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import SMALL, Harness, Wish, cycle_of, drain, list_through, settle

from easytracking_simulator import status
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageFault
from easytracking_sync.machine.engine import Bounds
from easytracking_sync.terms import DocumentState

FEW = replace(SMALL, documents=4)


@pytest.mark.parametrize("most", [1, 2])
def test_bounded_no_more_jobs_are_in_flight_than_allowed(make: Make, most: int) -> None:
    """Single batches, `jobs_in_flight` at a time, for each account by itself; all of them come home."""
    two = {"demo1": Wish(), "demo2": Wish()}
    harness = make(replace(SMALL, documents=10, job_seconds=5), wishes=two, bounds=Bounds(jobs_in_flight=most))
    for label in two:
        for _ in range(4):
            harness.simulator.script("reserve", status(403), account=label)
    seen: set[int] = set()

    def look() -> None:
        for label in two:
            seen.add(len(harness.simulator.open_jobs(label)))
            assert len(harness.simulator.open_jobs(label)) <= most

    assert settle(harness, after_step=look).waiting == 0
    assert max(seen) == most
    for label in two:
        assert_archived(harness, label)
        assert harness.simulator.count("reserve", account=label, status=202) == 5


def test_bounded_no_call_names_more_than_a_hundred_ids(make: Make) -> None:
    """101 documents: two reservations, two acknowledgements; the checker looks at every call."""
    harness = make(replace(SMALL, documents=101, p7m_share=0.0))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    for call in ("reserve", "acknowledge"):
        assert sorted(len(called.ids) for called in harness.simulator.journal(call)) == [1, 100]


class FullDisk(LocalFiles):
    """A file layer whose disk can be full at one operation: it says so as the real one does."""

    def __init__(self) -> None:
        self.full_at = ""
        self.free = 1 << 40
        self.refusals = 0

    def _come_to(self, operation: str) -> None:
        if operation == self.full_at:
            self.refusals += 1
            raise StorageFault(f"storage failed while {operation}: {os.strerror(errno.ENOSPC)}")

    def create(self, path: Path) -> BinaryIO:
        self._come_to("create")
        super().create(path).close()
        return _FullFile(self, path)

    def sync(self, file: BinaryIO) -> None:
        self._come_to("sync")
        super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        self._come_to("rename")
        super().rename(source, target)

    def open(self, path: Path) -> BinaryIO:
        self._come_to("open")
        return super().open(path)

    def free_bytes(self, folder: Path) -> int:
        return self.free


class _FullFile(io.BufferedWriter):
    def __init__(self, files: FullDisk, path: Path) -> None:
        super().__init__(io.FileIO(os.open(path, os.O_WRONLY), "wb"))
        self._files = files

    def write(self, chunk: object, /) -> int:
        if self._files.full_at == "write":
            self._files.refusals += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(chunk)  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "open"])
def test_row_12_a_full_disk_while_spooling_is_reported_and_work_resumes(make: Make, operation: str) -> None:
    """Nothing half-written stays, nothing is acknowledged, nobody gets an attempt; with room again all comes home."""
    disk = FullDisk()
    harness = make(FEW, files=disk)
    disk.full_at = operation
    settle(harness, deadline=timedelta(minutes=10))
    assert disk.refusals >= 1
    assert harness.engine.storage_failure is not None
    assert os.strerror(errno.ENOSPC) in harness.engine.storage_failure
    assert harness.observer.named("storage.failed")
    assert harness.simulator.marked(1) == frozenset()
    assert DocumentState.STORED not in states(harness).values()
    assert [path.name for path in (harness.folder / "spool").iterdir() if path.name.endswith(".part")] == []
    disk.full_at = ""
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert {entry.attempts for entry in entries(harness).values()} == {0}


def test_row_12_a_full_disk_is_retried_rarely(make: Make) -> None:
    """Each parcel that cannot be kept costs the service a job: ten minutes of it cost a few, not hundreds."""
    disk = FullDisk()
    harness = make(FEW, files=disk)
    disk.full_at = "write"
    settle(harness, deadline=timedelta(minutes=10))
    assert harness.simulator.count("reserve") <= 25


def test_row_12_below_min_free_bytes_nothing_is_reserved(make: Make) -> None:
    """It is said once; what is on its way goes on; with room again everything comes home."""
    disk = FullDisk()
    harness = make(FEW, files=disk, min_free_bytes=1 << 30)
    disk.free = (1 << 30) - 1
    assert settle(harness).waiting == 4
    assert harness.simulator.count("reserve") == 0
    assert len(entries(harness)) == 4
    assert len(harness.observer.named("storage.failed")) == 1
    assert "min_free_bytes" in str(harness.engine.storage_failure)
    assert "nothing is reserved" in str(harness.engine.storage_failure)
    disk.free = 1 << 30
    assert settle(harness).waiting == 0
    assert_archived(harness)


def test_row_12_a_full_archive_disk_is_not_hidden_by_a_spool_with_room(make: Make) -> None:
    class TwoDisks(FullDisk):
        def free_bytes(self, folder: Path) -> int:
            return 1 << 40 if folder.name == "spool" else self.free

    disk = TwoDisks()
    harness = make(FEW, files=disk, min_free_bytes=1 << 30, blobs="files")
    disk.free = (1 << 30) - 1
    assert settle(harness).waiting == 4
    assert harness.simulator.count("reserve") == 0
    assert str(harness.engine.storage_failure).startswith(f"{harness.folder}")
    assert "spool has" not in str(harness.engine.storage_failure)


def test_row_12_what_was_reserved_before_the_disk_filled_up_is_still_acknowledged(make: Make) -> None:
    """`min_free_bytes` holds back reservations only."""
    disk = FullDisk()
    harness = make(FEW, files=disk, min_free_bytes=1 << 30)
    list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
    assert harness.engine.step()
    assert reserved(harness) == 1
    disk.free = 0
    drain(harness)
    assert_archived(harness)
    late = harness.simulator.add_document("demo1", received_at=harness.clock.now())
    assert settle(harness).waiting == 1
    assert states(harness)[late] is DocumentState.DISCOVERED
    assert reserved(harness) == 1


def reserved(harness: Harness) -> int:
    return harness.simulator.count("reserve", status=202)
