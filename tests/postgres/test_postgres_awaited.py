"""The service waits for a database server that is not up until it is stopped, a one-shot until its deadline."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Recorder, VirtualClock
from tests.support.postgres import Server

from easytracking_sync.app import CatchUpRequest, catch_up, serve
from easytracking_sync.app.composition import wait_for_database
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, UsageError
from easytracking_sync.settings import Settings

ACCOUNT = {"base_url": "http://127.0.0.1:9", "auth_base_url": "http://127.0.0.1:9", "username": "u", "password": "p"}
LATE = 3
"""At this look the server is there."""


class Waiting(VirtualClock):
    """Time in which something happens at the wait of a given number."""

    def __init__(self, number: int, happen: Callable[[], object]) -> None:
        super().__init__()
        self.waits = 0
        self._number = number
        self._happen = happen

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.waits += 1
        if self.waits == self._number:
            self._happen()
        return super().wait(wake, seconds)


def settings(folder: Path, url: str, **more: Any) -> Settings:
    return Settings.model_validate(
        {"database": {"url": url}, "storage": {"spool": str(folder / "spool")}, "accounts": {"acme": ACCOUNT}, **more}
    )


@pytest.fixture
def stopped(server: Server) -> Iterator[Server]:
    """A server that is not up, and is again afterwards."""
    server.stop()
    yield server
    with contextlib.suppress(Exception):
        server.stop()
    server.start()


@pytest.fixture
def url(postgres_archive: str, stopped: Server) -> str:
    """An archive on a server that is not up."""
    del stopped
    return postgres_archive


def test_the_service_waits_for_its_database_and_says_so_once(tmp_path: Path, url: str, stopped: Server) -> None:
    clock, told = Waiting(LATE, stopped.start), Recorder()
    assert wait_for_database(settings(tmp_path, url), Effects(clock=clock), told, threading.Event())
    assert clock.waits == LATE
    (facts,) = told.named("database.awaited")
    assert "does not answer" in facts["reason"]


def test_a_service_that_is_stopped_while_it_waits_ends_and_opens_nothing(tmp_path: Path, url: str) -> None:
    stop = threading.Event()
    statuses: list[str] = []
    serve(
        settings(tmp_path, url),
        Recorder(),
        stop,
        reload=lambda: settings(tmp_path, url),
        effects=Effects(clock=Waiting(LATE, stop.set)),
        preparing=statuses.append,
    )
    assert statuses == ["Waiting for the database"]


@pytest.mark.parametrize(("deadline", "seconds"), [(None, 60), (5.0, 5)])
def test_a_one_shot_waits_until_its_deadline_or_a_minute(
    tmp_path: Path, url: str, deadline: float | None, seconds: int
) -> None:
    clock = VirtualClock()
    begun = clock.monotonic()
    request = replace(CatchUpRequest(), deadline_seconds=deadline)
    with pytest.raises(DatabaseUnavailable):
        catch_up(settings(tmp_path, url), request, effects=Effects(clock=clock))
    assert clock.monotonic() - begun == seconds


def test_a_server_that_refuses_is_not_waited_for(tmp_path: Path, server: Server) -> None:
    wrong = settings(tmp_path, server.url("nowhere"))
    with pytest.raises(UsageError, match="nowhere"):
        wait_for_database(wrong, Effects(clock=VirtualClock()), Recorder(), threading.Event())


def test_a_sqlite_archive_is_not_waited_for(tmp_path: Path) -> None:
    there = settings(tmp_path, f"sqlite:///{tmp_path}/archive.db")
    assert wait_for_database(there, Effects(clock=VirtualClock()), Recorder(), threading.Event())
    assert not (tmp_path / "archive.db").exists()
