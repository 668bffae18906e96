"""Row 22 of the fault matrix: killed during the recovery. The result is the same as after one death."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries
from tests.support.harness import SMALL, Harness, settle

from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.effects import LocalFiles

ONE = replace(SMALL, documents=1)
LEAST_MOMENTS = 8


class KilledError(BaseException):
    """The process is dead: nothing may catch this."""


@dataclass
class Doom:
    """Counts what a process does to disk and database, and ends it before the step of that number."""

    at: int | None = None
    steps: int = 0

    def come(self) -> None:
        if self.at is not None and self.steps >= self.at:
            raise KilledError
        self.steps += 1


@dataclass
class MortalFiles(LocalFiles):
    """The file layer of a process that may be killed."""

    doom: Doom
    dies_unnoted: bool = False  # once a parcel has its name, and nobody has noted it

    def make_folder(self, path: Path) -> None:
        self.doom.come()
        super().make_folder(path)

    def names(self, folder: Path) -> list[str]:
        self.doom.come()
        return super().names(folder)

    def remove(self, path: Path) -> None:
        self.doom.come()
        super().remove(path)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        if self.dies_unnoted:
            raise KilledError


def mortal(archive: Archive, doom: Doom) -> None:
    """Killed before a commit, or right after it."""
    write = archive.database.write

    @contextmanager
    def dying() -> Iterator[Connection]:
        with write() as connection:
            yield connection
            doom.come()
        doom.come()

    archive.database.write = dying  # type: ignore[method-assign]


def killed_once(make: Make, doom: Doom) -> Harness:
    """A harness with a parcel in the spool only, beside leftovers of older deaths."""
    files = MortalFiles(doom)
    harness = make(ONE, files=files, opened=lambda archive: mortal(archive, doom))
    files.dies_unnoted = True
    with pytest.raises(KilledError):
        settle(harness)
    files.dies_unnoted = False
    for name in ("999-of-a-batch-that-is-done.zip", "998-half.zip.part"):
        (harness.folder / "spool" / name).write_bytes(b"left by an older death")
    return harness


def test_row_22_killed_at_any_step_of_the_recovery_the_next_start_finishes(make: Make) -> None:
    """CRASH-IDEMPOTENT: at every look, removal and commit of a start, one after the other."""
    for moment in itertools.count():
        doom = Doom()
        harness = killed_once(make, doom)
        doom.at, doom.steps = moment, 0
        try:
            harness.reopen()
        except KilledError:
            doom.at = None
            harness.reopen()
        else:
            assert moment >= LEAST_MOMENTS
            break
        assert settle(harness).waiting == 0
        assert_archived(harness)
        assert harness.simulator.count("fetch", status=200) == 1
        assert {entry.attempts for entry in entries(harness).values()} == {0}
        assert list((harness.folder / "spool").glob("*.zip*")) == []


def test_a_parcel_that_arrives_while_a_host_starts_is_not_swept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another instance may put a parcel into the shared folder after the database was asked what is waited for."""
    harness = make(ONE)
    spool = harness.archive.spool
    arriving = parcel_name(8, "of-another-instance")
    spooled = Batches.spooled

    def and_then_one_arrives(batches: Batches) -> set[str]:
        found = spooled(batches)
        with spool.receiving(arriving) as sink:
            sink(b"a parcel")
        return found

    monkeypatch.setattr(Batches, "spooled", and_then_one_arrives)
    harness.engine.recover()
    assert spool.holds(arriving)
    spool.remove(arriving)
