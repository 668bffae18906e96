"""A promoted standby lacks what was committed last: its timeline shows it, without anybody restoring anything."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg import sql
from tests.support.archive_checks import assert_archived, entries
from tests.support.harness import SMALL, Harness, build, cycle_of, drain, list_through, settle
from tests.support.postgres import Server

from easytracking_sync.machine.reconciling import notice_restore, scope_due

FEW = replace(SMALL, documents=5)


@pytest.fixture
def primary() -> Iterator[Server]:
    """A server of its own, since it is stopped and promoted."""
    server = Server()
    with (server.data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("wal_level = replica\nmax_wal_senders = 2\n")
    server.start()
    yield server
    server.remove()


@pytest.fixture
def harness(primary: Server, tmp_path: Path) -> Iterator[Harness]:
    name = primary.create(primary.archive_template)
    made = build(tmp_path, FEW, url=primary.url(name))
    yield made
    made.close()


def copy_of(primary: Server) -> Path:
    """The standby's folder: all that was committed so far has come to it."""
    primary.stop()
    standby = primary.folder / "standby"
    subprocess.run(["cp", "-a", str(primary.data), str(standby)], check=True)
    primary.start()
    return standby


def promote(primary: Server, standby: Path) -> None:
    """The primary is gone, and the standby takes its place and its address."""
    primary.stop()
    shutil.rmtree(primary.data)
    standby.rename(primary.data)
    signal = primary.data / "standby.signal"
    signal.touch()
    shutil.chown(signal, primary.data.owner(), primary.data.group())
    primary.start()
    primary.admin(sql.SQL("SELECT pg_promote()"))
    primary.until("SELECT NOT pg_is_in_recovery()")


def reconcile(harness: Harness) -> None:
    account = harness.accounts["demo1"]
    scope = scope_due(harness.archive, account, harness.clock.now())
    assert scope is not None, "the promotion was not noticed"
    list_through(harness, cycle_of(harness, account, scope))
    drain(harness)


def test_what_the_standby_lacks_is_fetched_again(primary: Server, harness: Harness) -> None:
    """NO-LOSS: it was acknowledged, so the service no longer lists it as new. No marker is needed."""
    settle(harness)
    harness.close()
    standby = copy_of(primary)
    harness.reopen()
    for _ in range(20):
        harness.simulator.add_document("demo1", received_at=harness.clock.now())
    settle(harness)
    harness.clock.forward(timedelta(minutes=5))
    harness.close()
    promote(primary, standby)
    harness.archive.generation.path.unlink()
    harness.reopen()
    assert len(entries(harness)) == 5
    assert "timeline 00000001, now 00000002" in str(harness.observer.named("archive.restored")[0]["reason"])
    reconcile(harness)
    assert_archived(harness)
    assert len(entries(harness)) == 25


def test_a_promotion_while_the_service_runs_is_noticed(primary: Server, harness: Harness) -> None:
    """NO-LOSS: the connections come back to another server, and no process was started again."""
    settle(harness)
    standby = copy_of(primary)
    harness.archive.database.close()
    assert not notice_restore(harness.archive, harness.observer)
    harness.archive.database.close()
    promote(primary, standby)
    harness.archive.database.close()
    assert notice_restore(harness.archive, harness.observer)
    reconcile(harness)
    assert not notice_restore(harness.archive, harness.observer), "once is enough"


def test_a_write_is_durable_though_the_database_was_set_otherwise_meanwhile(
    primary: Server, harness: Harness
) -> None:
    """NO-ACK-BEFORE-DURABLE: `synchronous_commit = off` reaches connections that are open already."""
    shown = sa.text("SHOW synchronous_commit")
    with harness.archive.database.read():
        pass
    primary.admin(sql.SQL("ALTER SYSTEM SET synchronous_commit = off"))
    primary.admin(sql.SQL("SELECT pg_reload_conf()"))
    primary.until("SELECT current_setting('synchronous_commit') = 'off'")
    with harness.archive.database.read() as connection:
        assert connection.execute(shown).scalar_one() == "off"
    with harness.archive.database.write() as connection:
        assert connection.execute(shown).scalar_one() == "on"
