"""Fixtures for tests that need a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.archive.archive_harness import ArchiveHarness
from tests.postgres.connection_cutter import ConnectionCutter, Cut
from tests.support.harness import Harness, cycle_of, drain, list_through
from tests.support.postgres import Server

from easytracking_sync.errors import DatabaseUnavailable

MOST_TRIES = 500

MakeCutter = Callable[..., ConnectionCutter]


@pytest.fixture
def archive_harness(tmp_path: Path, postgres_archive: str) -> Iterator[ArchiveHarness]:
    """An empty archive; `archive_harness.open(owner)` is the same archive as another instance has it."""
    made = ArchiveHarness(tmp_path, postgres_archive)
    yield made
    made.close()


@pytest.fixture
def cutter(server: Server) -> Iterator[MakeCutter]:
    """Lines to the server that are cut at some COMMITs."""
    made: list[ConnectionCutter] = []

    def make(plan: Callable[[int], Cut | None], late: Callable[[], object] = lambda: None) -> ConnectionCutter:
        made.append(ConnectionCutter(server.socket, plan, late))
        return made[-1]

    yield make
    for one in made:
        one.close()


def home(harness: Harness) -> None:
    """List, and work to the end, however often the database is out of reach."""
    for _ in range(MOST_TRIES):
        try:
            list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
            drain(harness)
            if not sum(harness.archive.documents.waiting(harness.account_ids).values()):
                return
        except DatabaseUnavailable:
            continue
    raise AssertionError("it does not come to an end")
