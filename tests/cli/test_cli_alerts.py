"""`alerts test`: one message through every channel, over a real socket, and nothing secret on the screen."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.http_receiver import QuietHandler, http_receiver

from easytracking_sync.observe.alarms import apprise_channels as channels_module

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
needs_apprise = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what apprise imports


@contextmanager
def hook() -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """A webhook that refuses whatever has "bad" in its path; its port, and what it got."""
    got: list[tuple[str, Any]] = []

    class Answer(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802  http.server's name
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, body))
            self.answer(500 if "bad" in self.path else 200)

        def do_GET(self) -> None:  # noqa: N802  http.server's name
            got.append((self.path, None))
            self.answer(200)

    with http_receiver(Answer) as port:
        yield port, got


def configured(builder: ArchiveBuilder, *urls: str, more: str = "") -> tuple[Any, ...]:
    builder.configure(top=f"[alerts]\nurls = {json.dumps(urls)}\n{more}")
    return ("--config", builder.config, "alerts", "test")


@needs_apprise
def test_every_channel_is_tried_and_told_by_scheme_and_host_only(run: Run, builder: ArchiveBuilder) -> None:
    pytest.importorskip("apprise")
    with hook() as (port, got):
        good, bad = f"json://127.0.0.1:{port}/canary-good", f"json://127.0.0.1:{port}/canary-bad"
        told = run(*configured(builder, good, bad))
        assert (told.code, told.err) == (75, "")
        lines = told.out.splitlines()
        assert lines[0] == "ok    json://127.0.0.1: accepted"
        assert lines[1].startswith("fail  json://127.0.0.1: ")
        assert "500" in lines[1]
        assert "canary" not in told.out
        assert [path for path, _ in got] == ["/canary-good", "/canary-bad"]
        assert got[0][1]["title"] == "easytracking-sync: messaggio di prova"
        assert run(*configured(builder, good), "--language", "en").code == 0
        assert got[-1][1]["title"] == "easytracking-sync: test message"


def test_the_monitor_of_the_heartbeat_is_called_too(run: Run, builder: ArchiveBuilder) -> None:
    with hook() as (port, got):
        told = run(*configured(builder, more=f'heartbeat_url = "http://127.0.0.1:{port}/canary-ping"'))
        assert (told.code, told.out) == (0, "ok    http://127.0.0.1: accepted\n")
        assert got == [("/canary-ping", None)]


def test_without_a_channel_it_says_so(run: Run, builder: ArchiveBuilder) -> None:
    told = run(*configured(builder))
    assert told.code == 2
    assert "no alert channel is configured" in told.complaint


def test_without_the_extra_it_names_it(run: Run, builder: ArchiveBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "EXTRA", "a_package_that_nobody_has")
    told = run(*configured(builder, "json://127.0.0.1/x"))
    assert told.code == 2
    assert "install easytracking-sync[alerts]" in told.complaint


@needs_apprise
def test_an_unknown_kind_of_address_is_a_wrong_configuration(run: Run, builder: ArchiveBuilder) -> None:
    pytest.importorskip("apprise")
    told = run(*configured(builder, "nonsense://canary-token/"))
    assert told.code == 2
    assert "nonsense://" in told.complaint
    assert "canary" not in told.complaint
