"""Row 15: if the answer to a COMMIT is lost, the program reads whether it took effect; nothing is lost or doubled."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness
from tests.postgres.conftest import MakeCutter, home
from tests.postgres.connection_cutter import Cut
from tests.support.archive_checks import InvariantChecker, assert_archived
from tests.support.harness import SMALL, build
from tests.support.postgres import Server

from easytracking_sync.archive import tables
from easytracking_sync.archive.database import Database
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.terms import BatchState

FEW = replace(SMALL, documents=5)
A_MOMENT_SECONDS = 0.3


def name_of(url: str) -> str:
    return sa.make_url(url).database or ""


def waited_for(server: Server, url: str) -> Callable[[], object]:
    """Until some transaction waits for a lock, or for a moment: not every COMMIT that is late is waited for."""
    question = (
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return lambda: server.wait(question, name_of(url), A_MOMENT_SECONDS)


@pytest.mark.parametrize("cut", Cut)
def test_a_transaction_whose_answer_is_lost_is_reported_as_unknown(
    cutter: MakeCutter, server: Server, empty_database: str, cut: Cut
) -> None:
    """The line does what these tests believe: the client hears nothing, the server did or did not."""
    line = cutter(lambda number: cut if number == 2 else None)
    database = Database(server.url(name_of(empty_database), host="127.0.0.1", port=line.port))
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE counter (value INTEGER)")

    def insert() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO counter VALUES (1)")

    with pytest.raises(DatabaseUnavailable):
        insert()
    if cut is Cut.LATE:
        server.until("SELECT count(*) = 1 FROM counter", name_of(empty_database))
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM counter").scalar_one()
    assert found == (0 if cut is Cut.BEFORE else 1)
    assert line.cuts == 1
    database.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cut", Cut)
def test_row_15_however_many_answers_are_lost_every_document_comes_home_once(
    tmp_path: Path, server: Server, postgres_archive: str, cutter: MakeCutter, cut: Cut, seed: int
) -> None:
    """Every other COMMIT of a whole run, whatever it is for. The engine's own count is right too.

    The line is taken down before the database is: a COMMIT that nobody waits for may still be under way.
    """
    chance = random.Random(seed)
    armed: list[bool] = []
    line = cutter(lambda _: cut if armed and chance.random() < 0.5 else None, waited_for(server, postgres_archive))
    url = server.url(name_of(postgres_archive), host="127.0.0.1", port=line.port)
    harness = build(tmp_path, FEW, url=url, wrap=lambda inner: InvariantChecker(postgres_archive, inner))
    armed.append(True)
    home(harness)
    armed.clear()
    assert line.cuts > 3
    assert_archived(harness)
    assert harness.engine.tally.acknowledged == harness.engine.tally.documents == 5
    assert harness.observer.named("batch.fenced") == []
    with harness.archive.database.read() as connection:
        told = Counter(
            (row.batch_id, row.document_id, row.name, row.detail)
            for row in connection.execute(sa.select(tables.event))
        )
    assert set(told.values()) == {1}
    assert list((tmp_path / "spool").glob("*.zip*")) == []
    harness.close()


def test_a_move_is_known_by_its_epoch_even_where_others_have_gone_on(archive_harness: ArchiveHarness) -> None:
    """While this worker waited to look again, another claimed the batch and moved it; or claimed it and failed."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1, 2])
    reserved = archive_harness.decided(archive_harness.claim(account_id), BatchHappened.JOB_CREATED)
    was_applied = archive_harness.archive.transitions.was_applied
    archive_harness.archive.transitions.apply(reserved, archive_harness.now)
    other = archive_harness.open("two")
    taken = other.batches.claim(archive_harness.wanted([account_id]), archive_harness.now)
    assert taken is not None
    assert was_applied(reserved)
    archive_harness.happen(taken, BatchHappened.JOB_LOST, by=other)
    assert was_applied(reserved)
    archive_harness.clock.forward(10)
    again = archive_harness.decided(
        archive_harness.claim(account_id), BatchEvent(BatchHappened.JOB_CREATED, job_id="another")
    )
    assert not was_applied(again)


@pytest.mark.parametrize("state", [BatchState.PLANNED, BatchState.FETCHED, BatchState.STORED])
def test_a_wait_is_known_by_the_row_it_left(archive_harness: ArchiveHarness, state: BatchState) -> None:
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], state)
    waits = archive_harness.decided(archive_harness.claim(account_id), BatchHappened.UNAVAILABLE)
    assert not archive_harness.archive.transitions.was_applied(waits)
    archive_harness.archive.transitions.apply(waits, archive_harness.now)
    assert archive_harness.archive.transitions.was_applied(waits)


def test_a_move_that_was_never_made_is_not_taken_for_the_other_instances(archive_harness: ArchiveHarness) -> None:
    """Both would acknowledge; only the one whose epoch stands in the journal did."""
    account_id = archive_harness.account()
    archive_harness.batch(account_id, [1], BatchState.STORED)
    lost = archive_harness.decided(archive_harness.claim(account_id), BatchHappened.ACCEPTED)
    archive_harness.end_leases()
    other = archive_harness.open("two")
    taken = other.batches.claim(archive_harness.wanted([account_id]), archive_harness.now)
    assert taken is not None
    done = archive_harness.happen(taken, BatchHappened.ACCEPTED, by=other)
    assert other.transitions.was_applied(done)
    assert not archive_harness.archive.transitions.was_applied(lost)
