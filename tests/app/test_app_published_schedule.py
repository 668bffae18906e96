"""The published schedule: written when it has changed, withdrawn at shutdown, and never waited for long."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from easytracking_sync.app.schedule import WITHDRAW_SECONDS, PublishedSchedule
from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.archive.tables import account
from easytracking_sync.effects import SystemClock

if TYPE_CHECKING:
    from tests.support.archive_builder import Stock

stocked = importlib.import_module("tests.support.archive_builder")
stock = stocked.stock
NOON: datetime = stocked.NOW
HOUR = timedelta(hours=1)


class Counted(Accounts):
    """The accounts of an archive; counts how often next runs are written."""

    written = 0

    def note_next_runs(self, runs: Mapping[int, datetime]) -> None:
        self.written += 1
        super().note_next_runs(runs)


def next_run(stock: Stock, label: str) -> datetime | None:
    found: datetime | None = stock.value(account.c.next_run_at, stock.account(label))
    return found


def test_only_changes_are_written(stock: Stock) -> None:
    accounts = Counted(stock.archive.database)
    acme, beta = stock.account("acme"), stock.account("beta")
    runs = PublishedSchedule(accounts, SystemClock())
    for _ in range(3):
        runs.publish({acme: NOON, beta: NOON})
    assert accounts.written == 1
    runs.publish({acme: NOON, beta: NOON + HOUR})
    assert (accounts.written, next_run(stock, "acme"), next_run(stock, "beta")) == (2, NOON, NOON + HOUR)


def test_a_shutdown_withdraws_its_own_next_runs_and_leaves_those_of_another_instance(stock: Stock) -> None:
    acme, beta = stock.account("acme"), stock.account("beta")
    ours, theirs = (PublishedSchedule(stock.archive.accounts, SystemClock()) for _ in range(2))
    ours.publish({acme: NOON, beta: NOON})
    theirs.publish({beta: NOON + HOUR})
    ours.withdraw()
    assert (next_run(stock, "acme"), next_run(stock, "beta")) == (None, NOON + HOUR)


def test_a_shutdown_does_not_wait_for_a_database_that_does_not_answer(stock: Stock) -> None:
    class Impatient(SystemClock):
        """Does not really wait."""

        waited = 0.0

        def wait(self, wake: threading.Event, seconds: float) -> bool:
            self.waited += seconds
            return wake.is_set()

    clock = Impatient()
    runs = PublishedSchedule(stock.archive.accounts, clock)
    runs.publish({stock.account("acme"): NOON})
    with stock.archive.database.write() as connection:
        connection.execute(sa.select(account.c.id))
        runs.withdraw()
    assert clock.waited == WITHDRAW_SECONDS
    for thread in [one for one in threading.enumerate() if one.name == "next-runs"]:
        thread.join(10)
    assert next_run(stock, "acme") is None, "once the database answers"
