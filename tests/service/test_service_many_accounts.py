"""Many accounts in one process, in virtual time: fair, bounded, and none starves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

from tests.support.station import SMALL, Wish, build, cycle_of, list_through

from easytracking_sync.machine.engine import Bounds, Lane
from easytracking_sync.machine.listing.cycle import Span
from easytracking_sync.terms import BatchState

ACCOUNTS = 500
BACKLOG = 900
IN_FLIGHT = 2


def test_500_accounts_share_the_work_whatever_backlog_one_of_them_has(tmp_path: Path) -> None:
    """One account brings 900 documents, 499 bring one each. Every account's first batch is reserved before the large
    one's fifth, and never are more than `jobs_in_flight` of an account loading.
    """
    names = [f"demo{number}" for number in range(1, ACCOUNTS + 1)]
    station = build(
        tmp_path,
        replace(SMALL, documents=0, accounts=ACCOUNTS),
        wishes={name: Wish(history_from=date(2026, 11, 1)) for name in names},
        bounds=Bounds(jobs_in_flight=IN_FLIGHT),
    )
    for _ in range(BACKLOG):
        station.simulator.add_document("demo1", received_at=station.clock.now())
    for name in names[1:]:
        station.simulator.add_document(name, received_at=station.clock.now())
    for name in names:
        account = station.accounts[name]
        list_through(station, cycle_of(station, account, Span.of_cycle(account, station.clock.now(), 0)))
    order: list[int] = []
    loading: Counter[int] = Counter()
    while len(set(order)) < ACCOUNTS:
        claim = station.engine.claim(Lane.SHORT)
        assert claim is not None, "an account starves"
        if claim.batch.state is BatchState.PLANNED:
            order.append(claim.batch.account_id)
            loading[claim.batch.account_id] += 1
            assert loading[claim.batch.account_id] <= IN_FLIGHT
        station.engine.perform(claim)
    assert Counter(order)[station.accounts["demo1"].id] < 5
    station.close()
