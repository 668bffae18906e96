"""PostgreSQL: servers that lose commits are refused, transactions have limits, errors are translated."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import sql
from tests.support.postgres import Server

from easytracking_sync.archive import postgresql
from easytracking_sync.archive.database import Database
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, SyncError, UsageError


def ask(database: Database, statement: str) -> object:
    with database.read() as connection:
        return connection.exec_driver_sql(statement).scalar_one()


def fails_with(database: Database, state: str) -> None:
    with database.write() as connection:
        raising = f"DO $$ BEGIN RAISE EXCEPTION 'could not do it' USING ERRCODE = '{state}'; END $$"
        connection.exec_driver_sql(raising)


def name_of(url: str) -> sql.Identifier:
    return sql.Identifier(sa.make_url(url).database or "")


def test_a_server_that_forgets_commits_at_a_power_cut_is_refused(server: Server, empty_database: str) -> None:
    """NO-ACK-BEFORE-DURABLE: fsync = off makes every promise void."""
    database = Database(empty_database)
    server.admin(sql.SQL("ALTER SYSTEM SET fsync = off"))
    server.admin(sql.SQL("SELECT pg_reload_conf()"))
    try:
        server.until("SELECT current_setting('fsync') = 'off'")
        with pytest.raises(UsageError, match=r"fsync = off: .*power cut.*; set fsync = on"):
            ask(database, "SELECT 1")
    finally:
        server.admin(sql.SQL("ALTER SYSTEM RESET fsync"))
        server.admin(sql.SQL("SELECT pg_reload_conf()"))
        server.until("SELECT current_setting('fsync') = 'on'")
    assert ask(database, "SELECT 1") == 1
    database.close()


def test_commits_that_do_not_wait_for_the_disk_are_refused(server: Server, empty_database: str) -> None:
    """It may be set for the server, the database or the user: what counts is what holds for our connection."""
    alter = sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}")
    server.admin(alter.format(name_of(empty_database), sql.Literal("off")))
    database = Database(empty_database)
    with pytest.raises(UsageError, match="synchronous_commit = off: a power cut"):
        ask(database, "SELECT 1")
    for enough in ("local", "remote_write", "on"):
        server.admin(alter.format(name_of(empty_database), sql.Literal(enough)))
        assert ask(database, "SHOW synchronous_commit") == enough
        database.close()


def test_a_database_that_cannot_hold_every_name_is_refused(server: Server) -> None:
    server.admin(sql.SQL("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
    try:
        database = Database(server.url("latin"))
        with pytest.raises(UsageError, match=r"has the encoding LATIN1.*ENCODING 'UTF8'"):
            ask(database, "SELECT 1")
        database.close()
    finally:
        server.drop("latin")


def test_every_transaction_has_its_limits_and_nothing_outlives_it(empty_database: str) -> None:
    """A pooler between (pgbouncer) may give each transaction another server's connection."""
    database = Database(empty_database, connections=1)
    for opened in (database.read, database.write):
        with opened() as connection:
            found = [
                connection.exec_driver_sql(f"SHOW {name}").scalar_one()
                for name in ("transaction_isolation", "lock_timeout", "statement_timeout", "application_name")
            ]
            assert found == ["read committed", "20s", "1min", "easytracking-sync"]
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"
    for _ in range(12):
        assert ask(database, "SELECT count(*) FROM pg_prepared_statements") == 0
    raw = database._engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute("SHOW lock_timeout")
    assert cursor.fetchone() == ("0",)
    raw.close()
    database.close()


def test_what_the_address_says_goes_before_our_own_wishes(empty_database: str) -> None:
    database = Database(empty_database + "&application_name=archive-of-acme")
    assert ask(database, "SHOW application_name") == "archive-of-acme"
    database.close()


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        ("53100", StorageFault), ("58030", StorageBroken), ("XX001", StorageBroken), ("XX002", StorageBroken),
        ("40P01", DatabaseUnavailable), ("40001", DatabaseUnavailable), ("57P01", DatabaseUnavailable),
        ("57014", DatabaseUnavailable), ("55P03", DatabaseUnavailable), ("53300", DatabaseUnavailable),
        ("08006", DatabaseUnavailable), ("25006", DatabaseUnavailable), ("42501", UsageError),
        ("42P01", sa.exc.ProgrammingError), ("23505", sa.exc.IntegrityError), ("22P05", sa.exc.DBAPIError),
    ],
)  # fmt: skip
def test_what_a_server_raises_says_what_to_do(
    empty_database: str, state: str, becomes: type[SyncError | sa.exc.SQLAlchemyError]
) -> None:
    """Wait, free the disk, stop, mend the configuration; anything else is a bug and is not waited for."""
    database = Database(empty_database)
    with pytest.raises(becomes):
        fails_with(database, state)
    assert ask(database, "SELECT 1") == 1
    database.close()


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ('FATAL:  password authentication failed for user "x"', "the password"),
        ('FATAL:  autenticazione con password fallita per l\'utente "x"', "the password"),
        ("connection failed: fe_sendauth: no password supplied", "the password"),
        ('FATAL:  no pg_hba.conf entry for host "h", user "x"', "pg_hba.conf"),
        ('FATAL:  nessuna voce in pg_hba.conf per l\'host "h"', "pg_hba.conf"),
        ('FATAL:  Peer authentication failed for user "x"', "pg_hba.conf"),
        ('FATAL:  role "x" does not exist', "the user"),
        ('FATAL:  il ruolo "x" non esiste', "the user"),
        ('FATAL:  database "x" does not exist', "create the database"),
        ('FATAL:  il database "x" non esiste', "create the database"),
        ('FATAL:  permission denied for database "x"', "grant"),
        ("FATAL:  the database system is starting up", None),
        ("FATAL:  il database si sta avviando", None),
        ("FATAL:  sorry, too many clients already", None),
        ("server closed the connection unexpectedly", None),
        ("connection to server on socket failed: No such file or directory", None),
        ("", None),
    ],
)
def test_before_a_login_only_words_tell_a_mistake_from_an_outage(said: str, mend: str | None) -> None:
    """There is no SQLSTATE then, and a server in Italy speaks Italian."""
    found = postgresql.meaning(None, said, lost=True)
    if mend is None:
        assert isinstance(found, DatabaseUnavailable)
    else:
        assert isinstance(found, UsageError)
        assert mend in str(found)


