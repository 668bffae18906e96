"""The instance lock: one instance at a time, named in the error, released when its process ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.errors import LockHeld

HOLDER = """
import sys, time
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.instance_lock import instance_lock

with instance_lock(Database(sys.argv[1]), {"pid": "4711", "host": "attic", "command": "catch-up"}):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'new' / 'archive.db'}")


def hold(database: Database) -> None:
    with instance_lock(database, {"pid": str(os.getpid())}):
        assert database.path is not None
        assert database.path.with_name("archive.db.lock").exists()


def test_a_second_instance_is_refused_at_once_and_told_who_holds_the_archive(database: Database) -> None:
    with (
        instance_lock(database, {"pid": "4711", "host": "attic", "command": "catch-up"}),
        pytest.raises(LockHeld, match=r"archive.db is in use by pid 4711, host attic, command catch-up; wait"),
    ):
        hold(database)
    hold(database)


def test_the_lock_is_given_back_when_the_work_fails(database: Database) -> None:
    with pytest.raises(KeyboardInterrupt), instance_lock(database, {}):
        raise KeyboardInterrupt
    hold(database)


def test_a_lock_beside_the_database_makes_neither_a_database_nor_a_readable_file(database: Database) -> None:
    assert database.path is not None
    with instance_lock(database, {}):
        lock = database.path.with_name("archive.db.lock")
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        assert stat.S_IMODE(lock.parent.stat().st_mode) == 0o700
    assert not database.path.exists()


def test_a_link_to_the_database_leads_to_the_same_lock(database: Database, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with instance_lock(database, {"pid": "4711"}), pytest.raises(LockHeld, match="pid 4711"):
        hold(Database(f"sqlite:///{tmp_path / 'link' / 'archive.db'}"))
    hold(database)


@pytest.mark.parametrize("left", [b"", b"no json", b"[1, 2]", b"\xff\xfe", b'{"pid":'])
def test_whatever_a_dead_instance_left_in_the_file_stops_nobody(database: Database, left: bytes) -> None:
    assert database.path is not None
    database.path.parent.mkdir()
    lock = database.path.with_name("archive.db.lock")
    lock.write_bytes(left)
    hold(database)
    with instance_lock(database, {}):
        lock.write_bytes(left)
        with pytest.raises(LockHeld, match="in use by another instance"):
            hold(database)


def test_the_lock_dies_with_its_process_even_by_kill_9(database: Database) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, database.url.render_as_string()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match="host attic"):
            hold(database)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        hold(database)
    assert process.returncode == -signal.SIGKILL
