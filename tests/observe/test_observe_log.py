"""The log's promises: one line an event, UTC, no secrets, and never an exception."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.archive.opening import open_archive
from easytracking_sync.archive.schema import migrate
from easytracking_sync.effects import Effects
from easytracking_sync.events import EventName
from easytracking_sync.observe.log import Log, LogFormat, LogObserver
from easytracking_sync.safe_text import visible


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
    LogObserver(Log(at, form, StandingClock(), stream=stream)).note(EventName.BATCH_STORED, level, **facts)
    return stream.getvalue()


def test_json_lines_have_time_level_event_and_facts() -> None:
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


@pytest.mark.parametrize("form", list(LogFormat))
def test_every_time_in_a_line_is_written_in_utc(form: LogFormat) -> None:
    rome = timezone(timedelta(hours=1))
    line = write_one(form, until=datetime(2026, 11, 23, 13, 0, 0, 250999, tzinfo=rome))
    assert "2026-11-23T12:00:00.250Z" in line
    assert "2026-11-23 " not in line


def test_foreign_text_cannot_control_the_terminal() -> None:
    line = write_one(LogFormat.CONSOLE, reason="\x1b[31m\r\nforged 2026 info\u202e")
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()


@pytest.mark.parametrize("form", list(LogFormat))
def test_a_line_below_the_level_is_not_written(form: LogFormat) -> None:
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
    """NO-SECRET-LEAK."""
    stream = io.StringIO()
    log = Log("debug", form, StandingClock(), stream=stream)
    log.redactor.learn(["hunter2-canary", ""])
    log.write("error", EventName.CREDENTIALS_REFUSED, facts)
    assert "credentials.refused" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_traceback_contains_no_secret() -> None:
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
    observer.note(EventName.BATCH_STORED, fact=Unspeakable())
    observer.note(EventName.BATCH_STORED, "no-such-level")
    stream.close()
    observer.note(EventName.BATCH_STORED, "error")
    assert stream.closed


def test_the_standard_library_s_warnings_are_logged_and_its_other_messages_are_not() -> None:
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
        log.write("info", EventName.BATCH_STORED, {})
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
def test_visible_text_is_printable_and_repeating_changes_nothing(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)


def logged(*notes: tuple[EventName, str, dict[str, object]], at: str = "info") -> list[dict[str, object]]:
    """The lines that these notes (name, level, facts) become."""
    stream = io.StringIO()
    observer = LogObserver(Log(at, LogFormat.JSON, StandingClock(), stream=stream))
    for name, level, facts in notes:
        observer.note(name, level, **facts)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_at_info_a_cycle_is_one_line_with_the_documents_since_the_last_one() -> None:
    """Whatever came of it: batches are told at debug."""
    acme: dict[str, object] = {"account": "acme"}
    other: dict[str, object] = {"account": "other"}
    lines = logged(
        (EventName.BATCH_STORED, "", {**acme, "documents": 100}),
        (EventName.BATCH_ACKNOWLEDGED, "", {**acme, "documents": 100}),
        (EventName.BATCH_ACKNOWLEDGED, "", {**acme, "documents": 7}),
        (EventName.BATCH_ACKNOWLEDGED, "", {**other, "documents": 1}),
        (EventName.CYCLE_ENDED, "", acme),
        (EventName.CYCLE_ENDED, "", acme),
        (EventName.CYCLE_ENDED, "", other),
    )
    assert [(line["event"], line["account"], line["home"]) for line in lines] == [
        ("cycle.ended", "acme", 107),
        ("cycle.ended", "acme", 0),
        ("cycle.ended", "other", 1),
    ]


def test_a_bug_is_one_line_and_its_traceback_is_logged_at_debug_only() -> None:
    facts: dict[str, object] = {"batch": 7, "error": "KeyError", "exc_info": KeyError("inside")}
    bug = (EventName.BATCH_CRASHED, "", facts)
    (line,) = logged(bug)
    assert "inside" not in json.dumps(line)
    assert (line["event"], line["error"]) == ("batch.crashed", "KeyError")
    assert [line["event"] for line in logged(bug, at="debug")] == ["batch.crashed", "bug.met"]


def test_neither_a_migration_nor_a_logging_setup_silences_the_log(tmp_path: Path) -> None:
    """Alembic's own template calls fileConfig, which disables every logger there is."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    log = Log("info", LogFormat.JSON, StandingClock(), stream=stream)
    archive = open_archive(f"sqlite:///{tmp_path}/archive.db", tmp_path / "spool", Effects(), owner="test")
    try:
        log.adopt_standard_library()
        migrate(archive.database)
        logging.getLogger("sqlalchemy.engine").warning("after the migration")
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": True, "root": {"level": "CRITICAL"}})
        LogObserver(log).note(EventName.CYCLE_ENDED, account="acme")
    finally:
        archive.close()
        for name in list(logging.root.manager.loggerDict):
            logging.getLogger(name).disabled = False
        root.setLevel(level)
        root.handlers[:] = before
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("message")) for line in lines] == [
        ("library.warned", "after the migration"),
        ("cycle.ended", None),
    ]
