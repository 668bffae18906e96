"""`make mutants`: seed each defect into a copy of the program, and see its tests fail. `--only ID` tries some.

The named tests must pass on an unchanged copy first. A mutant counts as caught when one of its tests ran and failed,
with the words the mutant asks for; a copy that cannot be imported, or runs out of time, proves nothing. Exits with 1
if a mutant survives, with 2 if the tests themselves are in trouble.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Mutant

SIDE_BY_SIDE = 2
MOST_SECONDS = 90
TRAVELLING = ("daemon", "migrations", "config")
PROVES_NOTHING = re.compile(r"\b(NameError|ImportError|ModuleNotFoundError|SyntaxError|UnboundLocalError)\b")
FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)
NURSERY = multiprocessing.get_context("forkserver")

OPTIONS = (
    "-x",
    "-rf",
    "--no-header",
    "--tb=short",
    "--assert=plain",  # to rewrite the tests takes longer than to run them
    "--hypothesis-seed=0",
    *("-p", "no:xdist", "-p", "no:anyio"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
PRELOADED = (
    "pytest",
    "hypothesis.strategies",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql",
    "alembic.command",
    "apscheduler.schedulers.background",
    "backports.zstd",
    "click",
    "cryptography.x509",
    "httpx",
    "lxml.etree",
    "msgspec",
    "psycopg",
    "pydantic_settings",
    "rich.progress",
    "structlog",
    "xml.etree.ElementTree",
)
"""Other people's modules, loaded once and shared by every run: to load them takes longer than most tests."""


@dataclass(frozen=True, slots=True)
class Run:
    """How pytest ended. `code` is None where it ran out of time."""

    code: int | None
    said: str
    seconds: float

    @property
    def failed(self) -> list[str]:
        """The tests that ran and failed."""
        return FAILED.findall(self.said)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: `caught_by` is empty where it survives, and `why` says what happened instead."""

    mutant: Mutant
    caught_by: str
    why: str
    seconds: float


def copy(source: Path, target: Path) -> None:
    """A tree of the program, its files' times included: what was compiled stays so."""
    for folder in TRAVELLING:
        shutil.copytree(source / folder, target / folder)


