"""`run` on the command line: signals are heard from the first moment, and a port that is taken is told or refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

HEAVY = {"sqlalchemy", "httpx", "apscheduler", "starlette", "uvicorn", "pydantic", "prometheus_client", "structlog"}


@contextlib.contextmanager
def signalled_while_it_reads(config: Path, text: str, number: signal.Signals) -> Iterator[None]:
    """A configuration that comes through a pipe: the signal is sent when it is asked for, and before it comes."""
    os.mkfifo(config)

    def answer() -> None:
        with config.open("w", encoding="utf-8") as reader:
            os.kill(os.getpid(), number)
            reader.write(text)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)
    assert not thread.is_alive(), "nobody read the configuration"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_during_startup_ends_the_program_before_anything_is_opened(
    run: Run, builder: ArchiveBuilder, number: signal.Signals, code: int
) -> None:
    builder.archive.close()
    builder.path.unlink()
    slow = builder.folder / "slow.toml"
    with signalled_while_it_reads(slow, builder.config.read_text(), number):
        told = run("--config", slow, "run")
    assert (told.code, told.out, told.err) == (code, "", "")
    assert not builder.path.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_heard_before_what_takes_its_time_is_imported() -> None:
    script = "import sys, easytracking_sync.cli.run; print(sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout.replace("'", '"'))) & HEAVY
