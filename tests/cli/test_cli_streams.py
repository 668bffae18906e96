"""If its output cannot be written, a command still has its documented exit code and prints no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

WRONG = ("--config", "/nonexistent/config.toml", "status")


def full() -> int:
    """A disk without room."""
    return os.open("/dev/full", os.O_WRONLY)


def unread() -> int:
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def code_with(stream: str, descriptor: int, *arguments: str) -> int:
    """The exit code of a command with this stream, and what it says on the other."""
    program = [sys.executable, "-m", "easytracking_sync", *arguments]
    other = "stderr" if stream == "stdout" else "stdout"
    try:
        ended = subprocess.run(program, check=False, timeout=60, **{stream: descriptor, other: subprocess.PIPE})  # type: ignore[call-overload]
    finally:
        os.close(descriptor)
    assert b"Traceback" not in (ended.stderr or b"")
    return int(ended.returncode)


@pytest.mark.parametrize("taken_by", [full, unread])
def test_a_wrong_configuration_has_its_exit_code_even_if_stderr_cannot_be_written(
    taken_by: Callable[[], int],
) -> None:
    assert code_with("stderr", taken_by(), *WRONG) == 2


def test_a_result_that_cannot_be_written_is_a_storage_failure() -> None:
    assert code_with("stdout", full(), "version") == 74


def test_a_closed_pipe_is_not_a_failure() -> None:
    assert code_with("stdout", unread(), "version") == 0


@pytest.mark.parametrize(("closed", "arguments", "code"), [("1", ("version",), 0), ("2", WRONG, 2)])
def test_a_stream_closed_before_the_start_is_not_a_failure(
    closed: str, arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    line = f'exec "$@" {closed}>&-'
    program = ["sh", "-c", line, "sh", sys.executable, "-m", "easytracking_sync", *arguments]
    assert subprocess.run(program, check=False, timeout=60, cwd=tmp_path, capture_output=True).returncode == code
