"""A small simulated Easy Tracking service on a socket, and a configuration for it.

Tests import the fixture with `importlib.import_module("tests.support.simulator_server").simulator_server`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from easytracking_simulator import Options, Simulator
from easytracking_simulator.command import WallClock
from easytracking_simulator.server import serve

SMALL = Options(
    documents=6,
    history_days=60,
    p7m_share=0,
    romania_share=0,
    long_share=0,
    attachment_share=0,
    job_seconds=0.0,
)
"""Quick to generate: no signed files."""


@dataclass(frozen=True)
class SimulatorServer:
    """The simulated service, and the folder of the archive."""

    folder: Path
    simulator: Simulator
    base_url: str
    keys: dict[str, str] = field(default_factory=dict)  # of the account, beside its login

    @property
    def config(self) -> Path:
        """The configuration: the account demo1, and little patience."""
        (login,) = self.simulator.accounts
        since = (datetime.now(UTC) - timedelta(days=90)).date()
        keys = {
            "base_url": f'"{self.base_url}"',
            "auth_base_url": f'"{self.base_url}"',
            "username": f'"{login.username}"',
            "password": f'"{login.password}"',
            "history_from": str(since),
            **self.keys,
        }
        text = (
            f'[database]\nurl = "sqlite:///{self.folder}/archive.db"\n[storage]\nmin_free_bytes = 0\n'
            "[sync]\npoll_first_seconds = 0.01\npoll_cap_seconds = 0.02\nretry_base_seconds = 0.01\n"
            "retry_cap_seconds = 0.05\n[accounts.demo1]\n"
        )
        path = self.folder / "simulator_server.toml"
        path.write_text(text + "".join(f"{key} = {value}\n" for key, value in keys.items()), encoding="utf-8")
        return path


@pytest.fixture
def simulator_server(tmp_path: Path) -> Iterator[SimulatorServer]:
    """A service with six documents, none of them fetched."""
    simulator = Simulator(SMALL, WallClock())
    with serve(simulator) as base_url:
        yield SimulatorServer(tmp_path, simulator, base_url)
