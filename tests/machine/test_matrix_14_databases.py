"""Rows 14 and 15 of the fault matrix on SQLite: a database that another holds, a commit whose answer is lost.

The same over a server, with the server killed and its answers cut off, is in tests/postgres.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from enum import Enum

import pytest
from sqlalchemy.engine import Connection
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived
from tests.support.harness import SMALL, Harness, cycle_of, drain, list_through, next_instant

from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.engine import COMMIT_TRIES, Lane
from easytracking_sync.terms import BatchState, Claim

FEW = replace(SMALL, documents=3)
EFFECTS = (BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED, BatchState.STORED)


class Lost(Enum):
    """When a commit's answer is lost."""

    BEFORE = "nothing was committed"
    AFTER = "all was committed"


def next_claim(harness: Harness) -> Claim:
    """The next batch that is due, after waiting for it."""
    for _ in range(50):
        claim = harness.engine.claim(Lane.ANY)
        if claim is not None:
            return claim
        due = next_instant(harness)
        harness.clock.forward_to(due or harness.clock.now() + timedelta(seconds=1))
    raise AssertionError("nothing falls due")


def claim_in(harness: Harness, state: BatchState) -> Claim:
    """List, and work until the one batch is claimed in this state."""
    list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
    while (claim := next_claim(harness)).batch.state is not state:
        harness.engine.perform(claim)
    return claim


def impatient(archive: Archive) -> None:
    """Nobody waits for the other writer in real time."""
    archive.database._busy_seconds = 0.0


@pytest.mark.parametrize("state", EFFECTS)
def test_row_14_a_commit_blocked_by_another_writer_is_repeated(make: Make, state: BatchState) -> None:
    """The effect happened and cannot be noted, however often it is tried: a parcel that lies here is not lost."""
    harness = make(FEW, opened=impatient)
    if not harness.archive.database.is_sqlite:
        pytest.skip("a server lets its writers side by side; tests/postgres stops it instead")
    claim = claim_in(harness, state)
    with closing(sqlite3.connect(harness.folder / "archive.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = harness.clock.now()
        with pytest.raises(DatabaseUnavailable):
            harness.engine.perform(claim)
        waited = harness.clock.now() - begun
        other.execute("ROLLBACK")
    assert waited < timedelta(seconds=2**COMMIT_TRIES), "tried a bounded number of times, with pauses"
    drain(harness)
    assert_archived(harness)
    assert harness.simulator.count("fetch", status=200) == 1
    assert harness.engine.tally.acknowledged == 3


def lossy(lose: Callable[[], Lost | None]) -> Callable[[Archive], None]:
    """An archive whose commits' answers are lost as `lose` says of each."""

    def wrap(archive: Archive) -> None:
        write = archive.database.write

        @contextmanager
        def lost() -> Iterator[Connection]:
            loss = None
            with ExitStack() as committing:
                connection = committing.enter_context(write())
                yield connection
                loss = lose()
                if loss is Lost.BEFORE:
                    raise DatabaseUnavailable("the line broke")
            if loss is Lost.AFTER:
                raise DatabaseUnavailable("the line broke")

        archive.database.write = lost  # type: ignore[method-assign]

    return wrap


@pytest.mark.parametrize("loss", Lost)
@pytest.mark.parametrize("state", EFFECTS)
def test_row_15_a_commit_whose_answer_is_lost_is_checked_and_counts_once(
    make: Make, state: BatchState, loss: Lost
) -> None:
    """FAIL-STOP: neither believed nor made twice; every effect happens once, and the engine's count is right."""
    losses: list[Lost] = []
    harness = make(FEW, opened=lossy(lambda: losses.pop() if losses else None))
    claim = claim_in(harness, state)
    losses.append(loss)
    harness.engine.perform(claim)
    assert not losses
    drain(harness)
    assert_archived(harness)
    assert harness.simulator.count("fetch", status=200) == 1
    assert (harness.simulator.count("reserve"), harness.simulator.count("acknowledge")) == (1, 1)
    assert (harness.engine.tally.documents, harness.engine.tally.acknowledged) == (3, 3)
    assert harness.observer.named("batch.fenced") == []


def mute(silences: list[str]) -> Callable[[Archive], None]:
    """An archive that cannot be read as often as there are silences left."""

    def wrap(archive: Archive) -> None:
        read = archive.database.read

        @contextmanager
        def reading() -> Iterator[Connection]:
            if silences:
                raise DatabaseUnavailable(silences.pop())
            with read() as connection:
                yield connection

        archive.database.read = reading  # type: ignore[method-assign]

    return wrap


def test_row_14_a_database_that_fails_after_a_reservation_is_retried(make: Make) -> None:
    """The decision asks for the account's permission: a job that was reserved is not given up for that."""
    silences: list[str] = []
    harness = make(FEW, opened=mute(silences))
    claim = claim_in(harness, BatchState.PLANNED)
    silences += ["no answer"] * (COMMIT_TRIES - 1)
    begun = harness.clock.now()
    harness.engine.perform(claim)
    assert harness.clock.now() > begun
    assert not silences
    drain(harness)
    assert_archived(harness)
    assert harness.simulator.count("reserve") == 1
