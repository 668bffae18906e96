"""Restored, replaced and promoted databases are noticed, and what they lack comes home without a command."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from psycopg import sql
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries
from tests.support.harness import SMALL, Harness, cycle_of, drain, list_through, settle
from tests.support.postgres import Server

from easytracking_simulator import Faults, status
from easytracking_sync.archive import tables
from easytracking_sync.archive.generation import STEP_SECONDS, Generation
from easytracking_sync.machine.listing import Scope
from easytracking_sync.machine.reconciling import note_reconciled, scope_due, scope_since_last_run

EMPTY = replace(SMALL, documents=0)
MORE = 20
LATER = timedelta(seconds=2 * STEP_SECONDS)


def arrive(harness: Harness, documents: int = MORE) -> None:
    for _ in range(documents):
        harness.simulator.add_document("demo1", received_at=harness.clock.now())


def run(harness: Harness) -> None:
    """What the service does once: the cycle that is due, then all work."""
    account = harness.accounts["demo1"]
    now = harness.clock.now()
    scope = scope_due(harness.archive, account, now) or Scope.scheduled(account, now, 0)
    cycle = cycle_of(harness, account, scope)
    list_through(harness, cycle)
    record = cycle.record("sync")
    harness.archive.cycles.record(record, now)
    note_reconciled(harness.archive, account, scope, record, harness.observer)
    drain(harness)


BackUp = Callable[[], Callable[[], None]]
"""Copies the database; what it returns puts the copy in its place."""


@pytest.fixture
def back_up(harness: Harness, kind: str, request: pytest.FixtureRequest) -> BackUp:
    return (
        partial(_of_server, harness, request.getfixturevalue("server"))
        if kind == "postgresql"
        else partial(_of_file, harness)
    )


def _of_file(harness: Harness) -> Callable[[], None]:
    path = harness.archive.database.path
    assert path is not None
    copy = path.with_suffix(".copy")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)

    def restore() -> None:
        harness.close()
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        shutil.copy(copy, path)
        harness.reopen()

    return restore


def _of_server(harness: Harness, server: Server) -> Callable[[], None]:
    name = str(harness.archive.database.url.database)
    harness.close()
    copy = server.create(name)
    harness.reopen()

    def restore() -> None:
        harness.close()
        server.drop(name)
        server.admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(copy)))
        server.drop(copy)
        harness.reopen()

    return restore


def due(harness: Harness) -> bool:
    return scope_due(harness.archive, harness.accounts["demo1"], harness.clock.now()) is not None


@pytest.fixture
def harness(make: Make) -> Harness:
    """Some documents are home; a minute later, nothing is to be done."""
    harness = make(EMPTY)
    arrive(harness, 5)
    run(harness)
    harness.clock.forward(LATER)
    return harness


def test_what_was_acknowledged_after_the_backup_is_fetched_again(harness: Harness, back_up: BackUp) -> None:
    """NO-LOSS: a restored database lacks it, and the service lists it as marked."""
    restore = back_up()
    arrive(harness)
    run(harness)
    harness.clock.forward(timedelta(days=3))
    restore()
    assert len(entries(harness)) == 5
    assert "restored from a copy" in str(harness.observer.named("archive.restored")[0]["reason"])
    run(harness)
    assert_archived(harness)
    assert len(entries(harness)) == 5 + MORE
    assert not due(harness), "once is enough"
    harness.reopen()
    assert not due(harness)


def test_what_was_received_long_before_the_backup_and_fetched_after_it_is_fetched_again(
    harness: Harness, back_up: BackUp
) -> None:
    """NO-LOSS: as during the first catch-up of a long history."""
    restore = back_up()
    harness.simulator.add_document("demo1", received_at=harness.clock.now() - timedelta(days=200))
    run(harness)
    restore()
    run(harness)
    assert_archived(harness)


def test_a_reconciliation_that_was_not_finished_is_still_due_after_a_restart(
    harness: Harness, back_up: BackUp
) -> None:
    """CRASH-IDEMPOTENT: only a complete listing ends it."""
    restore = back_up()
    arrive(harness)
    run(harness)
    restore()
    harness.reopen()
    assert due(harness)
    bad = harness.simulator.ids()[-1]
    account = harness.accounts["demo1"]
    scope = scope_due(harness.archive, account, harness.clock.now())
    assert scope is not None
    record = cycle_of(harness, account, scope).record("sync", "interrupted")
    note_reconciled(harness.archive, account, scope, record, harness.observer)
    assert due(harness), "the cycle was interrupted"
    narrower = Scope.between(scope.windows[0].start, scope.windows[0].end, marked_too=True)
    complete = list_through(harness, cycle_of(harness, account, narrower)).record("sync")
    note_reconciled(harness.archive, account, narrower, complete, harness.observer)
    assert due(harness), "it was not the whole history"
    run(harness)
    assert not due(harness)
    assert bad in entries(harness)


def test_a_service_that_does_not_list_leaves_it_due(harness: Harness, back_up: BackUp) -> None:
    restore = back_up()
    arrive(harness)
    run(harness)
    restore()
    harness.simulator.faults = Faults(always={"list": status(403)})
    run(harness)
    assert due(harness)
    harness.simulator.clear_faults()
    run(harness)
    assert_archived(harness)


def test_a_lost_marker_alone_is_no_restore(harness: Harness) -> None:
    harness.archive.generation.path.unlink()
    harness.reopen()
    assert not due(harness)
    arrive(harness)
    run(harness)
    assert harness.archive.generation.path.exists(), "it is written again"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"archive_id": 1}', b'{"archive_id": "x", "counter": "y"}'])
def test_a_spoilt_marker_is_no_restore(harness: Harness, content: bytes) -> None:
    harness.archive.generation.path.write_bytes(content)
    harness.reopen()
    assert not due(harness)


def test_another_database_at_the_same_place_is_noticed(harness: Harness) -> None:
    with harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.generation).values(archive_id="another"))
    harness.reopen()
    assert due(harness)
    assert harness.observer.named("archive.restored")[0]["reason"] == "the database is another one than last time"


def test_a_database_that_is_replaced_while_the_service_runs_is_noticed(harness: Harness, back_up: BackUp) -> None:
    """And what is acknowledged meanwhile does not hide it."""
    with harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.generation).values(counter=tables.generation.c.counter - 1))
    harness.archive.generation.count()
    assert harness.archive.generation.look() is not None


def test_the_marker_never_says_more_than_the_database(harness: Harness) -> None:
    """The database counts first: a process that dies in between has no false alarm."""
    for _ in range(3):
        harness.clock.forward(LATER)
        harness.archive.generation.count()
        again = Generation(harness.archive.database, harness.files, harness.folder / "spool", harness.clock)
        assert again.look() is None


def test_counting_is_bounded_in_cost(harness: Harness) -> None:
    """BOUNDED: a thousand acknowledgements in a minute are counted once, and once more at the end."""
    harness.archive.generation.count()
    before = counter(harness)
    for _ in range(1000):
        harness.archive.generation.count()
    assert counter(harness) == before
    harness.archive.generation.close_step()
    harness.archive.generation.close_step()
    assert counter(harness) == before + 1


def counter(harness: Harness) -> int:
    with harness.archive.database.read() as connection:
        return int(connection.execute(sa.select(tables.generation.c.counter)).scalar_one())


def test_it_counts_before_the_service_is_told(make: Make) -> None:
    """NO-LOSS: whoever dies after the call has left a database that is known to be newer than any copy."""
    harness = make(SMALL)
    settle(harness, deadline=timedelta(0))
    harness.simulator.faults = Faults(always={"acknowledge": status(503)})
    drain(harness, until=harness.clock.now() + timedelta(minutes=10))
    assert harness.simulator.marked() == frozenset()
    assert counter(harness) > 0


def test_a_machine_that_was_restored_as_a_whole_lists_what_was_marked_since(
    harness: Harness, back_up: BackUp
) -> None:
    """NO-LOSS: the marker was restored too, and shows nothing."""
    restore = back_up()
    marker = harness.archive.generation.path.read_bytes()
    path = harness.archive.generation.path
    arrive(harness)
    run(harness)
    harness.clock.forward(timedelta(days=10))
    harness.close()
    path.write_bytes(marker)
    restore()
    assert not due(harness)
    account = harness.accounts["demo1"]
    scope = scope_since_last_run(harness.archive, account, harness.clock.now())
    assert scope.windows[-1].start > harness.clock.now().replace(tzinfo=None) - timedelta(days=13)
    list_through(harness, cycle_of(harness, account, scope))
    drain(harness)
    assert_archived(harness)
