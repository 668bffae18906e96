"""The spool: wherever the file layer fails, a parcel is complete and durable, or absent."""

from __future__ import annotations

import errno
import io
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from easytracking_sync.archive import spool as spool_room
from easytracking_sync.archive.spool import Spool, parcel_name
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageBroken, StorageFault

NAME = parcel_name(7, "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c001")
PIECES = (b"PK\x03\x04", b"the parcel's middle", b"PK\x05\x06")
PARCEL = b"".join(PIECES)


class PulledPlugError(BaseException):
    """The program dies here: no code catches it, and nothing is done afterwards."""


@dataclass
class Watched(LocalFiles):
    """The real file layer, written down; the call of number `failing` (and, `for_good`, all after it) raises."""

    failing: int | None = None
    error: BaseException | None = None
    for_good: bool = False
    free: int = 10**12
    calls: list[str] = field(default_factory=list)

    def strike(self, name: str) -> None:
        self.calls.append(name)
        number = len(self.calls) - 1
        if self.failing is not None and (number == self.failing or (self.for_good and number > self.failing)):
            assert self.error is not None
            raise self.error

    def create(self, path: Path) -> BinaryIO:
        self.strike("create")
        return cast("BinaryIO", WatchedFile(super().create(path), self))

    def sync(self, file: BinaryIO) -> None:
        self.strike("sync")
        super().sync(file)

    def size(self, path: Path) -> int | None:
        self.strike("size")
        return super().size(path)

    def rename(self, source: Path, target: Path) -> None:
        self.strike("rename")
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self.strike("sync_folder")
        super().sync_folder(path)

    def remove(self, path: Path) -> None:
        self.strike("remove")
        super().remove(path)

    def free_bytes(self, folder: Path) -> int:
        self.free -= 1
        return self.free


class WatchedFile(io.RawIOBase):
    """A file whose writes and close are calls of the layer too."""

    def __init__(self, file: BinaryIO, files: Watched) -> None:
        self._file = file
        self._files = files

    def write(self, content: Any) -> int:
        self._files.strike("write")
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        if not self._file.closed:
            try:
                self._files.strike("close")
            finally:
                self._file.close()


WHOLE_STORY = ["create", "write", "write", "write", "sync", "close", "size", "rename", "sync_folder"]


def spool_in(folder: Path, files: LocalFiles | None = None, **options: Any) -> Spool:
    made = Spool(folder / "spool", files or LocalFiles(), **options)
    made.prepare()
    return made


def receive(spool: Spool, name: str = NAME, pieces: tuple[bytes, ...] = PIECES) -> None:
    with spool.receiving(name) as sink:
        for piece in pieces:
            sink(piece)


def content_of(spool: Spool, name: str = NAME) -> bytes:
    with spool.open(name) as file:
        return file.read()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "spool").iterdir())


