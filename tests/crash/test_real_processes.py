"""Real processes on a real disk and a real socket: killed at random moments, their system calls made to fail, their
database killed under them, stopped until another has taken over. KILLS=N kills more often.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.end_to_end.conftest import BUSY, Place, placed
from tests.simulation.archive_reader import ArchiveReader
from tests.support.postgres import Server

from easytracking_simulator import Fault, Faults, Kind

KILLS = int(os.environ.get("KILLS", "50"))
STORAGE_FAILED = 74
LEASE_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
FEW = replace(BUSY, documents=30, accounts=1, job_seconds=0.05, p7m_share=0.0)

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="faults of system calls are not tested: no strace (apt-get install strace)"
)


@dataclass(frozen=True)
class Served(Place):
    """A place whose archive is on a server."""

    url: str = ""

    @property
    def config(self) -> Path:
        path = super().config
        text = path.read_text(encoding="utf-8").replace(f"sqlite:///{self.folder}/archive.db", self.url)
        text = text.replace("[storage]\n", f'[storage]\nspool = "{self.folder}/spool"\n')
        text = text.replace("[sync]\n", "[sync]\njobs_in_flight = 1\n")  # one batch after the other: time for faults
        path.write_text(text, encoding="utf-8")
        return path

    def stored(self) -> set[int]:
        """As a place's, through the server."""
        with contextlib.closing(ArchiveReader(self.url, None)) as reader:
            rows = reader.rows(
                "SELECT d.doc_id, f.type, f.sha256 FROM file f JOIN document d ON d.id = f.document_id"
            )
            whole = {sha256 for _, _, sha256 in rows if reader.is_whole(sha256)}
        broken = {doc_id for doc_id, _, sha256 in rows if sha256 not in whole}
        return {doc_id for doc_id, kind, _ in rows if kind == "FA" and doc_id not in broken}


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path / "few", FEW) as place:
        yield place


@pytest.fixture
def served(tmp_path: Path, postgres_archive: str) -> Iterator[Served]:
    with placed(tmp_path / "served", replace(FEW, documents=400, job_seconds=1.5)) as place:
        yield Served(place.folder, place.simulator, place.base_url, postgres_archive)


