"""What every test of the command line shares: an archive, a function to run a command, and a clean environment."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from easytracking_sync import cli

builder = importlib.import_module("tests.support.archive_builder").builder


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr; asserts that there is exactly one, and nothing on stdout."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("easytracking-sync: ")
        return line


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, with nothing of the caller's environment."""
    for name in ("EASYTRACKING_CONFIG", "EASYTRACKING_SECRETS_DIR", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def run_one(*arguments: object) -> Ran:
        capsys.readouterr()
        code = cli.execute([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return run_one


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """Give the standard library's loggers back as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
