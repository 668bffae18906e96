"""The folder sink: what happens on disk, step by step, and what a mount may do."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.deliver.consignments import INVOICE, sha256
from tests.simulation.disk import Cut, MortalFiles
from tests.simulation.fault_injection import CrashError, Failure, FaultInjector

from easytracking_sync.deliver.folder import Access, FolderSink
from easytracking_sync.deliver.sink import Put
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import SinkRefused, SinkUnavailable, StorageBroken, StorageFault, SyncError

NAME = "2026-10/invoice.xml"
HASH = sha256(INVOICE)
READABLE = Access()
EFFECTS = 10


class Recording(LocalFiles):
    """Records the steps that durability depends on, with the names that a receiver sees in between."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def create(self, path: Path) -> BinaryIO:
        self.steps.append(f"create {path.suffix}")
        return super().create(path)

    def sync(self, file: BinaryIO) -> None:
        self.steps.append("sync")
        super().sync(file)

    def rename_new(self, source: Path, target: Path) -> bool:
        self.steps.append(f"rename to {target.name}")
        return super().rename_new(source, target)

    def sync_folder(self, path: Path) -> None:
        self.steps.append(f"sync {path.name}")
        super().sync_folder(path)


def put(root: Path, files: LocalFiles, access: Access = READABLE) -> Put:
    return FolderSink(root, files, "one", access).put_new(NAME, INVOICE, HASH)


def test_a_file_is_written_aside_then_synced_then_named_then_its_folder_synced(tmp_path: Path) -> None:
    """Any other order could show a name whose bytes a power cut takes away."""
    files = Recording()
    put(tmp_path, files)
    assert files.steps == [
        f"sync {tmp_path.name}",
        "create .part",
        "sync",
        "rename to invoice.xml",
        "sync 2026-10",
    ]


def test_a_file_that_an_earlier_attempt_left_is_synced_before_it_counts(tmp_path: Path) -> None:
    put(tmp_path, LocalFiles())
    files = Recording()
    assert put(tmp_path, files) is Put.SAME
    assert files.steps == [f"sync {tmp_path.name}", "sync", "sync 2026-10"]


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("failure", [Failure.KILLED, Failure.POWER_CUT])
@pytest.mark.parametrize("number", range(EFFECTS))
def test_a_crash_at_any_step_shows_no_half_file_and_the_next_attempt_delivers(
    tmp_path: Path, number: int, failure: Failure, cut: Cut
) -> None:
    injector = FaultInjector(deal=lambda place, _: failure if place == number else None)
    files = MortalFiles(injector)
    files.cut = cut
    with pytest.raises(CrashError):
        put(tmp_path, files)
    target = tmp_path / NAME
    assert not target.exists() or target.read_bytes() == INVOICE
    injector.revive()
    injector.deal = lambda *_: None
    assert put(tmp_path, files) in {Put.WRITTEN, Put.SAME}
    files.cut_power()
    assert target.read_bytes() == INVOICE


def test_the_crashes_above_are_all_there_are(tmp_path: Path) -> None:
    places: list[int] = []
    put(tmp_path, MortalFiles(FaultInjector(deal=lambda place, _: places.append(place))))
    assert places == list(range(EFFECTS))


def test_a_power_cut_after_the_answer_loses_nothing(tmp_path: Path) -> None:
    files = MortalFiles(FaultInjector(deal=lambda *_: None))
    put(tmp_path, files)
    files.cut_power()
    assert (tmp_path / NAME).read_bytes() == INVOICE


class Failing(LocalFiles):
    """Every sync fails."""

    def sync(self, file: BinaryIO) -> None:
        raise StorageBroken("fsync failed")


class Short(LocalFiles):
    """The disk loses the last byte."""

    def sync(self, file: BinaryIO) -> None:
        super().sync(file)
        file.truncate(file.tell() - 1)


class Full(LocalFiles):
    """No new files."""

    def create(self, path: Path) -> BinaryIO:
        raise StorageFault("no space left")


@pytest.mark.parametrize("files", [Failing(), Short(), Full()])
def test_a_disk_in_trouble_stops_this_sink_only_and_leaves_nothing(tmp_path: Path, files: LocalFiles) -> None:
    """A failed sync of the archive's own disk ends the program; that of a share must not."""
    with pytest.raises(SinkUnavailable):
        put(tmp_path, files)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    """It may be the mount point of a share that is not mounted."""
    with pytest.raises(SinkUnavailable, match="mount or create it"):
        put(tmp_path / "share", LocalFiles())
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize("place", ["2026-10", "2026-10/invoice.xml"])
def test_no_symbolic_link_is_followed(tmp_path: Path, place: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "root"
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(elsewhere / "new" if place == NAME else elsewhere)
    try:
        assert put(root, LocalFiles()) is Put.OTHER
    except SinkRefused:
        assert place != NAME
    assert list(elsewhere.iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "2026-10").write_bytes(b"")
    with pytest.raises(SinkRefused, match="not a folder"):
        put(tmp_path, LocalFiles())


def test_files_and_folders_get_the_mode_and_a_setgid_folder_hands_down_its_bit(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    put(tmp_path, LocalFiles(), Access(0o660, None))
    folder, file = tmp_path / "2026-10", tmp_path / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    assert file.stat().st_gid == tmp_path.stat().st_gid


def test_a_folder_that_an_administrator_changed_keeps_its_mode(tmp_path: Path) -> None:
    put(tmp_path, LocalFiles())
    (tmp_path / "2026-10").chmod(0o755)
    put(tmp_path, LocalFiles())
    assert stat.S_IMODE((tmp_path / "2026-10").stat().st_mode) == 0o755


def test_a_group_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="no group no-such-group"):
        put(tmp_path, LocalFiles(), Access(group="no-such-group"))


class Replacing(LocalFiles):
    """A file system that replaces whatever it is told."""

    def rename_new(self, source: Path, target: Path) -> bool:
        source.replace(target)
        return True


class Modeless(LocalFiles):
    """A mount that ignores modes."""

    def set_access(self, path: Path, mode: int, group: str | None) -> None:
        """Ignore it."""


def test_the_probe_finds_out_what_a_mount_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(SinkRefused, match="replaces existing files"):
        FolderSink(tmp_path, Replacing(), "one").probe()
    (warning,) = FolderSink(tmp_path, Modeless(), "one").probe().warnings
    assert "0600, not 0640" in warning
    assert list(tmp_path.iterdir()) == []


def test_only_old_parts_of_this_program_are_swept(tmp_path: Path) -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    old, young, theirs = (
        tmp_path / name for name in (f".{'a' * 16}-one-1.part", f".{'b' * 16}-one-2.part", ".theirs.part")
    )
    for path, age in ((old, 2), (young, 0), (theirs, 2)):
        path.write_bytes(b"")
        moment = (now - timedelta(days=age)).timestamp()
        os.utime(path, (moment, moment))
    FolderSink(tmp_path, LocalFiles(), "one").sweep(now)
    assert sorted(tmp_path.iterdir()) == sorted([young, theirs])


def test_every_error_is_one_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SyncError):
        FolderSink(tmp_path / "missing", LocalFiles(), "one").read("a.xml")