WRONG: dict[str, tuple[Callable[[Server], str], str]] = {
    "database": (lambda server: server.url("nowhere"), 'database "nowhere" does not exist.*create the database'),
    "user": (lambda server: server.url("postgres").replace("tests@", "nobody@"), 'role "nobody" does not exist'),
    "option": (lambda server: server.url("postgres") + "&colour=blue", "database.url: invalid connection option"),
    "port": (
        lambda server: "postgresql+psycopg://x:canary@127.0.0.1:port/x",
        "database.url is not the URL of a database",
    ),
    "at sign": (lambda server: "postgresql+psycopg://x:ca@nary@127.0.0.1/x", "write an @ in the password as %40"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_address_is_a_mistake_in_the_configuration(server: Server, mistake: str) -> None:
    url, message = WRONG[mistake]
    with pytest.raises(UsageError, match=message) as raised:
        ask(Database(url(server)), "SELECT 1")
    assert "nary" not in str(raised.value)


def test_no_message_holds_the_password_whatever_the_driver_quotes() -> None:
    """NO-SECRET-LEAK."""
    database = Database("postgresql+psycopg://tests:canary@canary.invalid:1/x")
    with pytest.raises(DatabaseUnavailable) as raised:
        ask(database, "SELECT 1")
    assert "canary" not in str(raised.value)
    assert "********.invalid" in str(raised.value)


def test_without_the_driver_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"easytracking-sync\[postgresql\]"):
        Database("postgresql+psycopg://tests@/x")


def test_a_server_that_is_away_means_wait_and_one_that_is_back_is_just_used(
    server: Server, empty_database: str
) -> None:
    """A restart breaks every connection that is kept; nobody is to notice."""
    database = Database(empty_database)
    assert ask(database, "SELECT 1") == 1
    server.stop()
    try:
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            ask(database, "SELECT 1")
    finally:
        server.start()
    assert ask(database, "SELECT 1") == 1
    server.stop()
    server.start()
    assert ask(database, "SELECT 1") == 1
    database.close()


def test_a_connection_that_dies_inside_a_transaction_leaves_nothing_of_it(empty_database: str) -> None:
    database, other = Database(empty_database), Database(empty_database)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE counter (value INTEGER)")

    def die() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO counter VALUES (1)")
            process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            assert ask(other, f"SELECT pg_terminate_backend({process}, 5000)") is True
            connection.exec_driver_sql("INSERT INTO counter VALUES (2)")

    with pytest.raises(DatabaseUnavailable):
        die()
    assert ask(database, "SELECT count(*) FROM counter") == 0
    database.close()
    other.close()


def test_of_two_that_wait_for_each_other_one_is_told_to_do_it_again(server: Server, empty_database: str) -> None:
    server.admin(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '20ms'").format(name_of(empty_database)))
    database = Database(empty_database)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE pair (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO pair VALUES (1), (2)")
    both_hold_one = threading.Barrier(2)
    told: list[DatabaseUnavailable] = []

    def work(first: int, second: int) -> None:
        try:
            with database.write() as connection:
                connection.exec_driver_sql(f"SELECT id FROM pair WHERE id = {first} FOR UPDATE")
                both_hold_one.wait(10)
                connection.exec_driver_sql(f"SELECT id FROM pair WHERE id = {second} FOR UPDATE")
        except DatabaseUnavailable as trouble:
            told.append(trouble)

    threads = [threading.Thread(target=work, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["deadlock" in str(trouble) for trouble in told] == [True]
    database.close()


def test_threads_share_a_bounded_number_of_connections(empty_database: str) -> None:
    """BOUNDED: the database has other users."""
    database = Database(empty_database, connections=3)
    meet = threading.Barrier(9)
    seen: list[object] = []

    def work() -> None:
        meet.wait(10)
        seen.append(ask(database, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"))

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 9
    assert all(isinstance(count, int) and 1 <= count <= 3 for count in seen)
    database.close()


def test_a_connection_in_use_while_the_database_is_closed_is_closed_when_it_is_returned(empty_database: str) -> None:
    database = Database(empty_database)
    with database.read() as connection:
        line: Any = connection.connection.dbapi_connection
        database.close()
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    assert line.closed
    assert ask(database, "SELECT 1") == 1, "the object can be used again"
    database.close()