def wait_until(happened: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """An AssertionError after so long."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def has_come_to(place: Place, process: subprocess.Popen[str], calls: int) -> bool:
    """Whether so many calls were made, or the process has ended before."""
    return place.simulator.count() >= calls or process.poll() is not None


def test_row_08_and_16_killed_repeatedly_while_invoices_arrive_nothing_is_lost_or_acknowledged_early(
    few: Place,
) -> None:
    """SIGKILL at random moments, from the start of the interpreter to the last acknowledgement."""
    dice = random.Random(f"kills/{KILLS}")
    killed = 0
    for number in range(KILLS):
        for _ in range(dice.randint(0, 8)):
            few.simulator.add_document("demo1")
        calls = few.simulator.count() + dice.choice((0, 1, 2, 3, 5, 8, 12))
        with few.started("catch-up") as process:
            wait_until(partial(has_come_to, few, process, calls))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.random() * 0.4)
            process.send_signal(signal.SIGKILL)
            killed += process.wait(30) == -signal.SIGKILL
            few.expect_nothing_told_too_early()
        assert killed or number < KILLS // 2
    few.catch_up()
    few.expect_all_home()
    assert killed > KILLS // 2


INJECTED = [
    ("fsync", "EIO", 1),
    ("fsync", "EIO", 2),
    ("fsync", "ENOSPC", 1),
    ("fdatasync", "EIO", 1),
    ("fdatasync", "EIO", 25),
    ("pwrite64", "ENOSPC", 60),
    ("pwrite64", "EIO", 90),
    ("rename", "EIO", 1),
    ("rename", "ENOSPC", 1),
    ("unlink", "EIO", 2),
    ("write", "ENOSPC", 1),
    ("write", "EIO", 2),
    ("ftruncate", "EIO", 1),
    ("openat", "EMFILE", 900),
]
ENDS = {0, 1, 3, STORAGE_FAILED, 75}


@needs_strace
@pytest.mark.parametrize(("call", "error", "when"), INJECTED, ids=str)
def test_row_12_a_system_call_that_fails_costs_a_run_and_nothing_else(
    few: Place, call: str, error: str, when: int
) -> None:
    """No traceback, nothing told early, and the next run brings everything home."""
    tape = few.folder / "tape"
    tracer = ["strace", "-f", "-qq", "-o", str(tape), "-e", f"trace={call}"]
    tracer += ["-e", f"inject={call}:error={error}:when={when}"]
    program = [sys.executable, "-m", "easytracking_sync", "--config", str(few.config), "catch-up"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [*tracer, *program], check=False, capture_output=True, text=True, timeout=120, env=environment
    )
    assert "INJECTED" in tape.read_text(encoding="utf-8", errors="replace"), "the call was never made so often"
    few.expect_nothing_told_too_early()
    assert ended.returncode in ENDS, (ended.returncode, ended.stderr)
    if call in ("fsync", "fdatasync"):
        assert ended.returncode == STORAGE_FAILED, (ended.returncode, ended.stderr)
    if call != "openat":  # the interpreter itself may miss a file
        assert "Traceback" not in ended.stderr
    few.catch_up()
    few.expect_all_home()


def crash(server: Server) -> None:
    """As if its machine had died: no transaction is ended, every connection is cut; and it is started again."""
    pid = int((server.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
    os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
    server.stop()
    server.start()


def test_row_14_and_15_a_database_killed_in_a_transaction_loses_nothing_acknowledged(
    served: Served, server: Server
) -> None:
    """Immediate shutdowns, each while some transaction of ours is open; the same process goes on to the end.

    The first comes after the first reservation: a one-shot that finds no database while it starts ends with 75.
    """
    name = sa.make_url(served.url).database or ""
    crashes = 0
    with served.started("catch-up") as process:
        wait_until(lambda: served.simulator.count("reserve") > 0)
        for _ in range(6):
            with contextlib.suppress(psycopg.OperationalError):
                server.wait(
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_xid IS NOT NULL",
                    name,
                    1.0,
                )
            if process.poll() is not None:
                break
            crash(server)
            crashes += 1
            served.expect_nothing_told_too_early()
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert crashes >= 2, (process.returncode, err)
    assert process.returncode in (0, 75), err
    served.catch_up()
    served.expect_all_home()
    with contextlib.closing(ArchiveReader(served.url, None)) as reader:
        rows = reader.rows("SELECT batch_id, detail FROM event WHERE batch_id IS NOT NULL")
    moves = [(batch_id, json.loads(detail).get("epoch")) for batch_id, detail in rows]
    numbered = [move for move in moves if move[1] is not None]
    assert len(numbered) == len(set(numbered)), "FENCED: a batch moved twice in one epoch"


def test_row_21_an_instance_stopped_past_its_lease_discards_its_results(served: Served) -> None:
    """SIGSTOP in an acknowledgement; a second process takes over once the lease has run out, the first is fenced."""
    served.simulator.faults = Faults(always={"acknowledge": Fault(kind=Kind.SLOW, seconds=2.0)})
    with served.started("catch-up") as first:
        wait_until(lambda: served.simulator.count("reserve") > 0)
        wait_until(lambda: bool(served.stored()))
        time.sleep(0.3)
        first.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        served.simulator.clear_faults()
        second = Served(served.folder / "second", served.simulator, served.base_url, served.url)
        second.folder.mkdir()
        with second.started("catch-up") as other:
            _, err = other.communicate(timeout=PATIENCE_SECONDS)
        assert other.returncode == 0, err
        assert time.monotonic() - stopped > LEASE_SECONDS / 2
        served.expect_all_home()
        served.expect_nothing_told_too_early()
        reserved = served.simulator.count("reserve")
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0, err
    assert "Traceback" not in err
    assert served.simulator.count("reserve") == reserved
    served.expect_all_home()
