"""The heartbeat: one plain call, from a thread of its own, whose failure is noted without its address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.harness import Recorder, VirtualClock
from tests.support.http_receiver import QuietHandler, http_receiver

from easytracking_sync.effects import SystemClock
from easytracking_sync.observe.alarms.heartbeat import Heartbeat, call


@contextmanager
def monitor(status: int, location: str = "") -> Iterator[tuple[str, list[str]]]:
    """A monitor that answers so; its address, and the paths that were called."""
    called: list[str] = []

    class Answer(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802  http.server's name
            called.append(self.path)
            self.answer(status, location=location)

    with http_receiver(Answer) as port:
        yield f"http://127.0.0.1:{port}/ping/s3cret", called


@pytest.mark.parametrize(
    ("status", "trouble"), [(200, ""), (204, ""), (404, "it answered 404"), (503, "it answered 503")]
)
def test_a_call_to_the_monitor_succeeds_or_returns_the_reason(status: int, trouble: str) -> None:
    with monitor(status) as (url, called):
        assert call(url) == trouble
        assert called == ["/ping/s3cret"]


def test_a_redirect_is_not_followed() -> None:
    with monitor(200) as (elsewhere, called), monitor(302, elsewhere) as (url, _):
        assert call(url) == "it answered 302"
        assert called == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "https://127.0.0.1:1/"])
def test_an_unreachable_monitor_is_a_reason_and_not_an_error(url: str) -> None:
    assert call(url)


def test_calls_run_in_the_background_and_failures_are_logged_without_the_address() -> None:
    observer, rung, gate = Recorder(), [], threading.Event()

    def ring(url: str) -> str:
        rung.append(url)
        gate.wait(20)
        return "it answered 503"

    heart = Heartbeat("https://monitor.example/ping/s3cret", VirtualClock(), observer, ring)
    try:
        heart.beat()
        assert not heart.join(1.0)
        gate.set()
        assert Heartbeat.join(_on(heart, SystemClock()), 20)
    finally:
        heart.stop()
    assert rung == ["https://monitor.example/ping/s3cret"]
    assert observer.notes == [
        ("heartbeat.failed", "warning", {"channel": "https://monitor.example", "reason": "it answered 503"})
    ]


def _on(heart: Heartbeat, clock: SystemClock) -> Heartbeat:
    heart._clock = clock
    return heart
