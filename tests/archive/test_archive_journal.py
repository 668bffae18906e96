"""The journal: numbers have no gaps and follow the order of the commits, so that a reader misses no row."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ON_SQLITE, ArchiveHarness, listed
from tests.support.postgres import Server

from easytracking_sync.archive import journal, tables
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.events import EventName
from easytracking_sync.machine.batch import BatchHappened

ON_A_SERVER = pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
EVENT = EventName.DOCUMENT_STORED
WRITERS, TRANSACTIONS = 4, 25
WAITS_FOR_A_LOCK: Final = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


class PulledPlugError(Exception):
    """Something goes wrong within a transaction."""


def record(connection: sa.Connection, archive_harness: ArchiveHarness, document_id: int, count: int = 1) -> None:
    for _ in range(count):
        journal.record(connection, EVENT, archive_harness.now, document_id=document_id)


def write(archive_harness: ArchiveHarness, document_id: int, count: int = 1, by: Archive | None = None) -> None:
    """One transaction with so many rows."""
    with (by or archive_harness.archive).database.write() as connection:
        record(connection, archive_harness, document_id, count)


def fail(archive_harness: ArchiveHarness, document_id: int, by: Archive | None = None) -> None:
    """One transaction that comes to nothing after its rows were recorded."""
    with contextlib.suppress(PulledPlugError), (by or archive_harness.archive).database.write() as connection:
        record(connection, archive_harness, document_id, 3)
        raise PulledPlugError


def since(archive_harness: ArchiveHarness, position: int, most: int = 1000) -> list[tuple[int, int]]:
    """(sequence number, document) of what stands behind a position."""
    return [(one.sequence, one.document_id) for one in archive_harness.archive.journal.since(position, [EVENT], most)]


def test_numbers_have_no_gaps_whatever_is_rolled_back(archive_harness: ArchiveHarness) -> None:
    first = archive_harness.archive.journal.last()
    for document_id in (1, 2, 3):
        write(archive_harness, document_id, count=document_id)
        fail(archive_harness, 9)
    assert since(archive_harness, first) == list(zip(range(first + 1, first + 7), (1, 2, 2, 3, 3, 3), strict=True))
    assert archive_harness.archive.journal.last() == first + 6


def test_a_number_is_given_out_as_the_last_thing_in_a_transaction(archive_harness: ArchiveHarness) -> None:
    """Whoever is told a number could otherwise keep every other transaction waiting for long."""
    with archive_harness.archive.database.write() as connection:
        record(connection, archive_harness, 1)
        counted = connection.execute(sa.select(tables.counter.c.last)).scalar_one_or_none() or 0
        rows = connection.execute(sa.select(sa.func.count()).select_from(tables.event)).scalar_one()
        assert (counted, rows) == (0, 0)
    assert since(archive_harness, 0) == [(1, 1)]


@ON_A_SERVER
def test_a_transaction_that_began_first_and_ends_last_is_not_missed(archive_harness: ArchiveHarness) -> None:
    """On a server transactions overlap; the reader looks after each commit and goes on from where it was."""
    other = archive_harness.open("two")
    write(archive_harness, 9)
    with archive_harness.archive.database.write() as early:
        record(early, archive_harness, 1, count=2)
        write(archive_harness, 2, by=other)
        seen = since(archive_harness, 0)
        assert seen == [(1, 9), (2, 2)]
    seen += since(archive_harness, seen[-1][0])
    assert seen == [(1, 9), (2, 2), (3, 1), (4, 1)]


@ON_A_SERVER
def test_who_numbers_its_rows_second_waits_for_the_first_and_comes_behind_it(
    archive_harness: ArchiveHarness, server: Server
) -> None:
    """Between the numbers and the commit: nobody is given a later number that could be seen sooner."""
    other = archive_harness.open("two")
    late = threading.Thread(target=write, args=(archive_harness, 2), kwargs={"by": other})
    with archive_harness.archive.database.write() as connection:
        record(connection, archive_harness, 1)
        rows = connection.get_execution_options()[journal._ROWS]
        journal._write(connection, rows)
        rows.clear()
        late.start()
        server.until(WAITS_FOR_A_LOCK, archive_harness.archive.database.url.database or "")
        assert since(archive_harness, 0) == []
    late.join()
    assert since(archive_harness, 0) == [(1, 1), (2, 2)]


@ON_SQLITE
def test_on_sqlite_no_transaction_begins_before_the_other_has_ended(archive_harness: ArchiveHarness) -> None:
    """So the order of the commits is that of the beginnings."""
    impatient = Database(f"sqlite:///{archive_harness.path}", busy_seconds=0.05)
    with archive_harness.archive.database.write() as connection:
        record(connection, archive_harness, 1)
        with pytest.raises(DatabaseUnavailable), impatient.write():
            pass
    impatient.close()


def in_threads(works: Sequence[Callable[[], None]]) -> None:
    """All at once; whatever one raises is raised here."""
    start, failures = threading.Barrier(len(works)), list[BaseException]()

    def run(work: Callable[[], None]) -> None:
        start.wait(10)
        try:
            work()
        except BaseException as failure:  # noqa: BLE001  raised below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def test_a_reader_that_follows_sees_every_row_once_and_in_order(archive_harness: ArchiveHarness) -> None:
    """Several write side by side, some of it in vain, while it reads a few rows at a time."""
    done = threading.Semaphore(0)
    read: list[int] = []

    def writer(number: int) -> None:
        archive, chance = archive_harness.open(f"writer-{number}"), random.Random(number)
        for _ in range(TRANSACTIONS):
            if chance.random() < 0.2:
                fail(archive_harness, number, by=archive)
            else:
                write(archive_harness, number, chance.randint(1, 4), by=archive)
        done.release()

    def reader() -> None:
        archive, finished = archive_harness.open("reader"), 0
        while finished < WRITERS:
            finished += done.acquire(blocking=False)
            found = archive.journal.since(read[-1] if read else 0, [EVENT], 7)
            read.extend(one.sequence for one in found)
        while found := archive.journal.since(read[-1], [EVENT], 7):
            read.extend(one.sequence for one in found)

    in_threads([reader, *(lambda number=number: writer(number) for number in range(WRITERS))])
    assert read == list(range(1, archive_harness.archive.journal.last() + 1))
    assert len(read) > WRITERS * TRANSACTIONS


def test_of_what_follows_only_the_events_that_are_asked_for_are_given(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1, 2])
    archive_harness.happen(archive_harness.store(account_id), BatchHappened.ACCEPTED)
    feed = archive_harness.archive.journal.since
    stored = feed(0, [EventName.DOCUMENT_STORED], 10)
    ids = [archive_harness.document(account_id, doc_id).id for doc_id in (1, 2)]
    assert [(one.name, one.document_id, one.account_id, one.at) for one in stored] == [
        (EventName.DOCUMENT_STORED, row_id, account_id, archive_harness.now) for row_id in ids
    ]
    both = feed(0, [EventName.DOCUMENT_STORED, EventName.DOCUMENT_ACKNOWLEDGED], 3)
    assert [one.name for one in both] == [
        EventName.DOCUMENT_STORED,
        EventName.DOCUMENT_STORED,
        EventName.DOCUMENT_ACKNOWLEDGED,
    ]
    assert [one.document_id for one in feed(both[-1].sequence, [EventName.DOCUMENT_ACKNOWLEDGED], 10)] == ids[1:]
    assert feed(stored[-1].sequence, [EventName.DOCUMENT_STORED], 10) == ()


def test_every_change_of_a_document_is_one_row(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1])
    archive_harness.happen(archive_harness.store(account_id), BatchHappened.ACCEPTED)
    archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    row_id = archive_harness.document(account_id, 1).id
    event = tables.event.c
    rows = archive_harness.rows(sa.select(event.name).where(event.document_id == row_id).order_by(event.id))
    names = ("discovered", "batched", "stored", "acknowledged", "changed")
    assert [row.name for row in rows] == [f"document.{name}" for name in names]


def test_what_was_done_to_documents_elsewhere_is_a_row_for_each(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1, 2, 3])
    ids = [archive_harness.document(account_id, doc_id).id for doc_id in (1, 3)]
    archive_harness.archive.journal.note(ids, EventName.PHASE_SET, {"phase": 1}, archive_harness.now)
    assert [(row.document_id, row.account_id, row.detail) for row in archive_harness.events(EventName.PHASE_SET)] == [
        (row_id, account_id, '{"phase": 1}') for row_id in ids
    ]


@ON_A_SERVER
def test_a_connection_that_is_lost_before_the_rows_are_written_says_so(archive_harness: ArchiveHarness) -> None:
    """The rows are gone with the transaction, and what the caller hears is what to do."""
    other = archive_harness.open("two")

    def lose() -> None:
        with archive_harness.archive.database.write() as connection:
            record(connection, archive_harness, 1)
            process = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            with other.database.read() as reading:
                reading.execute(sa.text(f"SELECT pg_terminate_backend({process}, 5000)"))
            connection.execute(sa.text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        lose()
    write(archive_harness, 2)
    assert since(archive_harness, 0) == [(1, 2)]
