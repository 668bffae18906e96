"""Many accounts in one process, in virtual time: fair and bounded."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

from tests.support.harness import SMALL, Wish, build, cycle_of, list_through

from easytracking_sync.machine.engine import Bounds, Lane
from easytracking_sync.machine.listing import Scope
from easytracking_sync.terms import BatchState

ACCOUNTS = 500
BACKLOG = 900
IN_FLIGHT = 2


def test_500_accounts_share_the_work_fairly_despite_one_backlog(tmp_path: Path) -> None:
    """One account has 900 documents, 499 have one each. Every account's first batch is reserved before the fifth of
    the large one, and no account ever has more than `jobs_in_flight` jobs.
    """
    names = [f"demo{number}" for number in range(1, ACCOUNTS + 1)]
    harness = build(
        tmp_path,
        replace(SMALL, documents=0, accounts=ACCOUNTS),
        wishes={name: Wish(history_from=date(2026, 11, 1)) for name in names},
        bounds=Bounds(jobs_in_flight=IN_FLIGHT),
    )
    for _ in range(BACKLOG):
        harness.simulator.add_document("demo1", received_at=harness.clock.now())
    for name in names[1:]:
        harness.simulator.add_document(name, received_at=harness.clock.now())
    for name in names:
        account = harness.accounts[name]
        list_through(harness, cycle_of(harness, account, Scope.scheduled(account, harness.clock.now(), 0)))
    order: list[int] = []
    loading: Counter[int] = Counter()
    while len(set(order)) < ACCOUNTS:
        claim = harness.engine.claim(Lane.SHORT)
        assert claim is not None, "an account starves"
        if claim.batch.state is BatchState.PLANNED:
            order.append(claim.batch.account_id)
            loading[claim.batch.account_id] += 1
            assert loading[claim.batch.account_id] <= IN_FLIGHT
        harness.engine.perform(claim)
    assert Counter(order)[harness.accounts["demo1"].id] < 5
    harness.close()
