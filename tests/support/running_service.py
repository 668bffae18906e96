"""Runs the service in a thread, with metrics and with pages on a free loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from easytracking_sync.app import serve
from easytracking_sync.app.http_pages import HttpPages
from easytracking_sync.effects import Effects
from easytracking_sync.events import EventName
from easytracking_sync.observe.observers import Observers
from easytracking_sync.settings import Settings

PATIENCE_SECONDS = 20.0


@dataclass
class RunningService:
    """The running service: its pages and its events."""

    address: str = ""
    notes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # name, level, facts
    listens: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        """See Observer."""
        self.notes.append((name, level or name.level, facts))
        if name == "http.listening":
            self.address = f"http://{facts['address']}"
            self.listens.set()

    def until(self, event: str) -> None:
        """Wait until it happened."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not any(name == event for name, _, _ in list(self.notes)):
            assert time.monotonic() < until, f"{event} did not happen"
            threading.Event().wait(0.05)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """One page."""
        return httpx.get(self.address + path, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS)

    def metrics(self) -> dict[str, float]:
        """The samples of a scrape, each by its name and labels as they are written."""
        lines = [line for line in self.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@contextmanager
def running_service(settings: Settings, effects: Effects | None = None) -> Iterator[RunningService]:
    """Run the service until the block ends; its failure is raised then."""
    effects = effects or Effects()
    seen, pages, failures = RunningService(), HttpPages(settings, effects), list[BaseException]()
    observer = Observers(seen, pages.metrics)

    def work() -> None:
        try:
            serve(
                settings,
                observer,
                seen.stop,
                reload=lambda: settings,
                effects=effects,
                supervise=lambda instance: pages.serve(instance, observer),
            )
        except BaseException as failure:  # noqa: BLE001  the test raises it
            failures.append(failure)
            seen.listens.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert seen.listens.wait(PATIENCE_SECONDS), "it never listened"
        if not failures:
            yield seen
    finally:
        seen.stop.set()
        thread.join(10)
        assert not thread.is_alive(), "the service did not end within 10 seconds"
    if failures:
        raise failures[0]
