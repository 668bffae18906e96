"""The log's promises: one line an event, UTC, no secrets, and never an exception."""

from __future__ import annotations

import io
import json
import logging
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.observe.log import Log, LogFormat, LogObserver, bound
from easytracking_sync.observe.plain import visible


class StandingClock:
    """It is always noon."""

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return False


def write_one(form: LogFormat, level: str = "info", *, at: str = "debug", **facts: object) -> str:
    stream = io.StringIO()
    LogObserver(Log(at, form, StandingClock(), stream=stream)).note("batch.stored", level, **facts)
    return stream.getvalue()


def test_json_lines_carry_the_instant_in_utc_the_level_the_event_and_its_facts() -> None:
    line = json.loads(write_one(LogFormat.JSON, account="acme", batch=7))
    assert line == {
        "timestamp": "2026-11-22T12:00:00.000Z",
        "level": "info",
        "event": "batch.stored",
        "account": "acme",
        "batch": 7,
    }


def test_console_lines_are_one_line_each() -> None:
    line = write_one(LogFormat.CONSOLE, account="acme", reason="two words", nothing=None)
    assert line == '2026-11-22T12:00:00.000Z info     batch.stored account=acme reason="two words"\n'


def test_foreign_text_cannot_steer_the_terminal() -> None:
    line = write_one(LogFormat.CONSOLE, reason="\x1b[31m\r\nforged 2026 info\u202e")
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()


@pytest.mark.parametrize("form", list(LogFormat))
def test_what_is_below_the_level_is_not_written(form: LogFormat) -> None:
    assert write_one(form, "info", at="warning") == ""
    assert write_one(form, "error", at="warning") != ""


@pytest.mark.parametrize("form", list(LogFormat))
@pytest.mark.parametrize(
    "facts",
    [
        {"password": "hunter2-canary"},
        {"headers": {"Authorization": "Bearer hunter2-canary"}},
        {"detail": [{"client_secret": "hunter2-canary"}]},
        {"reason": "the service echoed hunter2-canary back"},
        {"error": ValueError("hunter2-canary")},
        {"seen": {"hunter2-canary": 1}},
        {"deep": ("x", ["hunter2-canary"])},
    ],
)
def test_no_secret_leaks_by_key_or_by_value(form: LogFormat, facts: dict[str, object]) -> None:
    stream = io.StringIO()
    log = Log("debug", form, StandingClock(), stream=stream)
    log.redactor.learn(["hunter2-canary", ""])
    log.write("error", "login.refused", facts)
    assert "login.refused" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_traceback_carries_no_secret_either() -> None:
    stream = io.StringIO()
    log = Log("debug", LogFormat.CONSOLE, StandingClock(), stream=stream)
    log.redactor.learn(["hunter2-canary"])
    log.failed(RuntimeError("around hunter2-canary"))
    assert "RuntimeError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


class FullDisk(io.StringIO):
    """stderr on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Unspeakable:
    """A fact that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("stream", [FullDisk(), io.StringIO()])
def test_row_25_logging_never_raises(stream: io.StringIO) -> None:
    """A full disk, a closed stream, a fact that cannot be rendered: the work goes on."""
    observer = LogObserver(Log("debug", LogFormat.JSON, StandingClock(), stream=stream))
    observer.note("batch.stored", fact=Unspeakable())
    observer.note("batch.stored", "no-such-level")
    stream.close()
    observer.note("batch.stored", "error")
    assert stream.closed


def test_account_and_batch_can_be_bound_for_a_while() -> None:
    stream = io.StringIO()
    log = Log("debug", LogFormat.JSON, StandingClock(), stream=stream)
    with bound(account="acme", batch=3):
        log.write("info", "batch.fetched", {})
    log.write("info", "batch.fetched", {})
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["account"], first["batch"]) == ("acme", 3)
    assert "account" not in second


def test_the_standard_librarys_warnings_come_through_and_its_chatter_does_not() -> None:
    """httpx logs whole addresses at INFO; Alembic's own logging setup cannot mute what is ours."""
    stream = io.StringIO()
    log = Log("debug", LogFormat.JSON, StandingClock(), stream=stream)
    before, root = list(logging.getLogger().handlers), logging.getLogger()
    try:
        log.adopt_standard_library()
        log.adopt_standard_library()
        logging.getLogger("httpx").info("GET https://service/?secret")
        logging.getLogger("alembic.runtime").warning("odd %s", "thing")
        logging.disable(logging.CRITICAL)
        log.write("info", "batch.stored", {})
    finally:
        logging.disable(logging.NOTSET)
        for handler in [handler for handler in root.handlers if handler not in before]:
            root.removeHandler(handler)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("message")) for line in lines] == [
        ("library.warned", "odd thing"),
        ("batch.stored", None),
    ]


@given(st.text())
def test_shown_text_is_printable_and_stays_as_it_is_when_shown_again(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)
