"""The program as a real process against a simulated service on a socket."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

from easytracking_simulator import Options, Simulator
from easytracking_simulator.command import WallClock
from easytracking_simulator.server import serve
from easytracking_sync.archive.blobs import DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.effects import SystemClock

PATIENCE_SECONDS = 60.0
KEPT_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_START")


@dataclass(frozen=True)
class Place:
    """One archive, its configuration, and the service it belongs to."""

    folder: Path
    simulator: Simulator
    base_url: str

    @property
    def sections(self) -> str:
        """The configuration but for its accounts."""
        return (
            f'[database]\nurl = "sqlite:///{self.folder}/archive.db"\n[storage]\nmin_free_bytes = 0\n'
            "[sync]\npoll_first_seconds = 0.05\npoll_cap_seconds = 0.1\n"
            'retry_base_seconds = 0.05\nretry_cap_seconds = 0.2\n[http]\nlisten = "127.0.0.1:0"\n'
        )

    @property
    def config(self) -> Path:
        """All of the simulator's accounts, and little patience between the calls."""
        since = (datetime.now(UTC) - timedelta(days=90)).date()
        text = self.sections
        for login in self.simulator.accounts:
            text += (
                f'[accounts.{login.username}]\nbase_url = "{self.base_url}"\nauth_base_url = "{self.base_url}"\n'
                f'username = "{login.username}"\npassword = "{login.password}"\nhistory_from = {since}\n'
            )
        path = self.folder / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    @contextmanager
    def started(
        self, *arguments: str, stderr: IO[bytes] | int = subprocess.PIPE, variables: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """A process of the program, which does not outlive the block; `variables` come into its environment."""
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        process = subprocess.Popen(
            [sys.executable, "-m", "easytracking_sync", "--config", str(self.config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**environment, **(variables or {})},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """One process from start to end: its exit code, and what it said."""
        with self.started(*arguments, variables=variables) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, out, err

    def catch_up(self) -> None:
        """A catch-up that must succeed."""
        code, _, err = self.run("catch-up")
        assert (code, "Traceback" in err) == (0, False), err

    def stored(self) -> set[int]:
        """The documents whose files are all committed and are read back whole, this very moment."""
        path = self.folder / "archive.db"
        if not path.exists():
            return set()
        database = Database(f"sqlite:///{path}")
        blobs = DatabaseBlobs(database, SystemClock())
        try:
            rows = self._rows("SELECT d.doc_id, f.type, f.sha256 FROM file f JOIN document d ON d.id = f.document_id")
            whole = blobs.whole({str(sha256) for _, _, sha256 in rows})
        finally:
            database.close()
        broken = {doc_id for doc_id, _, sha256 in rows if sha256 not in whole}
        return {int(str(doc_id)) for doc_id, kind, _ in rows if kind == "FA" and doc_id not in broken}

    def expect_nothing_told_too_early(self) -> None:
        """NO-ACK-BEFORE-DURABLE, whatever has just happened to the process."""
        early = set(self.simulator.marked()) - self.stored()
        assert not early

    def expect_all_home(self) -> None:
        """Every document is archived byte for byte, once, and acknowledged."""
        code, out, err = self.run("invoices", "list", "--json")
        assert code == 0, err
        listed = {entry["doc_id"]: entry for entry in map(json.loads, out.splitlines())}
        assert set(listed) == set(self.simulator.ids())
        assert {entry["state"] for entry in listed.values()} == {"acknowledged"}
        assert set(self.simulator.marked()) == set(listed)
        assert self.stored() == set(listed)
        for doc_id, entry in listed.items():
            wanted = sorted((f.type, f.name, f.body) for f in self.simulator.files(doc_id) if f.type != "FI")
            found = sorted((f["type"], f["name"], f["size"], f["sha256"]) for f in entry["files"])
            assert found == [(kind, name, len(body), digest(body)) for kind, name, body in wanted]

    def calls(self) -> int:
        """How many reservations and fetches the service has seen."""
        return self.simulator.count("reserve") + self.simulator.count("fetch")

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.folder / "archive.db", timeout=30)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # killed before the first migration was committed
            return []
        finally:
            connection.close()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@contextmanager
def placed(folder: Path, options: Options) -> Iterator[Place]:
    """A service of this kind on a socket of this machine, and an empty folder for an archive."""
    folder.mkdir(exist_ok=True)
    simulator = Simulator(options, WallClock())
    with serve(simulator) as base_url:
        yield Place(folder, simulator, base_url)


BUSY = Options(
    documents=220,
    accounts=2,
    history_days=60,
    job_seconds=0.3,
    p7m_share=0.05,
    long_share=0.0,
    attachment_share=0.0,
)
"""A few seconds of work: batches of a hundred documents, slow jobs."""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path / "busy", BUSY) as place:
        yield place


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    """A service with few documents, fetched quickly."""
    with placed(tmp_path / "small", replace(BUSY, documents=20, job_seconds=0.0, p7m_share=0.0)) as place:
        yield place


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Place]:
    """A service that holds nothing yet."""
    with placed(tmp_path / "quiet", Options(documents=0, accounts=1, job_seconds=0.0)) as place:
        yield place
