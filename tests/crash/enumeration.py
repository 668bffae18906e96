"""Kills or fails a whole job at one effect after the other; each time the next run must store every document.

    python -m tests.crash.enumeration                 the sample that `make crash` takes
    python -m tests.crash.enumeration --every         every effect, every failure (hours)
    python -m tests.crash.enumeration --site sqlite/files

A job lists, reserves, fetches, stores and acknowledges 1, 99, 100 or 101 documents (two batches), on SQLite and on
PostgreSQL, with the bytes in the database and in files.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.effect_kinds import Cell, cells_of
from tests.simulation.disk import Cut
from tests.simulation.fault_injection import DEADLY, Effect, Failure, Kind, applicable
from tests.simulation.world import World
from tests.support import postgres
from tests.support.harness import BlobStore

from easytracking_simulator import Simulator

MEMORY = Path("/dev/shm")
SIZES = (1, 99, 100, 101)
SITES: tuple[tuple[str, BlobStore], ...] = (
    ("sqlite", "database"),
    ("sqlite", "files"),
    ("postgresql", "database"),
    ("postgresql", "files"),
)
LOOKS = (Kind.LOOK, Kind.READ)
NEXT_DEATHS = (1, 2, 4, 7, 11, 16, 22)
"""How many effects after its death the next incarnation dies too."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the job is done."""

    database: str
    blobs: BlobStore
    documents: int

    def __str__(self) -> str:
        return f"{self.database}, bytes in {self.blobs}, {self.documents} documents"


