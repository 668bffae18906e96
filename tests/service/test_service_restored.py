"""After a restore nobody has to remember a command: the next start brings home what the backup lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.service.test_service_run import PATIENCE_SECONDS, Town, all_marked, eventually, running, town

from easytracking_sync.app import CatchUpRequest, catch_up, existing_archive

MORE = 20
FILES = {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}


def archived(place: Town) -> int:
    return sum(place.home(account.username) for account in place.simulator.accounts)


def is_due(place: Town) -> bool:
    with existing_archive(place.settings()) as archive:
        return any(one.reconcile_since is not None for one in archive.account_statuses.overviews())


def work(place: Town) -> None:
    """The service runs until everything is acknowledged."""
    with running(place):
        eventually(lambda: all_marked(place) and archived(place) == len(place.simulator.ids()))


def restored(place: Town, folder: Path, copy: Callable[[Path, Path], object]) -> None:
    """A backup, more documents that come home, and the backup in their place."""
    work(place)
    backup = folder.with_name("backup")
    copy(folder, backup)
    for number in range(MORE):
        place.simulator.add_document("demo1", {**FILES, "FA": ("a.xml", f"<a>{number}</a>".encode())})
    work(place)
    for path in folder.glob("archive.db*"):
        path.unlink()
    copy(backup, folder)
    assert archived(place) == len(place.simulator.ids()) - MORE
    assert all_marked(place), "the service no longer lists them as new"


def database(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in source.glob("archive.db*"):
        shutil.copy(path, target)


def everything(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


@pytest.mark.parametrize("copy", [database, everything])
def test_the_next_start_brings_home_what_the_backup_lacks(
    tmp_path: Path, copy: Callable[[Path, Path], object]
) -> None:
    """NO-LOSS: the database alone, or the whole machine with the marker."""
    folder = tmp_path / "here"
    folder.mkdir()
    with town(folder) as place:
        restored(place, folder, copy)
        work(place)
        assert not is_due(place)


def test_a_timer_that_lists_new_documents_only_brings_them_home_too(tmp_path: Path) -> None:
    """NO-LOSS: `catch-up --new-only` without a service."""
    folder = tmp_path / "here"
    folder.mkdir()
    with town(folder) as place:
        restored(place, folder, database)
        catch_up(place.settings(), CatchUpRequest(new_only=True, deadline_seconds=PATIENCE_SECONDS))
        assert archived(place) == len(place.simulator.ids())
        assert not is_due(place)