def examine(tree: Path, module: str, tests: Sequence[str], said: Path) -> None:
    """In a process of its own: these tests over the program in `tree`. An editable install must not win over it."""
    os.setsid()
    with said.open("w", encoding="utf-8") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.chdir(ROOT)
    os.environ |= {
        "PYTHONPATH": str(tree / "daemon"),
        "PYTEST_DEBUG_TEMPROOT": str(tree),
    }
    sys.path.insert(0, str(tree / "daemon"))
    settings.register_profile("hasty", phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile("hasty")  # the tests' own profile builds on it: no example need be made small
    found = str(importlib.import_module(module).__file__)
    if not found.startswith(str(tree)):
        sys.exit(f"{module} came from {found}, not from {tree}")
    code = pytest.main([*OPTIONS, *tests])
    sys.stdout.flush()
    os._exit(code)  # whatever threads a defect has left behind


def run(tree: Path, module: str, tests: Sequence[str], seconds: float = MOST_SECONDS) -> Run:
    """These tests over the program in `tree`, which must be where `module` is found."""
    said = tree.with_suffix(f".{abs(hash(tuple(tests)))}.txt")
    begun = time.monotonic()
    child = NURSERY.Process(target=examine, args=(tree, module, tests, said))
    child.start()
    child.join(seconds)
    code = child.exitcode
    if code is None:
        assert child.pid is not None
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    return Run(code, said.read_text(encoding="utf-8"), time.monotonic() - begun)


def judge(mutant: Mutant, ended: Run) -> Verdict:
    """Whether the mutant was caught, and by which test."""
    why = ""
    if ended.code is None:
        why = "out of time"
    elif ended.code == 0:
        why = "SURVIVES"
    elif ended.code != 1 or not ended.failed:
        why = f"pytest ended with {ended.code} and no failed test"
    elif found := PROVES_NOTHING.search(ended.said):
        why = f"{found[0]}: the defect is not one that could be made"
    elif not re.search(mutant.says, ended.said):
        why = f"failed, but said nothing of {mutant.says}"
    return Verdict(mutant, "" if why else ended.failed[0], why, ended.seconds)


def trial(mutant: Mutant, sound: Path, workshop: Path, *, verbose: bool) -> Verdict:
    """Seed one defect, run its tests, take the copy away."""
    tree = workshop / mutant.id
    copy(sound, tree)
    try:
        for edit in mutant.edits:
            path = tree / edit.path
            path.write_text(edit.applied(path.read_text(encoding="utf-8")), encoding="utf-8")
        ended = run(tree, mutant.module, mutant.caught_by)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    verdict = judge(mutant, ended)
    if verbose or verdict.why:
        sys.stderr.write(f"--- {mutant.id} ---\n{ended.said}\n")
    return verdict


def halves(mutants: Sequence[Mutant]) -> list[list[str]]:
    """All named tests, each once, in as many groups as there are places; a module's tests stay together."""
    by_file: dict[str, list[str]] = {}
    for node in dict.fromkeys(node for mutant in mutants for node in mutant.caught_by):
        by_file.setdefault(node.partition("::")[0], []).append(node)
    groups: list[list[str]] = [[] for _ in range(SIDE_BY_SIDE)]
    for nodes in sorted(by_file.values(), key=len, reverse=True):
        min(groups, key=len).extend(nodes)
    return [group for group in groups if group]


def tests_hold(mutants: Sequence[Mutant], sound: Path, pool: ThreadPoolExecutor) -> bool:
    """Whether every named test passes where nothing was changed."""
    ends = list(pool.map(lambda group: run(sound, "easytracking_sync", group, 4 * MOST_SECONDS), halves(mutants)))
    for ended in ends:
        if ended.code != 0:
            sys.stderr.write(f"{ended.said}\nthe tests must pass before anything is changed\n")
    return all(ended.code == 0 for ended in ends)


def table(verdicts: Sequence[Verdict]) -> str:
    """One line a mutant: its id, the defect, the test that caught it, and how long that took."""
    lines = []
    for verdict in verdicts:
        caught = verdict.caught_by.removeprefix("tests/") or f"*** {verdict.why} ***"
        lines.append(f"{verdict.mutant.id:34} {verdict.mutant.defect:76} {caught}  {verdict.seconds:.1f} s")
    return "\n".join(lines)


def main() -> int:
    """Try the mutants; see the module."""
    parser = argparse.ArgumentParser(description="Seed defects; each must be caught by its tests.")
    parser.add_argument("--only", nargs="+", metavar="ID", help="try these alone, and show what their tests say")
    wanted = parser.parse_args().only
    mutants = [mutant for mutant in MUTANTS if not wanted or mutant.id in wanted]
    NURSERY.set_forkserver_preload(list(PRELOADED))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        workshop = Path(name).resolve()
        sound = workshop / "sound"
        copy(ROOT, sound)
        compileall.compile_dir(sound / "daemon", quiet=1)  # once for all: only what is changed is compiled again
        if not tests_hold(mutants, sound, pool):
            return 2
        held = time.monotonic() - begun
        verdicts = list(pool.map(lambda one: trial(one, sound, workshop, verbose=bool(wanted)), mutants))
    survivors = [verdict for verdict in verdicts if verdict.why]
    sys.stdout.write(f"{table(verdicts)}\n\n")
    sys.stdout.write(
        f"{len(verdicts)} mutants, {len(verdicts) - len(survivors)} caught, {len(survivors)} not; "
        f"their tests pass unchanged in {held:.0f} s; {time.monotonic() - begun:.0f} s in all\n"
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