@dataclass(frozen=True, slots=True)
class Trial:
    """One job, and what befalls it: failures by the number of the effect. `cell` is what the first one strikes."""

    site: Site
    cell: Cell
    failures: tuple[tuple[int, Failure], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`trouble` is empty where all came home."""

    trial: Trial
    trouble: str


def arrival(documents: int) -> Callable[[Simulator], object]:
    """So many small documents of one account."""

    def arrive(simulator: Simulator) -> None:
        for doc_id in range(101, 101 + documents):
            body = f"<{doc_id}>".encode() * 20
            files = {kind: (f"{doc_id}_{kind}.xml", kind.encode() + body) for kind in ("FA", "MT", "FU")}
            simulator.add_document("demo1", files, doc_id=doc_id)

    return arrive


@functools.cache
def server() -> postgres.Server:
    """This worker's own; it ends with its process."""
    made = postgres.Server()
    made.start()
    return made


@contextmanager
def world(site: Site, failures: Mapping[int, Failure]) -> Iterator[World]:
    """A world of this site that has not begun."""
    with ExitStack() as around:
        folder = tempfile.TemporaryDirectory(prefix="crash-", dir=MEMORY if MEMORY.is_dir() else None)
        name = around.enter_context(folder)
        url = None
        if site.database == "postgresql":
            url = server().url(around.enter_context(server().database(server().archive_template)))
        deadly_cut = tuple(Cut)[sum(failures) % len(Cut)]
        made = World(
            Path(name) / "world",
            [arrival(site.documents)],
            deal=functools.partial(dealt, failures),
            url=url,
            blobs=site.blobs,
            cut=deadly_cut,
            jobs_in_flight=4,
        )
        around.callback(made.close)
        yield made


def dealt(failures: Mapping[int, Failure], number: int, effect: Effect) -> Failure | None:
    """After the first failure the numbers mean other effects: some of them cannot be struck so."""
    failure = failures.get(number)
    return failure if failure is not None and (failure is Failure.KILLED or failure in applicable(effect)) else None


def undisturbed(site: Site) -> tuple[Site, tuple[Effect, ...], int]:
    """The effects of the job when nothing goes wrong, and the first of them."""
    with world(site, {}) as made:
        made.run()
        made.expect_all_home()
        assert made.lives == 0
        return site, tuple(made.trace[: made.ends[0]]), made.begins[0]


def survive(trial: Trial) -> Verdict:
    """Live through it; every invariant is watched on the way."""
    failures = dict(trial.failures)
    try:
        with world(trial.site, failures) as made:
            made.run()
            if made.dealt and len(failures) == 1:
                made.expect_all_home()
            else:
                made.settle_for_good()
            deadly = sum(failure in DEADLY for failure in failures.values())
            assert made.lives >= deadly, f"it died {made.lives} times, not {deadly}"
            if len(failures) == 1 and trial.cell.kind is Kind.SYNC:
                assert made.lives == 1, "FAIL-STOP: it outlived a failed fsync"
    except BaseException:  # noqa: BLE001  it is told, with what befell the job
        befell = ", ".join(f"{failure} at effect {number}" for number, failure in trial.failures)
        return Verdict(trial, f"{trial.site}: {befell} ({trial.cell})\n{traceback.format_exc()}")
    return Verdict(trial, "")


def singles(site: Site, effects: Sequence[Effect], begin: int, *, every: bool, turn: int) -> Iterator[Trial]:
    """One failure per job. Of similar effects the sample takes the first, the middle or the last, by turns.

    Of the large jobs, which are alike, each takes its share: the `turn`s cover every cell and failure.
    """
    shares = 1 if every or site.documents == 1 else len(SITES) * (len(SIZES) - 1)
    count = itertools.count()
    for cell, numbers in sorted(cells_of(effects, begin).items()):
        failures = sorted(
            {failure for number in numbers for failure in applicable(effects[number])}, key=list(Failure).index
        )
        for failure in failures:
            fit = [number for number in numbers if failure in applicable(effects[number])]
            place = next(count)
            whole = every or (site.documents == 1 and site.database == "sqlite" and cell.kind not in LOOKS)
            chosen = fit if whole else [fit[(0, len(fit) // 2, -1)[place % 3]]]
            if place % shares == turn % shares:
                yield from (Trial(site, cell, ((number, failure),)) for number in chosen)


def pairs(site: Site, effects: Sequence[Effect], begin: int) -> Iterator[Trial]:
    """Killed, and killed again during the recovery: at each kind of effect, and some effects later."""
    for turn, (cell, numbers) in enumerate(sorted(cells_of(effects, begin).items())):
        if cell.kind not in LOOKS:
            for later in NEXT_DEATHS[turn % 2 :: 2]:
                yield Trial(site, cell, ((numbers[0], Failure.KILLED), (numbers[0] + later, Failure.KILLED)))


def planned(sites: Iterable[Site], pool: Callable[..., Iterable[object]], *, every: bool) -> list[Trial]:
    """All trials of these sites."""
    trials: list[Trial] = []
    for found in pool(undisturbed, sites):
        assert isinstance(found, tuple)
        site, effects, begin = found
        turn = SIZES.index(site.documents) + (len(SIZES) - 1) * SITES.index((site.database, site.blobs))
        trials += singles(site, effects, begin, every=every, turn=turn)
        if site.documents == 1:
            trials += pairs(site, effects, begin)
    return sorted(trials, key=lambda trial: -trial.site.documents)  # the long ones first, so that all end together


def report(trials: Sequence[Trial], seconds: float, *, every: bool) -> None:
    """The table: how often each kind of effect was dealt each failure."""
    tried = Counter((trial.cell, trial.failures[0][1]) for trial in trials if len(trial.failures) == 1)
    doubled = sum(len(trial.failures) == 2 for trial in trials)
    rows: Counter[tuple[Kind, str]] = Counter()
    table: Counter[tuple[Kind, str, Failure]] = Counter()
    for (cell, failure), count in tried.items():
        rows[cell.kind, cell.what] += count
        table[cell.kind, cell.what, failure] += count
    print(f"{'effect':<24}" + "".join(f"{failure:>15}" for failure in Failure) + f"{'all':>8}")
    for kind, what in sorted(rows):
        counts = [table[kind, what, failure] for failure in Failure]
        print(f"{kind + ' ' + what:<24}" + "".join(f"{count or '·':>15}" for count in counts) + f"{sum(counts):>8}")
    print(
        f"{tried.total()} jobs with one failure ({len({cell for cell, _ in tried})} kinds of effect by their place, "
        f"{len(tried)} with their failures), {doubled} with a second death during the recovery, in {seconds:.0f} s"
    )
    if not every:
        print(
            "A sample: of one document every effect meets each failure on SQLite (looks into folder and archive "
            "by one in each place); on PostgreSQL, and with 99, 100 and 101, which share the failures among them and "
            "among the sites, one of alike effects after the same call: the first, the middle or the last, in "
            "turn. `make crash EVERY=1` leaves none out."
        )


def chosen_sites(only: str | None, sizes: Sequence[int]) -> list[Site]:
    """The sites to try; PostgreSQL's are left out, loudly, where there is no server."""
    found = [Site(database, blobs, size) for database, blobs in SITES for size in sizes]
    if postgres.binaries() is None:
        print(f"*** {postgres.MISSING} ***")
        found = [site for site in found if site.database == "sqlite"]
    return [site for site in found if only is None or only == f"{site.database}/{site.blobs}"]


def main() -> int:
    """0 where every job came home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", action="store_true", help="no sampling")
    parser.add_argument("--site", help="one of " + ", ".join("/".join(site) for site in SITES))
    parser.add_argument("--documents", type=int, action="append", help="only jobs of so many")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    begun = shown = time.monotonic()
    failed: list[Verdict] = []
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        sites = chosen_sites(options.site, options.documents or SIZES)
        trials = planned(sites, pool.imap_unordered, every=options.every)
        print(f"{len(trials)} jobs on {len(sites)} sites", flush=True)
        for number, verdict in enumerate(pool.imap_unordered(survive, trials, chunksize=4), start=1):
            if verdict.trouble:
                failed.append(verdict)
                print(verdict.trouble, file=sys.stderr, flush=True)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"… {number} of {len(trials)} jobs, {len(failed)} failed", flush=True)
    report(trials, time.monotonic() - begun, every=options.every)
    if failed:
        print(f"*** {len(failed)} jobs did not come home ***")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
