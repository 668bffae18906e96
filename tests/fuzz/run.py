"""`make fuzz SECONDS=N`: run every target with atheris's mutations of its seeds, for N seconds in total.

Each target runs in its own process. An input may take 2 seconds of work and 256 MiB beyond the program's needs. An
input that exceeds this, or raises an error that is not the project's own, is written to a folder outside the
repository, and the command that repeats it is printed. Without atheris, Hypothesis mutates the seeds.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS, Target, target_named

ROOT = Path(__file__).parents[2]
SIDE_BY_SIDE = 2
MOST_SECONDS = 2.0
MOST_BYTES = 256 << 20
LONGEST_INPUT = 65_536
FOLLOWED = (
    "easytracking_sync.remote",
    "easytracking_sync.invoices",
    "easytracking_sync.settings",
    "easytracking_sync.app.schedule",
)
FOUND = 77
"""The exit code of a target with a finding; libFuzzer's own for an escaped error."""


class TooSlowError(BaseException):
    """An input exceeded its time limit. No code of the program catches it."""


def within_bounds(target: Target, seconds: float = MOST_SECONDS) -> Target:
    """The target, stopped if an input takes too long. Memory is limited for the whole process."""

    def expire(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {seconds} seconds of work")

    signal.signal(signal.SIGVTALRM, expire)

    def bounded(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            target(bytes(data))
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    return bounded


def bound_memory() -> None:
    """Limit how much more memory this process may allocate."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def show(name: str, path: Path) -> int:
    """Run one input again and show the traceback of an escaped error."""
    target = within_bounds(target_named(name))
    data = path.read_bytes()
    bound_memory()
    target(data)
    sys.stdout.write(f"{name}: {path} is taken or refused as it should be\n")
    return 0


def fuzz(name: str, seconds: float, folder: Path) -> int:
    """Fuzz this target in this process for so many seconds; write findings to the folder."""
    try:
        import atheris  # noqa: PLC0415  an optional extra
    except ImportError:
        return spoil(name, seconds, folder)
    with atheris.instrument_imports(include=list(FOLLOWED), enable_loader_override=False):
        target = within_bounds(target_named(name))
    corpus = _planted(name, folder)
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-artifact_prefix={folder}/{name}-",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={round(10 * MOST_SECONDS)}",
        "-rss_limit_mb=0",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([name, *options, str(corpus)], target)
    bound_memory()
    atheris.Fuzz()
    return 0


def _planted(name: str, folder: Path) -> Path:
    corpus = folder / f"corpus-{name}"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[name]()):
        (corpus / f"seed-{number}").write_bytes(seed)
    return corpus


def spoil(name: str, seconds: float, folder: Path) -> int:
    """The same with Hypothesis alone: mutated seeds without coverage guidance."""
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415
    from tests.fuzz.mutations import spoilt  # noqa: PLC0415

    target, until, count = within_bounds(target_named(name)), time.monotonic() + seconds, 0
    bound_memory()

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(SEEDS[name]()))
    def meet(data: bytes) -> None:
        nonlocal count
        count += 1
        try:
            target(data)
        except BaseException:
            (folder / f"{name}-crash").write_bytes(data)
            raise

    try:
        while time.monotonic() < until:
            meet()
    except (Exception, TooSlowError) as error:  # noqa: BLE001  whatever escapes is what was sought
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return FOUND
    sys.stderr.write(f"stat::number_of_executed_units: {count}\n")
    return 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a target's process ended."""

    name: str
    code: int
    said: str
    inputs: int


def spend(name: str, seconds: float, folder: Path) -> Ended:
    """Run one target's process to its end."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--target", name, "--for", str(seconds), "--into", str(folder)]
    patience = 3 * seconds + 120
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},  # libFuzzer ends its process without cleaning up
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        try:
            said, _ = child.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            child.kill()
            said, _ = child.communicate()
    text = said.decode("utf-8", "replace")
    count = re.search(r"number_of_executed_units:\s*([0-9]+)", text)
    return Ended(name, child.returncode, text, int(count[1]) if count else 0)


def campaign(seconds: float, names: Sequence[str]) -> int:
    """Run all targets, two at a time; print the table and how to repeat each finding."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    each = seconds * SIDE_BY_SIDE / max(len(names), SIDE_BY_SIDE)
    begun = time.monotonic()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        ends = list(pool.map(lambda name: spend(name, each, folder), names))
    for ended in ends:
        verdict = "holds" if ended.code == 0 else f"*** ended with {ended.code} ***"
        sys.stdout.write(f"{ended.name:15} {ended.inputs:>9,} inputs  {verdict}\n")
    for ended in ends:
        if ended.code:
            sys.stdout.write(f"\n--- {ended.name} ---\n{ended.said[-6000:]}\n")
            for finding in sorted(folder.glob(f"{ended.name}-*")):
                sys.stdout.write(
                    f"see it again: {sys.executable} -m tests.fuzz.run --target {ended.name} --input {finding}\n"
                )
    total = sum(ended.inputs for ended in ends)
    how = (
        "by atheris" if _has_atheris() else "by Hypothesis alone: atheris is not here (make env installs it on Linux)"
    )
    sys.stdout.write(f"\n{total:,} inputs in {time.monotonic() - begun:.0f} s, {how}\n")
    if any(ended.code for ended in ends):
        return 1
    shutil.rmtree(folder)
    return 0


def _has_atheris() -> bool:
    with suppress(ImportError):
        import atheris  # noqa: F401, PLC0415

        return True
    return False


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Hostile input, for so many seconds in all.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--input", type=Path, help="show what this file does to the target")
    parser.add_argument("--for", dest="alone", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.target and chosen.input:
        return show(chosen.target, chosen.input)
    if chosen.target and chosen.into:
        return fuzz(chosen.target, chosen.alone, chosen.into)
    return campaign(chosen.seconds, [chosen.target] if chosen.target else list(TARGETS))


if __name__ == "__main__":
    sys.exit(main())
