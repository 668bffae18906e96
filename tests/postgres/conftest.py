"""What only a server can do, or have done to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.archive.archive_harness import Shelf
from tests.postgres.connection_cutter import Cut, Cutter
from tests.support.harness import Station, cycle_of, drain, list_through
from tests.support.postgres import Server

from easytracking_sync.errors import DatabaseUnavailable

MOST_TRIES = 500

MakeCutter = Callable[..., Cutter]


@pytest.fixture
def shelf(tmp_path: Path, postgres_archive: str) -> Iterator[Shelf]:
    """An empty archive; `shelf.open(owner)` is the same archive as another instance has it."""
    made = Shelf(tmp_path, postgres_archive)
    yield made
    made.close()


@pytest.fixture
def cutter(server: Server) -> Iterator[MakeCutter]:
    """Lines to the server that are cut at some COMMITs."""
    made: list[Cutter] = []

    def make(plan: Callable[[int], Cut | None], late: Callable[[], object] = lambda: None) -> Cutter:
        made.append(Cutter(server.socket, plan, late))
        return made[-1]

    yield make
    for one in made:
        one.close()


def home(station: Station) -> None:
    """List, and work to the end, however often the database is out of reach."""
    for _ in range(MOST_TRIES):
        try:
            list_through(station, cycle_of(station, station.accounts["demo1"]))
            drain(station)
            if not sum(station.archive.documents.waiting(station.account_ids).values()):
                return
        except DatabaseUnavailable:
            continue
    raise AssertionError("it does not come to an end")
