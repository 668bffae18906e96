"""Runs a catch-up of a few documents in a process on a real disk: python -m tests.crash.small_job FOLDER.

What the service is told is written down beside the archive just before it is told, so that whoever watches this
process's system calls sees it in its order.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import httpx

from easytracking_simulator import Options, Simulator
from easytracking_simulator.httpx_transport import SimulatorTransport
from easytracking_sync.app import CatchUpRequest, catch_up
from easytracking_sync.effects import Effects, SystemClock
from easytracking_sync.settings import Settings

DOCUMENTS = 7
TOLD = "told.log"
ARCHIVE = "archive.db"


class AcknowledgementRecorder(httpx.BaseTransport):
    """Writes down which documents the service is about to be told of."""

    def __init__(self, told: Path, inner: httpx.BaseTransport) -> None:
        self._file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("set-fase-1"):
            ids = json.loads(request.read())["docIds"]
            os.write(self._file, json.dumps(ids).encode() + b"\n")
        return self._inner.handle_request(request)


def main(folder: Path) -> None:
    """Bring them all home."""
    options = Options(documents=DOCUMENTS, history_days=30, p7m_share=0.0, long_share=0.0, job_seconds=0.01)
    simulator = Simulator(options, SystemClock())
    account = {
        "base_url": "http://127.0.0.1:1",
        "auth_base_url": "http://127.0.0.1:1",
        "username": "demo1",
        "password": simulator.accounts[0].password,
        "history_from": "2026-01-01",
    }
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{folder / ARCHIVE}"},
            "storage": {"min_free_bytes": 0},
            "sync": {"poll_first_seconds": 0.01, "retry_base_seconds": 0.01, "workers": 1},
            "accounts": {"acme": account},
        }
    )
    network = AcknowledgementRecorder(folder / TOLD, SimulatorTransport(simulator))
    catch_up(settings, CatchUpRequest(), effects=Effects(network=network))
    assert len(simulator.marked()) == DOCUMENTS


if __name__ == "__main__":
    main(Path(sys.argv[1]))
