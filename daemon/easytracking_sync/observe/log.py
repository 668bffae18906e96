"""The log: structured lines on stderr, in UTC, without secrets. It never stops the work.

structlog renders; the standard library's loggers (httpx, SQLAlchemy, Alembic) are written the same way, from
WARNING on. Our own lines do not pass through the standard library, so that no `fileConfig` can silence them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import structlog

from easytracking_sync.effects import Clock
from easytracking_sync.events import LEVELS, EventName
from easytracking_sync.redaction import Redactor
from easytracking_sync.safe_text import visible

FOREIGN = ("httpx", "httpcore", "sqlalchemy", "alembic")
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
_FIRST = ("timestamp", "level", "event", "account", "batch")

Facts = MutableMapping[str, Any]


class LogFormat(StrEnum):
    """The format of the lines."""

    CONSOLE = "console"
    JSON = "json"


class LogObserver:
    """Writes every event to the log. Never raises.

    Batches are logged at debug. The line of a cycle therefore has `home`, the number of documents that were
    acknowledged since the account's last such line.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._home: dict[object, int] = {}

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        """Write the event with its facts; the traceback of a bug is a separate line at debug."""
        with contextlib.suppress(Exception):
            bug = facts.pop("exc_info", None)
            self._log.write(level or name.level, name, self._counted(name, facts))
            if isinstance(bug, BaseException):
                self._log.failed(bug)

    def _counted(self, name: EventName, facts: dict[str, object]) -> dict[str, object]:
        account, documents = facts.get("account"), facts.get("documents")
        with self._lock:
            if name is EventName.BATCH_ACKNOWLEDGED and isinstance(documents, int):
                self._home[account] = self._home.get(account, 0) + documents
            elif name is EventName.CYCLE_ENDED:
                return {**facts, "home": self._home.pop(account, 0)}
        return facts


class Log:
    """Writes lines to `stream`, or if it is None to the stderr of the moment (a progress bar may replace it)."""

    def __init__(self, level: str, form: LogFormat | None, clock: Clock, *, stream: TextIO | None = None) -> None:
        self.level = LEVELS[level]
        self.redactor = Redactor()
        self._stream = stream
        self._clock = clock
        self._form = form or (LogFormat.CONSOLE if self._is_terminal() else LogFormat.JSON)
        processors: list[structlog.typing.Processor] = [self._stamp, self.redactor, self._render]
        self._lines = _Lines(None, processors, {})

    def write(self, level: str, name: EventName, facts: MutableMapping[str, Any]) -> None:
        """Write one line, unless it is below the level. If it cannot be written it is lost; nothing is raised."""
        if LEVELS.get(level, logging.INFO) < self.level:
            return
        with contextlib.suppress(Exception):
            line = self._lines.rendered(name, {"level": level, **facts})
            self._put(line)

    def failed(self, error: BaseException) -> None:
        """Log an unexpected error with its full traceback, without secrets."""
        trace = "".join(traceback.format_exception(error))
        self.write(EventName.BUG_MET.level, EventName.BUG_MET, {"error": type(error).__name__, "traceback": trace})

    def adopt_standard_library(self) -> None:
        """Write the warnings and errors of the standard library's loggers to this log."""
        root = logging.getLogger()
        for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
            root.removeHandler(handler)
        root.addHandler(_Bridge(self))
        root.setLevel(logging.WARNING)
        for name in FOREIGN:
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.raiseExceptions = False

    def _stamp(self, logger: object, name: str, event: Facts) -> Facts:
        del logger, name
        return {"timestamp": _json_value(self._clock.now()), **event}

    def _render(self, logger: object, name: str, event: Facts) -> str:
        del logger, name
        ordered = {**{key: event[key] for key in _FIRST if key in event}, **event}
        if self._form is LogFormat.JSON:
            return json.dumps(ordered, default=_json_value)
        return _console_line(ordered, coloured=self._is_terminal())

    def _put(self, line: str) -> None:
        stream = self._stream or sys.stderr
        stream.write(line + "\n")
        stream.flush()

    def _is_terminal(self) -> bool:
        with contextlib.suppress(ValueError, AttributeError):
            return (self._stream or sys.stderr).isatty()
        return False


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _console_line(event: Facts, *, coloured: bool) -> str:
    rest = dict(event)
    stamp, level, name = (str(rest.pop(key, "")) for key in ("timestamp", "level", "event"))
    trace = str(rest.pop("traceback", ""))
    shown = f"\x1b[{_COLOURS.get(level, '0')}m{level:<8}\x1b[0m" if coloured else f"{level:<8}"
    facts = "".join(f" {visible(key)}={_console_value(value)}" for key, value in rest.items() if value is not None)
    lines = "".join(f"\n    {visible(line)}" for line in trace.splitlines())
    return f"{stamp} {shown} {visible(name)}{facts}{lines}"


def _console_value(value: object) -> str:
    if isinstance(value, datetime):
        value = _json_value(value)
    text = visible(value if isinstance(value, str) else json.dumps(value, default=_json_value))
    return f'"{text}"' if not text or " " in text else text


class _Lines(structlog.BoundLoggerBase):
    """Passes events through structlog's processors; the last one makes a line."""

    def rendered(self, name: str, facts: Facts) -> str:
        (line,), _ = self._process_event("msg", name, dict(facts))
        return str(line)


class _Bridge(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            level = record.levelname.lower()
            facts: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
            if record.exc_info and record.exc_info[1] is not None:
                facts["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
            self._log.write(level if level in LEVELS else "warning", EventName.LIBRARY_WARNED, facts)