def test_a_parcel_is_written_then_synced_then_renamed_then_its_folder_synced(tmp_path: Path) -> None:
    """Any other order could show a name whose bytes a power cut takes away."""
    files = Watched()
    spool = spool_in(tmp_path, files)
    receive(spool)
    assert files.calls == WHOLE_STORY
    assert spool.holds(NAME)
    assert content_of(spool) == PARCEL
    assert names_in(tmp_path) == [NAME, "inspection"]
    assert stat.S_IMODE((tmp_path / "spool" / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def errors_of(call: str) -> list[Callable[[], BaseException]]:
    """What the call may meet: a refusal in the words of its layer, or the end of the program."""
    if call in {"sync", "sync_folder"}:
        return [lambda: StorageBroken("fsync failed"), PulledPlugError]
    if call in {"write", "close"}:
        return [lambda: OSError(errno.ENOSPC, "No space left on device"), PulledPlugError]
    return [lambda: StorageFault("the disk is full"), PulledPlugError]


@pytest.mark.parametrize("failing", range(len(WHOLE_STORY)))
@pytest.mark.parametrize("kind", [0, 1], ids=["refused", "killed"])
def test_row_12_wherever_it_fails_the_parcel_is_whole_or_not_there(tmp_path: Path, failing: int, kind: int) -> None:
    """And what another start finds, sweeps and receives anew is as if nothing had been."""
    call = WHOLE_STORY[failing]
    error = errors_of(call)[kind]()
    spool = spool_in(tmp_path, Watched(failing=failing, error=error, for_good=kind == 1))
    expected = PulledPlugError if kind else StorageBroken if "sync" in call else StorageFault
    with pytest.raises(expected):
        receive(spool)
    restarted = spool_in(tmp_path)
    if restarted.holds(NAME):
        assert call == "sync_folder"
        assert content_of(restarted) == PARCEL
    elif not kind:
        assert names_in(tmp_path) == ["inspection"]
    restarted.sweep({NAME})
    assert names_in(tmp_path) in (["inspection"], [NAME, "inspection"])
    receive(restarted)
    assert content_of(restarted) == PARCEL


def test_row_12_a_failed_fsync_stops_the_program_and_is_not_tried_again(tmp_path: Path) -> None:
    """The kernel drops the dirty pages: a second fsync would succeed and promise nothing."""
    files = Watched(failing=WHOLE_STORY.index("sync"), error=StorageBroken("fsync failed"))
    with pytest.raises(StorageBroken, match="fsync failed"):
        receive(spool_in(tmp_path, files))
    assert files.calls.count("sync") == 1
    assert "rename" not in files.calls
    assert names_in(tmp_path) == ["inspection"]


@pytest.mark.parametrize("call", ["sync", "sync_folder"])
def test_a_failed_fsync_stops_the_program_even_where_nothing_can_be_cleaned_up(tmp_path: Path, call: str) -> None:
    """A disk that fails one call fails the next ones too: the worse of the two errors must win."""

    class Failing(Watched):
        def remove(self, path: Path) -> None:
            raise StorageFault(f"storage failed while removing {path}")

    files = Failing(failing=WHOLE_STORY.index(call), error=StorageBroken("fsync failed"))
    with pytest.raises(StorageBroken, match="fsync failed"):
        receive(spool_in(tmp_path, files))


def test_bytes_that_did_not_reach_the_file_are_missed_before_the_name_is_given(tmp_path: Path) -> None:
    class Short(LocalFiles):
        def size(self, path: Path) -> int | None:
            size = super().size(path)
            return None if size is None else size - 1

    with pytest.raises(StorageFault, match="shorter than what was written"):
        receive(spool_in(tmp_path, Short()))
    assert names_in(tmp_path) == ["inspection"]


def test_when_the_service_breaks_off_nothing_is_left(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)

    def break_off() -> None:
        with spool.receiving(NAME) as sink:
            sink(PIECES[0])
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        break_off()
    assert names_in(tmp_path) == ["inspection"]


def test_when_nothing_was_poured_nothing_is_made(tmp_path: Path) -> None:
    """The job is not ready: the usual answer."""
    files = Watched()
    receive(spool_in(tmp_path, files), pieces=())
    assert files.calls == []
    assert names_in(tmp_path) == ["inspection"]


def test_a_parcel_received_again_replaces_the_part_of_a_run_that_died(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    (tmp_path / "spool" / f"{NAME}.part").write_bytes(b"x" * 10_000)
    receive(spool)
    assert content_of(spool) == PARCEL


def test_a_writer_to_a_shared_folder_removes_others_parts_of_its_own_parcel_only(tmp_path: Path) -> None:
    """Another instance may be receiving another parcel at this moment."""
    other_parcel = parcel_name(8, "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c002")
    one = spool_in(tmp_path, writer="one")
    for name in (NAME, other_parcel):
        (tmp_path / "spool" / f"{name}.two.part").write_bytes(b"half")
    receive(one)
    assert names_in(tmp_path) == sorted(["inspection", NAME, f"{other_parcel}.two.part"])


def test_a_parcel_is_refused_before_the_reserve_is_eaten(tmp_path: Path) -> None:
    """Room is asked about again while a large parcel is coming in; what was written of it is given back."""
    files = Watched(free=1001)
    spool = spool_in(tmp_path, files, min_free_bytes=1000)
    assert spool.has_space()
    piece = bytes(spool_room.FREE_CHECK_BYTES)
    with pytest.raises(StorageFault, match="min_free_bytes"):
        receive(spool, pieces=(b"small", piece, piece))
    assert not spool.has_space()
    assert names_in(tmp_path) == ["inspection"]


def test_the_inspection_folder_keeps_the_newest_twenty(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    for batch in range(1, 26):
        receive(spool, f"{batch}-job.zip")
        assert spool.keep_for_inspection(f"{batch}-job.zip") == f"{batch}-job.zip"
    kept = {path.name for path in (tmp_path / "spool" / "inspection").iterdir()}
    assert kept == {f"{batch}-job.zip" for batch in range(6, 26)}
    assert names_in(tmp_path) == ["inspection"]
    assert spool.keep_for_inspection("99-gone.zip") is None


def test_the_inspection_folder_keeps_a_gibibyte_and_nothing_larger(tmp_path: Path) -> None:
    class Swollen(LocalFiles):
        def size(self, path: Path) -> int | None:
            size = super().size(path)
            return None if size is None else size << 28  # each byte counts as a quarter of a gibibyte

    spool = Spool(tmp_path / "spool", Swollen())
    spool.prepare()
    for batch, size in enumerate((2, 1, 2, 5), start=1):
        (tmp_path / "spool" / f"{batch}-job.zip").write_bytes(b"x" * size)
        kept = spool.keep_for_inspection(f"{batch}-job.zip")
        assert (kept is None) == (size == 5)
    assert sorted(path.name for path in (tmp_path / "spool" / "inspection").iterdir()) == ["2-job.zip", "3-job.zip"]
    assert names_in(tmp_path) == ["inspection"]


def test_the_sweep_keeps_what_is_wanted_and_what_waits_for_a_person(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    for name in ("1-a.zip", "2-b.zip", "3-c.zip"):
        receive(spool, name)
    spool.keep_for_inspection("3-c.zip")
    (tmp_path / "spool" / "2-b.zip.part").write_bytes(b"half")
    for _ in range(2):
        spool.sweep({"1-a.zip", "9-absent.zip"})
        assert names_in(tmp_path) == ["1-a.zip", "inspection"]
    assert [path.name for path in (tmp_path / "spool" / "inspection").iterdir()] == ["3-c.zip"]


def test_the_sweep_leaves_alone_what_is_not_the_spools_own(tmp_path: Path) -> None:
    """A spool on a disk of its own has a `lost+found`, and people put notes beside things."""
    spool = spool_in(tmp_path)
    (tmp_path / "spool" / "lost+found").mkdir()
    (tmp_path / "spool" / "README").write_text("ask Anna before deleting")
    receive(spool)
    spool.sweep(())
    assert names_in(tmp_path) == ["README", "inspection", "lost+found"]


def test_removing_and_missing_are_safe(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    receive(spool)
    for _ in range(2):
        spool.remove(NAME)
    assert not spool.holds(NAME)
    with pytest.raises(FileNotFoundError):
        spool.open(NAME)
