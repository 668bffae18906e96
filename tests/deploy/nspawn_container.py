"""A booted system in a container of systemd-nspawn, which shares this machine's network."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.deploy.environment import BARE, Done, Failed, Impossible, eventually, run, step

UNIT = "easytracking-sync"


class Machine:
    """A booted system."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(self, *command: str | Path, check: bool = True, seconds: float = 300, **env: str) -> Done:
        """Run a command in the machine, with a minimal environment."""
        prefix = ("nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "--")
        return run(*prefix, *command, check=check, seconds=seconds, env={**BARE, "HOME": "/root", **env}, cwd="/")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file as root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def show(self, prop: str, unit: str = UNIT) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", prop, unit).stdout.strip()

    def journal(self, unit: str = UNIT) -> str:
        """Return the unit's log since the boot."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout


@contextlib.contextmanager
def booted(root: Path, binds: dict[Path, str]) -> Iterator[Machine]:
    """Boot a system on this root, and power it off at the end."""
    if not Path("/run/systemd").is_mount():
        Path("/run/systemd").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/systemd")
    name = f"easytracking-{os.getpid()}"
    bound = [f"--bind-ro={source}:{target}" for source, target in binds.items()]
    nspawn = subprocess.Popen(
        ["systemd-nspawn", "-q", "-D", root, "--boot", "--register=no", "--keep-unit", f"--machine={name}", *bound],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    machine = None
    try:
        eventually(lambda: nspawn.poll() is not None or children.read_text().split(), "systemd-nspawn starts")
        if nspawn.poll() is not None:
            raise Impossible("systemd-nspawn cannot run here")
        machine = Machine(root, int(children.read_text().split()[0]))
        up = ("running", "degraded")
        try:
            eventually(lambda: machine.run("systemctl", "is-system-running", check=False).stdout.strip() in up, "up")
        except Failed as failure:
            raise Impossible("systemd does not boot in a container here") from failure
        yield machine
    finally:
        if machine is not None and nspawn.poll() is None:
            step("powering off")
            machine.run("systemctl", "poweroff", check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            nspawn.wait(40)
        if nspawn.poll() is None:
            os.killpg(nspawn.pid, signal.SIGKILL)
            nspawn.wait(10)
