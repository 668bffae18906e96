"""Accounts whose calls are slow leave threads of every lane to the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.archive.archive_harness import ArchiveHarness
from tests.machine.test_machine_circuit_breaker import account
from tests.support.harness import Recorder

from easytracking_sync.effects import Effects
from easytracking_sync.machine.engine import Bounds, Engine, Lane
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import BatchState, Claim

WORKERS = 8
BATCHES = 12
"""Of each account: more than there are threads."""


class Instance:
    """An engine over an archive in which accounts have batches due, which no thread ever finishes."""

    def __init__(self, folder: Path, accounts: int, state: BatchState) -> None:
        self.archive_harness = ArchiveHarness(folder)
        self.ids = [self.archive_harness.account(f"demo{number}") for number in range(accounts)]
        for account_id in self.ids:
            for doc_id in range(1, BATCHES + 1):
                self.archive_harness.batch(account_id, [doc_id], BatchState.STORED)
        with self.archive_harness.archive.database.write() as connection:
            connection.exec_driver_sql("UPDATE batch SET state = ?", (state.value,))
        self.archive_harness.archive.spool.prepare()
        effects = Effects(clock=self.archive_harness.clock)
        known = [account(account_id) for account_id in self.ids]
        self.engine = Engine(self.archive_harness.archive, known, Policy(), effects, Recorder(), Bounds(100))

    def threads_by_account(self, lane: Lane, workers: int = WORKERS) -> list[int]:
        """How many of the lane's threads each account has, as long as no effect ends."""
        claims: list[Claim] = []
        while len(claims) < workers and (claim := self.engine.claim(lane, workers - len(claims))) is not None:
            claims.append(claim)
        return sorted((sum(one.batch.account_id == each for one in claims) for each in self.ids), reverse=True)


@pytest.mark.parametrize(
    ("lane", "state"),
    [(Lane.FETCH, BatchState.RESERVED), (Lane.SHORT, BatchState.STORED), (Lane.SHORT, BatchState.FETCHED)],
)
@pytest.mark.parametrize(("accounts", "threads"), [(1, [4]), (2, [4, 2]), (3, [4, 2, 1]), (4, [4, 2, 1, 1])])
def test_an_account_gets_a_thread_only_while_more_are_free_than_it_has(
    tmp_path: Path, lane: Lane, state: BatchState, accounts: int, threads: list[int]
) -> None:
    """One account cannot take all threads, and neither can two."""
    assert Instance(tmp_path, accounts, state).threads_by_account(lane) == threads


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_with_few_threads_an_account_still_gets_one(tmp_path: Path, workers: int) -> None:
    (threads,) = Instance(tmp_path, 1, BatchState.RESERVED).threads_by_account(Lane.FETCH, workers)
    assert threads >= 1


def test_threads_of_one_lane_are_not_counted_in_the_other(tmp_path: Path) -> None:
    instance = Instance(tmp_path, 1, BatchState.RESERVED)
    assert instance.threads_by_account(Lane.FETCH) == [4]
    with instance.archive_harness.archive.database.write() as connection:
        connection.exec_driver_sql("UPDATE batch SET state = 'stored' WHERE lease_owner IS NULL")
    assert instance.threads_by_account(Lane.SHORT) == [4]
