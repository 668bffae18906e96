"""Builds and runs the image: read-only, without root or capabilities, on SQLite and PostgreSQL; no document is lost.

Run it with `make test-container`. It needs root, and installs missing tools with apt (buildah, podman, runc,
debootstrap). It needs no registry: a bare Debian replaces the base image.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from tests.deploy.environment import (  # noqa: E402  the path is set above
    BARE,
    Done,
    Failed,
    Impossible,
    bare_debian,
    committed,
    eventually,
    expect,
    expect_all_stored,
    kept_folder,
    main,
    need,
    need_root,
    python_of,
    run,
    service,
    step,
    wheelhouse,
)
from tests.support import postgres  # noqa: E402

from easytracking_simulator import Simulator  # noqa: E402

IMAGE = "localhost/easytracking-sync:test"
BASE = "localhost/easytracking-base:test"
USER = 10001
PORT = 18464
LEAST_PRIVILEGE = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--network", "host"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
)


class Engine:
    """podman with its own store, which is removed afterwards."""

    def __init__(self, store: Path) -> None:
        self._store = (
            "--root",
            str(store / "images"),
            "--runroot",
            str(store / "run"),
            "--storage-driver",
            "overlay",
        )
        if self.podman("info", check=False).returncode:  # vfs copies the whole image for each container
            self._store = (*self._store[:-1], "vfs")

    def podman(self, *arguments: str | Path, check: bool = True, seconds: float = 300, given: str = "") -> Done:
        options = (*self._store, "--runtime", "runc", "--cgroup-manager", "cgroupfs")
        return run("podman", *options, *arguments, check=check, seconds=seconds, given=given)

    def build(self, source: Path, wheels: Path, work: Path) -> None:
        """Build the Dockerfile with packages from a folder instead of an index."""
        pip = work / "pip.conf"
        pip.write_text("[global]\nno-index = true\nfind-links = /wheels\ndisable-pip-version-check = true\n")
        run(
            *("buildah", *self._store, "bud", "--isolation", "chroot", "--format", "docker", "--layers=false"),
            *("-v", f"{wheels}:/wheels:ro", "-v", f"{pip}:/etc/pip.conf:ro"),
            *("--build-arg", f"BASE={BASE}", "-t", IMAGE, "-f", source / "Dockerfile", source),
            seconds=600,
        )


class Trial:
    """One archive in containers, with one simulated service."""

    def __init__(self, engine: Engine, simulator: Simulator, url: str, folder: Path, *, database: str = "") -> None:
        self._engine = engine
        self.simulator = simulator
        self.data = folder / "data"
        secrets = folder / "secrets"
        for made in (self.data, secrets):
            made.mkdir(parents=True)
        os.chown(self.data, USER, USER)
        self.data.chmod(0o700)
        environ = {"EASYTRACKING_SECRETS_DIR": "/run/secrets", "EASYTRACKING_HTTP__LISTEN": f"127.0.0.1:{PORT}"}
        environ |= {"EASYTRACKING_STORAGE__MIN_FREE_BYTES": "0", "EASYTRACKING_SYNC__EVERY": "2s"}
        if database:
            (secrets / "database__url").write_text(database)
        for account in simulator.accounts:
            prefix = f"EASYTRACKING_ACCOUNTS__{account.username.upper()}__"
            environ |= {f"{prefix}BASE_URL": url, f"{prefix}AUTH_BASE_URL": url}
            environ |= {f"{prefix}USERNAME": account.username, f"{prefix}HISTORY_FROM": "2020-01-01"}
            (secrets / f"accounts__{account.username}__password").write_text(account.password)
        self._options = [
            *LEAST_PRIVILEGE,
            *("-v", f"{self.data}:/data", "-v", f"{secrets}:/run/secrets:ro"),
            *(part for name, value in environ.items() for part in ("-e", f"{name}={value}")),
        ]

    def mount(self, folder: Path) -> None:
        self._options += ["-v", f"{folder}:{folder}"]

    def command(self, *arguments: str, check: bool = True) -> Done:
        """Run one command of the program in a new container."""
        return self._engine.podman("run", "--rm", *self._options, IMAGE, *arguments, check=check)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Run the service in the background; then check that SIGTERM stops it in time, with exit code 0."""
        name = self._engine.podman("run", "-d", *self._options, IMAGE).stdout.strip()
        try:
            yield name
            begun = time.monotonic()
            self._engine.podman("stop", "--time", "15", name)
            took = time.monotonic() - begun
            code = self._engine.podman("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip()
            expect((code, took < 12) == ("0", True), f"SIGTERM: exit code {code} after {took:.1f} s")
            step(f"SIGTERM: stopped after {took:.1f} s with exit code 0")
        except Failed:
            print(self._engine.podman("logs", "--tail", "60", name, check=False).stderr, flush=True)
            raise
        finally:
            self._engine.podman("rm", "--force", name, check=False)

    def is_healthy(self, name: str) -> bool:
        """Run the image's health check."""
        return self._engine.podman("healthcheck", "run", name, check=False).returncode == 0

    def is_acknowledged(self) -> bool:
        return self.simulator.marked() == frozenset(self.simulator.ids())

    def add_documents(self, count: int) -> None:
        for number in range(count):
            self.simulator.add_document(f"demo{number % 2 + 1}")

    def expect_stored(self) -> None:
        result = self.command("invoices", "list", "--json").stdout
        expect_all_stored(self.simulator, [json.loads(line) for line in result.splitlines()])
        others = [path for path in self.data.rglob("*") if path.lstat().st_uid != USER]
        expect(not others, f"files of other users: {others}")
        step(f"{len(self.simulator.ids())} documents are stored, byte for byte")

    def go(self) -> None:
        step("check and catch-up")
        self.command("check")
        self.command("catch-up", "--deadline", "120")
        self.expect_stored()
        step("run, health check, SIGTERM while it fetches documents")
        self.add_documents(20)
        with self.running() as name:
            eventually(self.is_acknowledged, "new documents are acknowledged")
            eventually(lambda: self.is_healthy(name), "it is healthy", 30)
            seen = len(self.simulator.marked())
            self.add_documents(60)
            eventually(lambda: len(self.simulator.marked()) > seen, "it fetches documents", pause=0.05)
        self.command("catch-up", "--deadline", "120")
        self.expect_stored()


def import_base(engine: Engine, base: Path) -> None:
    step("a bare Debian as the base image")
    archive = base.with_suffix(".tar")
    run("tar", "-C", base, "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*", "-cf", archive, ".")
    engine.podman("import", archive, BASE)
    archive.unlink()


def look_at(engine: Engine) -> None:
    """Check the image's metadata and print its version and size."""
    result = json.loads(engine.podman("inspect", IMAGE).stdout)[0]
    expect(result["Config"]["User"] == f"{USER}:{USER}", "the image runs as another user")
    expect("/data" in result["Config"]["Volumes"], "the image has no volume")
    expect(result.get("HealthCheck") or result.get("Healthcheck"), "the image has no health check")
    version = engine.podman("run", "--rm", *LEAST_PRIVILEGE, IMAGE, "version").stdout.splitlines()[0]
    size = int(result["Size"]) // 1_000_000
    step(f"{version}: image of {size} MB, including the replaced base")


def test() -> None:
    """Run the whole test."""
    need_root()
    need({"buildah": "buildah", "podman": "podman", "runc": "runc"})
    with tempfile.TemporaryDirectory(prefix="easytracking-container-", dir="/var/tmp") as temporary:
        work = Path(temporary)
        kept = kept_folder(work)
        base = bare_debian(kept / "base")
        wheels = wheelhouse(kept / "wheels", python_of(base))
        source = committed(work / "source")
        engine = Engine(work / "store")
        try:
            import_base(engine, base)
            if engine.podman("run", "--rm", *LEAST_PRIVILEGE, BASE, "/bin/true", check=False).returncode:
                raise Impossible("podman cannot run a container here")
            step("building the image")
            engine.build(source, wheels, work)
            look_at(engine)
            with service(150) as (simulator, url):
                step("SQLite")
                Trial(engine, simulator, url, work / "sqlite").go()
            over_postgresql(engine, work / "postgresql")
        finally:
            engine.podman("rm", "--all", "--force", check=False)
            engine.podman("system", "reset", "--force", check=False)
            shutil.rmtree(work / "store", ignore_errors=True)


def over_postgresql(engine: Engine, folder: Path) -> None:
    if postgres.binaries() is None:
        print(f"*** {postgres.MISSING} ***", flush=True)
        return
    step("PostgreSQL")
    server = postgres.Server()
    try:
        server.start()
        server.folder.chmod(0o711)
        with server.database() as name, service(150, seed=2) as (simulator, url):
            trial = Trial(engine, simulator, url, folder, database=server.url(name))
            trial.mount(server.folder)
            trial.go()
    finally:
        server.remove()


if __name__ == "__main__":
    os.environ.setdefault("PATH", BARE["PATH"])
    main(test, "the real-container test")
