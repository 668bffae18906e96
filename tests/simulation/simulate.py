"""Runs thousands of scenarios on all cores and prints their figures, or replays one.

python -m tests.simulation.simulate --seeds 2000
python -m tests.simulation.simulate --seed 17
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.fault_injection import Failure, Kind
from tests.simulation.scenario import Figures, Scenario

TWICE_EVERY = 50
"""Run one seed in this many twice and compare the traces (DETERMINISM)."""

SHOW_EVERY_SECONDS = 5.0
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Told:
    """The result of one seed; `trouble` is empty if every invariant held."""

    figures: Figures | None
    trouble: str = ""
    seed: int = 0


@dataclass
class Sum:
    """All figures together."""

    seeds: int = 0
    twice: int = 0
    lives: int = 0
    effects: int = 0
    documents: int = 0
    acknowledged: int = 0
    failures: Counter[tuple[Kind, Failure]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def add(self, figures: Figures) -> None:
        self.seeds += 1
        self.twice += figures.seed % TWICE_EVERY == 0
        self.lives += 1 + figures.lives
        self.effects += figures.effects
        self.documents += figures.documents
        self.acknowledged += figures.acknowledged
        self.failures += figures.failures
        self.faults += figures.faults
        self.events += figures.events


def live(seed: int) -> Told:
    """Run one seed (some twice) in temporary folders."""
    gc.set_threshold(50_000, 50, 50)
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        scenario = Scenario(seed)
        try:
            figures = scenario.live(_world_in(Path(name) / "once"))
            if seed % TWICE_EVERY == 0:
                second = Scenario(seed).live(_world_in(Path(name) / "twice"))
                assert figures.trace == second.trace, "DETERMINISM: the second trace differs"
        except BaseException:  # noqa: BLE001  whatever it was is told, with the command that replays it
            return Told(None, traceback.format_exc(), seed)
        return Told(figures, seed=seed)


def _world_in(folder: Path) -> Path:
    """A folder with a fixed name, since names are part of the traces."""
    folder.mkdir()
    return folder / "world"


def lived(seeds: Iterable[int], processes: int) -> Iterator[Told]:
    """The result of every seed, in any order."""
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=500) as pool:
        yield from pool.imap_unordered(live, seeds, chunksize=4)


def report(total: Sum, seconds: float) -> None:
    """The figures, for people."""
    print(
        f"{total.seeds} seeds in {seconds:.0f} s ({total.twice} of them lived twice, with the same trace): "
        f"{total.lives} incarnations, {total.effects} effects, {total.documents} documents, "
        f"{total.acknowledged} acknowledgements"
    )
    for title, counted in (
        (
            "failures to effects",
            Counter({f"{kind} {failure}": count for (kind, failure), count in total.failures.items()}),
        ),
        ("faults of the service", total.faults),
        ("events", total.events),
    ):
        told = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
        print(f"{title} ({counted.total()}): {told}")


def main() -> int:
    """0 if every invariant held for every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    single = options.seed is not None
    seeds = [options.seed] if single else range(options.first, options.first + options.seeds)
    begun = shown = time.monotonic()
    total, failed = Sum(), []
    for told in map(live, seeds) if single else lived(seeds, options.processes):
        if told.figures is None:
            failed.append(told.seed)
            print(told.trouble, file=sys.stderr, flush=True)
        else:
            total.add(told.figures)
        if time.monotonic() - shown >= SHOW_EVERY_SECONDS:
            shown = time.monotonic()
            print(f"… {total.seeds + len(failed)} of {len(seeds)} seeds, {len(failed)} failed", flush=True)
        if single and told.figures is not None:
            print(f"the trace of seed {told.seed}: {told.figures.trace}")
    report(total, time.monotonic() - begun)
    if failed:
        print(f"*** {len(failed)} seeds broke an invariant; replay one: make simulate SEED={failed[0]} ***")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
