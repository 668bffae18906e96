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
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
builder = archive_builder.builder
NOON: datetime = archive_builder.NOW
HOUR = timedelta(hours=1)


class Counted(Accounts):
    """The accounts of an archive; counts how often next runs are written."""

    written = 0

    def note_next_runs(self, runs: Mapping[int, datetime]) -> None:
        self.written += 1
        super().note_next_runs(runs)


def next_run(builder: ArchiveBuilder, label: str) -> datetime | None:
    found: datetime | None = builder.value(account.c.next_run_at, builder.account(label))
    return found


def test_only_changes_are_written(builder: ArchiveBuilder) -> None:
    accounts = Counted(builder.archive.database)
    acme, beta = builder.account("acme"), builder.account("beta")
    runs = PublishedSchedule(accounts, SystemClock())
    for _ in range(3):
        runs.publish({acme: NOON, beta: NOON})
    assert accounts.written == 1
    runs.publish({acme: NOON, beta: NOON + HOUR})
    assert (accounts.written, next_run(builder, "acme"), next_run(builder, "beta")) == (2, NOON, NOON + HOUR)


def test_a_shutdown_withdraws_its_own_next_runs_and_leaves_those_of_another_instance(builder: ArchiveBuilder) -> None:
    acme, beta = builder.account("acme"), builder.account("beta")
    ours, theirs = (PublishedSchedule(builder.archive.accounts, SystemClock()) for _ in range(2))
    ours.publish({acme: NOON, beta: NOON})
    theirs.publish({beta: NOON + HOUR})
    ours.withdraw()
    assert (next_run(builder, "acme"), next_run(builder, "beta")) == (None, NOON + HOUR)


def test_a_shutdown_does_not_wait_for_a_database_that_does_not_answer(builder: ArchiveBuilder) -> None:
    class Impatient(SystemClock):
        """Does not really wait."""

        waited = 0.0

        def wait(self, wake: threading.Event, seconds: float) -> bool:
            self.waited += seconds
            return wake.is_set()

    clock = Impatient()
    runs = PublishedSchedule(builder.archive.accounts, clock)
    runs.publish({builder.account("acme"): NOON})
    with builder.archive.database.write() as connection:
        connection.execute(sa.select(account.c.id))
        runs.withdraw()
    assert clock.waited == WITHDRAW_SECONDS
    for thread in [one for one in threading.enumerate() if one.name == "next-runs"]:
        thread.join(10)
    assert next_run(builder, "acme") is None, "once the database answers"
