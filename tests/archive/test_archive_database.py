"""The database: no update is lost, commits are durable, and drivers' errors are translated."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from easytracking_sync.archive import schema
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.sqlite import (
    file_of,
    refuse_network_file_system,
    require_durability,
    wal_is_safe,
)
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, UsageError

COUNTER = "CREATE TABLE counter (value INTEGER NOT NULL)"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a database with one counter at zero."""
    path = tmp_path / "counter.db"
    with sqlite3.connect(path) as connection:
        connection.execute(COUNTER)
        connection.execute("INSERT INTO counter VALUES (0)")
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url, busy_seconds=0.05)
    yield opened
    opened.close()


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Nothing is taken away from file modes by the environment."""
    former = os.umask(0)
    yield
    os.umask(former)


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT value FROM counter")).scalar_one())


def increment(connection: sa.Connection) -> None:
    value = connection.execute(sa.text("SELECT value FROM counter")).scalar_one()
    connection.execute(sa.text("UPDATE counter SET value = :value"), {"value": value + 1})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("same_object", [True, False])
def test_two_writers_that_read_before_they_write_never_lose_an_update(url: str, *, same_object: bool) -> None:
    """Within one process through one object, and as two processes would, each with its own."""
    shared = Database(url)
    opened = [shared, shared if same_object else Database(url)]

    def work(database: Database) -> None:
        for _ in range(15):
            with database.write() as connection:
                increment(connection)

    threads = [threading.Thread(target=work, args=(database,)) for database in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(shared) == 30
    for database in opened:
        database.close()


def test_a_writer_holds_the_database_from_its_beginning_and_not_from_its_first_change(url: str) -> None:
    """Two that both read first would both have to be first to write; one of them would fail at once, or lose."""
    first, second = (Database(url, busy_seconds=0.05) for _ in range(2))

    def read_only() -> None:
        with second.write() as connection:
            connection.execute(sa.text("SELECT value FROM counter"))

    with first.write(), pytest.raises(DatabaseUnavailable):
        read_only()
    read_only()
    first.close()
    second.close()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_write_that_raises_leaves_nothing(database: Database, error: type[BaseException]) -> None:

    def break_off() -> None:
        with database.write() as connection:
            increment(connection)
            connection.execute(sa.text("CREATE TABLE half_made (value INTEGER)"))
            raise error

    with pytest.raises(error):
        break_off()
    assert count(database) == 0
    with database.read() as connection:
        assert not sa.inspect(connection).has_table("half_made")


def test_a_reader_is_not_held_up_by_an_open_transaction_and_sees_none_of_it(database: Database) -> None:
    with database.write() as connection:
        increment(connection)
        assert count(database) == 0
    assert count(database) == 1


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 9), False), ((3, 50, 6), False),
        ((3, 50, 7), True), ((3, 51, 0), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)  # fmt: skip
def test_wal_is_used_only_where_the_library_carries_the_fix(version: tuple[int, int, int], *, safe: bool) -> None:
    assert wal_is_safe(version) is safe


def test_a_commit_survives_a_power_cut_in_the_mode_this_library_allows(database: Database) -> None:
    """DELETE with EXTRA (3), or WAL with FULL (2); foreign keys are enforced, the schema is not trusted."""
    names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
    with database.read() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]
    expected = ["wal", 2] if wal_is_safe(sqlite3.sqlite_version_info) else ["delete", 3]
    assert found == [*expected, 1, 0]


@pytest.mark.parametrize(
    ("journal", "synchronous"), [("DELETE", "FULL"), ("TRUNCATE", "EXTRA"), ("MEMORY", "EXTRA"), ("WAL", "NORMAL")]
)
def test_row_13_a_database_that_would_forget_commits_is_not_worked_with(
    tmp_path: Path, journal: str, synchronous: str
) -> None:
    """NO-ACK-BEFORE-DURABLE: SQLite may grant less than it is asked for, and says so only to whoever asks again."""
    with contextlib.closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        with pytest.raises(StorageBroken, match="power cut"):
            require_durability(connection)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        require_durability(connection)


def test_an_error_shows_no_parameter(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("CREATE UNIQUE INDEX one ON counter (value)"))
    with database.write() as connection, pytest.raises(sa.exc.IntegrityError) as raised:
        connection.execute(sa.text("INSERT INTO counter VALUES (0), (:secret)"), {"secret": "canary"})
    assert "canary" not in str(raised.value)


def test_a_locked_database_means_wait_and_nothing_changed(url: str, database: Database) -> None:
    other = sqlite3.connect(file_of(make_url(url)), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"), database.write() as connection:
        increment(connection)
    other.execute("ROLLBACK")
    other.close()
    assert count(database) == 0
    with database.write() as connection:
        increment(connection)
    assert count(database) == 1


def test_a_full_disk_is_a_storage_fault_and_nothing_changed(database: Database) -> None:

    def fill() -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
            increment(connection)
            connection.execute(sa.text("CREATE TABLE wide AS SELECT randomblob(100000) AS content"))

    with pytest.raises(StorageFault, match="full"):
        fill()
    assert count(database) == 0


@pytest.mark.parametrize("writing", [True, False])
def test_a_file_that_is_no_database_stops_the_program(tmp_path: Path, *, writing: bool) -> None:
    path = tmp_path / "archive.db"
    path.write_bytes(b"this was a database once" * 1000)
    database = Database(f"sqlite:///{path}")
    with (
        pytest.raises(StorageBroken, match=f"{path} is damaged or unreadable .*; check database.url"),
        database.write() if writing else database.read() as c,
    ):
        c.execute(sa.text("SELECT 1 FROM sqlite_master"))
    assert path.read_bytes() == b"this was a database once" * 1000


def test_a_damaged_page_stops_the_program(url: str, tmp_path: Path) -> None:
    with Database(url).write() as connection:
        connection.execute(sa.text("CREATE TABLE wide AS SELECT randomblob(100000) AS content"))
    path = tmp_path / "counter.db"
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StorageBroken, match="malformed"):
        count(Database(url))


def test_a_database_that_cannot_be_opened_is_a_storage_fault(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'archive.db'}")
    assert not database.exists()
    with pytest.raises(StorageFault, match="unable to open"), database.read() as connection:
        connection.execute(sa.text("SELECT 1 FROM sqlite_master"))


def test_a_wrong_statement_is_a_bug_and_not_a_reason_to_wait(database: Database) -> None:
    with pytest.raises(sa.exc.OperationalError), database.read() as connection:
        connection.execute(sa.text("SELECT nothing FROM nowhere"))


@pytest.mark.usefixtures("open_umask")
def test_database_journal_and_folder_are_for_their_owner_alone(fresh: Database) -> None:
    schema.migrate(fresh)
    assert fresh.path is not None
    with fresh.write() as connection:
        connection.execute(sa.text("INSERT INTO request (kind, created_at) VALUES ('x', 'y')"))
        beside = sorted(path.name for path in fresh.path.parent.iterdir())
        assert len(beside) > 1
        assert {name: mode(fresh.path.parent / name) for name in beside} == dict.fromkeys(beside, 0o600)
    assert mode(fresh.path.parent) == 0o700


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /srv nfs4 rw 0 0
/dev/vdb /srv/local\\040disk xfs rw 0 0
//host/share /mnt/share cifs rw 0 0
proc /proc proc rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/archive.db", "nfs4"), ("/srv/deep/er/archive.db", "nfs4"), ("/mnt/share/archive.db", "cifs"),
        ("/srv/local disk/archive.db", None), ("/srvx/archive.db", None), ("/var/lib/archive.db", None),
    ],
)  # fmt: skip
def test_network_file_systems_are_refused_by_name(tmp_path: Path, path: str, kind: str | None) -> None:
    """The innermost mount counts; the message names the kind, the mount and both ways out."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    if kind is None:
        refuse_network_file_system(Path(path), mounts)
    else:
        with pytest.raises(UsageError, match=rf"network file system \({kind} at .*local disk.*PostgreSQL"):
            refuse_network_file_system(Path(path), mounts)


def test_without_a_list_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    refuse_network_file_system(Path("/srv/archive.db"), tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_the_file_behind_a_link_is_the_database(tmp_path: Path) -> None:
    """Otherwise a link would lead past the check for network file systems, and past the instance lock."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert file_of(make_url(f"sqlite:///{tmp_path / 'link' / 'a.db'}")) == (tmp_path / "disk" / "a.db").resolve()
