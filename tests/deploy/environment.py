"""The environment of the real-systemd and real-container tests: tools, a bare Debian, packages, a simulated service.

Both tests are scripts, because they need root, tools of the distribution, and minutes. If a tool cannot be installed,
they print a warning that they were not run, and exit with 0.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from easytracking_simulator import Options, Simulator
from easytracking_simulator.server import serve
from easytracking_simulator.simulator import TrueDocument

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,procps"
PATIENCE_SECONDS = 120.0
BARE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

Done = subprocess.CompletedProcess[str]


class Impossible(Exception):
    """This machine cannot run the test."""


class Failed(Exception):
    """The test failed; the message says what was expected and what was found."""


def step(text: str) -> None:
    """Print the current step."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


STARTED = time.monotonic()


def run(*command: str | Path, check: bool = True, seconds: float = 300, given: str = "", **more: object) -> Done:
    """Run a command. Raises Failed with its output if it fails, unless `check` is false."""
    result = subprocess.run(
        [str(part) for part in command],
        check=False,
        text=True,
        input=given,
        capture_output=True,
        timeout=seconds,
        **more,  # type: ignore[call-overload]
    )
    assert isinstance(result, subprocess.CompletedProcess)
    if check and result.returncode:
        shown = " ".join(str(part) for part in command)
        raise Failed(f"exit code {result.returncode} of: {shown}\n{result.stdout[-6000:]}{result.stderr[-6000:]}")
    return result


def expect(truth: object, text: str) -> None:
    """Raise Failed unless `truth` is true."""
    if not truth:
        raise Failed(text)


def eventually(true: Callable[[], object], text: str, seconds: float = PATIENCE_SECONDS, pause: float = 0.5) -> None:
    """Wait until it is true. Raises Failed if it is not in time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise Failed(f"it did not happen within {seconds:g} s: {text}")
        time.sleep(pause)


def need_root() -> None:
    """Raise Impossible unless the user is root, who can mount file systems and build images."""
    if os.getuid() != 0:
        raise Impossible("root is required")


def need(tools: dict[str, str]) -> None:
    """Install missing tools (program → Debian package). Raises Impossible if that fails."""
    missing = sorted({package for program, package in tools.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Impossible(f"{', '.join(missing)} not installed, and there is no apt-get")
    step(f"installing {', '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), ("install", "-y", "--no-install-recommends", *missing)):
        result = run("apt-get", "-qq", *command, check=False, seconds=400, env=quiet)
    if result.returncode or any(shutil.which(program) is None for program in tools):
        raise Impossible(f"{', '.join(missing)} cannot be installed: {result.stderr.strip().splitlines()[-1:]}")


def bare_debian(base: Path) -> Path:
    """Create a minimal Debian with systemd and Python in `base`, unless it exists."""
    if (base / "usr/bin/python3").exists():
        return base
    need({"debootstrap": "debootstrap"})
    step(f"creating a bare Debian ({SUITE}) in {base}")
    made = base.with_name(f"{base.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    result = run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, made, check=False, seconds=400)
    if result.returncode:
        shutil.rmtree(made, ignore_errors=True)
        raise Impossible(f"debootstrap failed: {(result.stdout + result.stderr)[-2000:]}")
    made.rename(base)
    return base


def wheelhouse(folder: Path, python: str) -> Path:
    """Download the pinned packages for this Python ("3.11") with this machine's pip, so that the bare Debian needs no
    package index."""
    step("downloading the pinned packages")
    folder.mkdir(parents=True, exist_ok=True)
    for number, chosen in enumerate((("--extra", "postgresql", "--extra", "alerts"), ("--package", "hatchling"))):
        pins = folder / f"pins-{number}.txt"
        text = run(sys.executable, ROOT / "deploy/pins.py", *chosen).stdout
        if pins.exists() and pins.read_text(encoding="utf-8") == text:
            continue
        arguments = ("--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version", python)
        result = run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *(*arguments, "--dest", folder, "-r", "/dev/stdin"),
            check=False,
            seconds=400,
            given=text,
        )
        if result.returncode:
            raise Impossible(f"the pinned packages cannot be downloaded: {result.stderr[-2000:]}")
        pins.write_text(text, encoding="utf-8")
    return folder


def python_of(root: Path) -> str:
    """Return the version of its Python, like "3.11"."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


def kept_folder(work: Path) -> Path:
    """Return the folder of the bare Debian and the packages: the one named by EASYTRACKING_TEST_KEPT, which the next
    test can use too, or `work`, which this test removes."""
    kept = Path(os.environ.get("EASYTRACKING_TEST_KEPT") or work)
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def committed(folder: Path) -> Path:
    """Export the committed files, as a release does. Without a checkout, copy the folder."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        folder.mkdir()
        archive = folder.with_suffix(".tar")
        run("git", "-C", ROOT, "archive", "--format=tar", f"--output={archive}", "HEAD")
        run("tar", "-C", folder, "-xf", archive)
        return folder
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"), symlinks=True)
    return folder


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the project's wheel."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (found,) = folder.glob("easytracking_sync-*.whl")
    return found


class WallClock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@contextlib.contextmanager
def service(documents: int, **options: object) -> Iterator[tuple[Simulator, str]]:
    """Run a simulated service on loopback, with two accounts that share `documents` documents."""
    chosen = {"documents": documents, "accounts": 2, "history_days": 300, "job_seconds": 0.5, "p7m_share": 0.0}
    simulator = Simulator(Options(**{**chosen, **options}), WallClock())  # type: ignore[arg-type]
    with serve(simulator) as url:
        yield simulator, url


def expect_all_stored(simulator: Simulator, lines: Sequence[dict[str, object]]) -> None:
    """Check that `lines` (of `invoices list --json`) contain every document, acknowledged, byte for byte."""
    truth: dict[tuple[object, object], TrueDocument] = {(one.account, one.id): one for one in simulator.truth()}
    found = {(line["account"], line["doc_id"]): line for line in lines}
    expect(set(found) == set(truth), f"{len(truth)} documents at the service, {len(found)} in the archive")
    for key, line in found.items():
        expect(line["state"] == "acknowledged", f"{key} is {line['state']}")
        files = line["files"]
        assert isinstance(files, list)
        have = {(file["type"], file["size"], file["sha256"]) for file in files}
        want = {(file.type, file.size, file.sha256) for file in truth[key].files if file.type != "FI"}
        expect(have == want, f"{key}: {have} instead of {want}")
    expect(simulator.marked() == frozenset(simulator.ids()), "not every document is marked at the service")


def main(test: Callable[[], None], name: str) -> None:
    """Run a test as a script: exit with 1 if it fails; print a warning if it cannot run."""
    try:
        test()
    except Impossible as reason:
        print(f"*** {name} WAS NOT RUN: {reason} ***", flush=True)
    except Failed as failure:
        print(f"*** {name} FAILED: {failure} ***", flush=True)
        sys.exit(1)
    else:
        step(f"{name}: passed")
