"""Every query of the engine and of `status` uses an index; none scans a growing table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import DAWN, ON_SQLITE, ArchiveHarness, listed

from easytracking_sync.alarm_terms import AlarmKind
from easytracking_sync.archive.read_back import read_back
from easytracking_sync.events import EventName
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import BatchState, ListedWindow, Window, WindowKind

pytestmark = ON_SQLITE

GROWING = ("document", "file", "batch", "batch_document", "event", "blob", "blob_chunk", "cycle")
PARTIAL = "INDEX ix_document_incomplete$"  # holds nothing but what is counted through it
Statement = tuple[str, Any]


@contextmanager
def noted(archive_harness: ArchiveHarness) -> Iterator[list[Statement]]:
    """Every statement that the archive executes meanwhile."""
    statements: list[Statement] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:  # noqa: FBT001  SQLAlchemy's
        statements.append((statement, parameters[0] if many else parameters))

    engine = archive_harness.archive.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield statements
    sa.event.remove(engine, "before_cursor_execute", note)


def scans(archive_harness: ArchiveHarness, statements: list[Statement]) -> set[str]:
    """The statements that would walk through a growing table, with SQLite's own words."""
    found = set()
    names = "|".join(GROWING)
    with archive_harness.archive.database.read() as connection:
        for statement, parameters in statements:
            if not re.match(r"\s*(SELECT|UPDATE|DELETE)", statement):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            aliases = set(re.findall(rf"\b(?:{names}) AS (\w+)", statement))
            walked = re.compile(rf"SCAN (?:{'|'.join([*GROWING, *aliases])})\b(?!.*{PARTIAL})")
            found |= {f"{row[3]}: {' '.join(statement.split())}" for row in plan if walked.match(row[3])}
    return found


def busy(archive_harness: ArchiveHarness) -> int:
    """An account with documents and batches in every state."""
    account_id = archive_harness.account()
    archive_harness.take_in(
        account_id, [listed(doc_id, received=DAWN.replace(tzinfo=None)) for doc_id in range(1, 41)]
    )
    for number, state in enumerate(BatchState, start=1):
        archive_harness.batch(account_id, [100 + number], state)
    return account_id


def reserve(archive_harness: ArchiveHarness, account_id: int) -> None:
    archive_harness.plan([account_id], 10)
    archive_harness.happen(archive_harness.claim(account_id, BatchState.PLANNED), BatchHappened.JOB_CREATED)


def refuse(archive_harness: ArchiveHarness, account_id: int) -> None:
    archive_harness.policy = Policy(refusals_to_pause=1)
    archive_harness.batch(account_id, [999])
    (claim,) = (one for one in archive_harness.claims(account_id) if one.doc_ids == (999,))
    archive_harness.happen(claim, BatchHappened.REFUSED)
    assert archive_harness.archive.accounts.paused(account_id, archive_harness.now)


def acknowledge(archive_harness: ArchiveHarness, account_id: int) -> None:
    beta = archive_harness.account("beta")
    assert beta != account_id
    archive_harness.batch(beta, [1, 2, 3])
    claim = archive_harness.store(beta)
    read_back(archive_harness.archive.database, archive_harness.archive.blobs, claim, {"FA"})
    archive_harness.happen(claim, BatchHappened.ACCEPTED)


def split(archive_harness: ArchiveHarness, account_id: int) -> None:
    archive_harness.batch(account_id, [801, 802])
    for claim in archive_harness.claims(account_id):
        if claim.batch.size == 2:
            archive_harness.happen(claim, BatchHappened.REFUSED)


def withdraw(archive_harness: ArchiveHarness, account_id: int) -> None:
    archive_harness.clock.forward(1)
    day = DAWN.replace(tzinfo=None)
    window = Window(WindowKind.RECEIVED, day, day + timedelta(days=1))
    assert archive_harness.intake().withdraw(ListedWindow(account_id, window, {1, 2}, archive_harness.now)) > 0


def recover(archive_harness: ArchiveHarness, account_id: int) -> None:
    assert archive_harness.claims(account_id)
    archive_harness.archive.batches.release_all()
    assert archive_harness.archive.batches.spooled()


WORK: dict[str, Callable[[ArchiveHarness, int], object]] = {
    "listing": lambda archive_harness, account_id: archive_harness.take_in(
        account_id, [listed(1, number="2"), *range(2, 60)]
    ),
    "withdrawing": withdraw,
    "reserving": reserve,
    "refusing": refuse,
    "storing and acknowledging": acknowledge,
    "splitting": split,
    "what is due": lambda archive_harness, account_id: archive_harness.archive.batches.next_due(
        [account_id], archive_harness.now
    ),
    "what waits": lambda archive_harness, account_id: archive_harness.archive.documents.waiting([account_id]),
    "recovering": recover,
    "status": lambda archive_harness, _: archive_harness.archive.account_statuses.overviews(),
    "alarms": lambda archive_harness, account_id: archive_harness.archive.account_statuses.conditions(
        [account_id], 8, archive_harness.now
    ),
    "naming what changed": lambda archive_harness, account_id: [
        archive_harness.archive.account_statuses.doc_ids(account_id, what, archive_harness.now, 5)
        for what in (AlarmKind.CHANGED, AlarmKind.QUARANTINE, AlarmKind.INCOMPLETE)
    ],
    "arrivals": lambda archive_harness, _: [
        archive_harness.archive.journal.last(),
        archive_harness.archive.journal.arrivals(0),
    ],
    "stored since": lambda archive_harness, _: [
        archive_harness.archive.journal.since(
            position, (EventName.DOCUMENT_STORED, EventName.DOCUMENT_STORED_AGAIN), 10
        )
        for position in (0, 7)
    ],
    "trouble": lambda archive_harness, _: list(archive_harness.archive.document_search.troubled()),
    "one document": lambda archive_harness, _: archive_harness.archive.document_search.history(
        archive_harness.archive.document_search.find("acme/1")
    ),
}


@pytest.mark.parametrize("work", WORK)
def test_no_query_walks_through_a_table_that_grows(archive_harness: ArchiveHarness, work: str) -> None:
    account_id = busy(archive_harness)
    with noted(archive_harness) as statements:
        WORK[work](archive_harness, account_id)
    assert len(statements) > 1
    assert scans(archive_harness, statements) == set()


@pytest.mark.parametrize(
    "names", [(EventName.DOCUMENT_STORED,), (EventName.DOCUMENT_STORED, EventName.DOCUMENT_STORED_AGAIN)]
)
def test_what_was_stored_since_is_one_query_over_one_index(
    archive_harness: ArchiveHarness, names: tuple[EventName, ...]
) -> None:
    """Alarms, news and deliveries ask it again and again, for ten years."""
    busy(archive_harness)
    with noted(archive_harness) as statements:
        archive_harness.archive.journal.since(7, names, 10)
    ((statement, parameters),) = (one for one in statements if one[0].startswith("SELECT"))
    with archive_harness.archive.database.read() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert plan[0] == "SEARCH event USING INDEX ix_event_name_id (name=? AND id>?)"
    assert plan[1:] == ([] if len(names) == 1 else ["USE TEMP B-TREE FOR ORDER BY"])


def test_the_test_would_see_a_walk(archive_harness: ArchiveHarness) -> None:
    with noted(archive_harness) as statements:
        archive_harness.rows(sa.text("SELECT id FROM document WHERE number = '1'"))
        archive_harness.rows(sa.text("SELECT other.id FROM batch AS other WHERE other.job_id = '1'"))
    assert len(scans(archive_harness, statements)) == 2
