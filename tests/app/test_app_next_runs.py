"""When accounts are to be listed next: written where it is news, taken back in order, and never waited for long."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from easytracking_sync.app.next_runs import FORGET_SECONDS, NextRuns
from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.archive.tables import account
from easytracking_sync.effects import SystemClock

if TYPE_CHECKING:
    from tests.stocked import Stock

stocked = importlib.import_module("stocked")
stock = stocked.stock
NOON: datetime = stocked.NOW
HOUR = timedelta(hours=1)


class Counted(Accounts):
    """The accounts of an archive, and how often something was written of their next runs."""

    written = 0

    def note_next_runs(self, runs: Mapping[int, datetime]) -> None:
        self.written += 1
        super().note_next_runs(runs)


def next_run(stock: Stock, label: str) -> datetime | None:
    found: datetime | None = stock.value(account.c.next_run_at, stock.account(label))
    return found


def test_only_news_are_written(stock: Stock) -> None:
    accounts = Counted(stock.archive.database)
    acme, beta = stock.account("acme"), stock.account("beta")
    runs = NextRuns(accounts, SystemClock())
    for _ in range(3):
        runs.keep({acme: NOON, beta: NOON})
    assert accounts.written == 1
    runs.keep({acme: NOON, beta: NOON + HOUR})
    assert (accounts.written, next_run(stock, "acme"), next_run(stock, "beta")) == (2, NOON, NOON + HOUR)


def test_an_end_takes_back_its_own_and_leaves_what_another_instance_noted(stock: Stock) -> None:
    acme, beta = stock.account("acme"), stock.account("beta")
    ours, theirs = (NextRuns(stock.archive.accounts, SystemClock()) for _ in range(2))
    ours.keep({acme: NOON, beta: NOON})
    theirs.keep({beta: NOON + HOUR})
    ours.forget()
    assert (next_run(stock, "acme"), next_run(stock, "beta")) == (None, NOON + HOUR)


def test_an_end_is_not_held_up_by_a_database_that_does_not_answer(stock: Stock) -> None:
    class Impatient(SystemClock):
        """Does not really wait."""

        waited = 0.0

        def wait(self, wake: threading.Event, seconds: float) -> bool:
            self.waited += seconds
            return wake.is_set()

    clock = Impatient()
    runs = NextRuns(stock.archive.accounts, clock)
    runs.keep({stock.account("acme"): NOON})
    with stock.archive.database.write() as connection:
        connection.execute(sa.select(account.c.id))
        runs.forget()
    assert clock.waited == FORGET_SECONDS
    for thread in [one for one in threading.enumerate() if one.name == "next-runs"]:
        thread.join(10)
    assert next_run(stock, "acme") is None, "once the database answers"
