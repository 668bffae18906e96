"""Random scenarios: faults of the service and failures of the engine's effects, until all faults end.

`make simulate SEEDS=N` runs N of them on all cores, `make simulate SEED=N` replays one. A seed that fails says how to
replay it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.scenario import Scenario

SEEDS = range(6)
SEED_WITH_FILES = "8"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_random_faults_everything_is_archived(folder: Path, seed: int) -> None:
    """NO-LOSS, BYTE-IDENTITY, SINGLE-COPY, ACK-LIVENESS at the end; all the others at every commit and call."""
    figures = Scenario(seed).live(folder / "world")
    assert figures.acknowledged > 0
    assert figures.effects > 50


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_gives_the_same_trace_twice(folder: Path, seed: int) -> None:
    """DETERMINISM."""
    traces = []
    for number in range(2):
        (folder / str(number)).mkdir()
        traces.append(Scenario(seed).live(folder / str(number) / "world").trace)
    assert traces[0] == traces[1]


def test_a_seed_gives_the_same_trace_in_another_process() -> None:
    """DETERMINISM: another process has another hash seed, and so other orders of sets."""
    assert _told("1") == _told("2")


def _told(hashes: str) -> str:
    lived = subprocess.run(
        [sys.executable, "-m", "tests.simulation.simulate", "--seed", SEED_WITH_FILES],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hashes},
        capture_output=True,
        text=True,
        check=True,
    )
    (trace,) = (
        line for line in lived.stdout.splitlines() if line.startswith(f"the trace of seed {SEED_WITH_FILES}: ")
    )
    return trace
