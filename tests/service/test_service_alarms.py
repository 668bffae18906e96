"""Alarms of the service and of a catch-up, through a real channel: sent once, without delaying the work."""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.service.test_service_run import Town, all_marked, eventually, town
from tests.support.http_receiver import QuietHandler, http_receiver

from easytracking_sync.app import CatchUpOutcome, CatchUpRequest, catch_up, existing_archive, serve
from easytracking_sync.machine.observer import Silent
from easytracking_sync.observe.alarms import alarm_watch as watch_module
from easytracking_sync.settings import Alerts, Settings

pytest.importorskip("apprise")
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise imports it


@dataclass
class Hook:
    """A webhook that remembers its messages and may stop answering."""

    url: str = ""
    titles: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hook() -> Iterator[Hook]:
    made = Hook()
    made.answers.set()

    class Answer(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802  http.server's name
            body: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.answers.wait(30)
            made.titles.append(body["title"].removeprefix("easytracking-sync: "))
            self.answer(200)

    with http_receiver(Answer) as port:
        made.url = f"json://127.0.0.1:{port}/"
        try:
            yield made
        finally:
            made.answers.set()


def told_to(hook: Hook, place: Town) -> Settings:
    alerts = Alerts.model_validate({"urls": [hook.url], "language": "en", "free_margin_bytes": 0})
    return place.settings().model_copy(update={"alerts": alerts})


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """The service in a thread; stopped at the end of the block, within 10 seconds."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: serve(settings, Silent(), stop, reload=lambda: settings))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        begun = time.monotonic()
        thread.join(20)
        assert time.monotonic() - begun < 10, "the service did not end within 10 seconds"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(importlib.import_module("easytracking_sync.app.catch_up.one_shot"), "FLUSH_SECONDS", 0.7)


def known(place: Town) -> list[str]:
    with existing_archive(place.settings()) as archive:
        return [one.key for one in archive.alarms.known() if one.told_at is not None]


def test_a_refused_login_and_its_end_are_each_sent_once_despite_restarts(tmp_path: Path) -> None:
    with town(tmp_path) as place, hook() as told:
        place.simulator.set_password("demo2", "another")
        with running(told_to(told, place)):
            eventually(lambda: told.titles == ["login refused: demo2"])
            eventually(lambda: bool(known(place)))
        with running(told_to(told, place)):
            eventually(lambda: place.simulator.count("token", account="demo2") >= 2)
            eventually(lambda: place.home("demo1") == len(place.simulator.ids("demo1")))
        assert told.titles == ["login refused: demo2"]
        place.passwords["demo2"] = "another"
        with running(told_to(told, place)):
            eventually(lambda: len(told.titles) == 2)
            eventually(lambda: all_marked(place))
        assert told.titles == ["login refused: demo2", "resolved: login refused: demo2"]


def test_a_hanging_channel_delays_neither_the_work_nor_the_shutdown(tmp_path: Path) -> None:
    with town(tmp_path) as place, hook() as told:
        told.answers.clear()
        place.simulator.set_password("demo2", "another")
        with running(told_to(told, place)):
            eventually(lambda: place.home("demo1") == len(place.simulator.ids("demo1")))
        assert told.titles == []


def one_shot(settings: Settings) -> CatchUpOutcome:
    return catch_up(settings, CatchUpRequest())


def test_a_catch_up_sends_its_alarms_at_its_end_and_waits_only_seconds(tmp_path: Path) -> None:
    with town(tmp_path) as place, hook() as told:
        place.simulator.set_password("demo2", "another")
        settings = told_to(told, place)
        assert [one_shot(settings).refused_accounts, one_shot(settings).refused_accounts] == [("demo2",)] * 2
        assert told.titles == ["login refused: demo2"]
        place.passwords["demo2"] = "another"
        told.answers.clear()
        begun = time.monotonic()
        assert one_shot(told_to(told, place)).refused_accounts == ()
        assert time.monotonic() - begun < 10
        told.answers.set()
        one_shot(told_to(told, place))
        assert told.titles[-1] == "resolved: login refused: demo2"
