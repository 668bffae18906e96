"""A created folder and its created parents survive a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulation.disk import MortalFiles
from tests.simulation.fault_injection import CrashError, Failure, FaultInjector, Kind

from easytracking_sync.effects import LocalFiles, make_durable_folder
from easytracking_sync.errors import StorageBroken, StorageFault

EFFECTS = 11  # four looks and a sync above what is there, then three folders made, each one's parent synced


class Deaf(LocalFiles):
    """Some folder above may be passed through and not be read."""

    def sync_folder(self, path: Path) -> None:
        raise StorageFault(f"opening the folder {path}: permission denied")


@pytest.mark.parametrize("failure", [Failure.KILLED, Failure.KILLED_AFTER])
@pytest.mark.parametrize("number", range(EFFECTS))
def test_row_13_folders_made_after_a_death_in_the_middle_survive_a_power_cut(
    tmp_path: Path, number: int, failure: Failure
) -> None:
    """NO-LOSS: what the dead one left unsynced is synced by the next, who finds it there."""
    injector = FaultInjector(deal=lambda place, _: failure if place == number else None)
    files = MortalFiles(injector)
    with pytest.raises(CrashError):
        make_durable_folder(files, tmp_path / "a" / "b" / "c")
    injector.revive()
    make_durable_folder(files, tmp_path / "a" / "b" / "c")
    files.cut_power()
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_the_deaths_above_are_all_there_are(tmp_path: Path) -> None:
    injector = FaultInjector()
    make_durable_folder(MortalFiles(injector), tmp_path / "a" / "b" / "c")
    assert len(injector.trace) == EFFECTS


def test_row_12_a_sync_above_that_fails_is_a_broken_promise(tmp_path: Path) -> None:
    """FAIL-STOP: only what may not be opened is passed over; what was opened and cannot be synced is not."""
    injector = FaultInjector(deal=lambda _, effect: Failure.BROKEN if effect.kind is Kind.SYNC else None)
    with pytest.raises(StorageBroken):
        make_durable_folder(MortalFiles(injector), tmp_path)


def test_a_folder_whose_parent_cannot_be_read_is_one_that_was_there(tmp_path: Path) -> None:
    make_durable_folder(Deaf(), tmp_path)
    with pytest.raises(StorageFault):
        make_durable_folder(Deaf(), tmp_path / "new")
