"""Which messages the service sends to systemd, and when it sends none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from easytracking_sync.host.systemd import MOST_STATUS_CHARS, Systemd


class HandClock:
    """A clock that only tests advance."""

    def __init__(self) -> None:
        self.elapsed = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.elapsed

    def wait(self, wake: Event, seconds: float) -> bool:
        self.elapsed += seconds
        return wake.is_set()


class Manager:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(0)

    def heard(self) -> list[list[str]]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


def systemd(tmp_path: Path, clock: HandClock, **more: str) -> Systemd:
    return Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}, clock)


def test_ready_is_sent_after_the_start_and_not_before(tmp_path: Path, manager: Manager) -> None:
    supervisor = systemd(tmp_path, HandClock())
    supervisor.preparing("Opening the archive")
    assert manager.heard() == [["STATUS=Opening the archive"]]
    supervisor.started()
    assert manager.heard() == [["READY=1"]]


def test_a_changed_status_is_sent_as_one_line_of_limited_length(tmp_path: Path, manager: Manager) -> None:
    supervisor = systemd(tmp_path, HandClock())
    for words in ("waiting", "waiting", "two\nlines", "x" * 1000):
        supervisor.alive(words)
    assert manager.heard() == [["STATUS=waiting"], ["STATUS=two lines"], [f"STATUS={'x' * MOST_STATUS_CHARS}"]]


def test_the_loop_sends_four_watchdog_messages_per_interval(tmp_path: Path, manager: Manager) -> None:
    clock = HandClock()
    supervisor = systemd(tmp_path, clock, WATCHDOG_USEC="40000000")
    for _ in range(40):
        supervisor.alive("waiting")
        clock.elapsed += 1.0
    signs = [message for message in manager.heard() if "WATCHDOG=1" in message]
    assert len(signs) == 4
    clock.elapsed += 1000.0
    assert manager.heard() == []


def test_without_a_watchdog_no_watchdog_message_is_sent(tmp_path: Path, manager: Manager) -> None:
    systemd(tmp_path, HandClock()).alive("waiting")
    assert manager.heard() == [["STATUS=waiting"]]


def test_a_watchdog_for_another_process_is_ignored(tmp_path: Path) -> None:
    clock = HandClock()
    ours = systemd(tmp_path, clock, WATCHDOG_USEC="40000000", WATCHDOG_PID=str(os.getpid()))
    other = systemd(tmp_path, clock, WATCHDOG_USEC="40000000", WATCHDOG_PID="1")
    assert (ours.watchdog_seconds, other.watchdog_seconds) == (40.0, None)


def test_a_reload_is_sent_with_its_time_and_ends_with_ready(tmp_path: Path, manager: Manager) -> None:
    supervisor = systemd(tmp_path, HandClock())
    supervisor.reloading()
    supervisor.started()
    assert manager.heard() == [["RELOADING=1", "MONOTONIC_USEC=1000000000"], ["READY=1"]]


def test_stopping_is_sent(tmp_path: Path, manager: Manager) -> None:
    systemd(tmp_path, HandClock()).stopping()
    (message,) = manager.heard()
    assert message[0] == "STOPPING=1"


def test_an_abstract_socket_is_reached() -> None:
    name = f"easytracking-sync-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    Systemd({"NOTIFY_SOCKET": f"@{name}"}, HandClock()).started()
    assert manager.heard() == [["READY=1"]]
    manager.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}], ids=["none", "gone"])
def test_a_socket_that_nobody_reads_stops_nothing(environ: dict[str, str]) -> None:
    supervisor = Systemd(environ, HandClock())
    supervisor.started()
    supervisor.alive("waiting")
    supervisor.reloading()
    supervisor.stopping()
    assert supervisor.watchdog_seconds is None
