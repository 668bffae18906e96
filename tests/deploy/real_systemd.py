"""Tests the installation in a booted systemd: install, start, kill, hang, reload, upgrade, stop; no document is lost.

Run it with `make test-systemd`. It needs root, and installs missing tools with apt (systemd-container, debootstrap).
It boots a bare Debian in a container that shares this machine's loopback, where the simulated service listens.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from tests.deploy.environment import (  # noqa: E402
    Done,
    bare_debian,
    build_wheel,
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
from tests.deploy.nspawn_container import UNIT, Machine, booted  # noqa: E402  the path is set above

from easytracking_simulator import Fault, Kind, Simulator  # noqa: E402

STATE = "/var/lib/easytracking-sync"
ETC = "/etc/easytracking-sync"
QUICK = "[Service]\nRestartSec=1s\nWatchdogSec=10s\n"
HUNG = f"[Service]\nExecStart=\nExecStart=/opt/easytracking-sync/venv/bin/{UNIT} run --hang-after 3\n"
SCORE = 11
"""Exposure times ten."""


class Trial:
    """The steps of the test, with one machine and one simulated service."""

    def __init__(self, machine: Machine, simulator: Simulator, url: str) -> None:
        self.machine = machine
        self.simulator = simulator
        self.url = url

    def install(self, *arguments: str, check: bool = True) -> Done:
        """Run install.sh as an administrator does, with packages from a folder."""
        script = ("sh", "/src/deploy/systemd/install.sh", *arguments)
        return self.machine.run(*script, check=check, PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels")

    def command(self, *arguments: str, check: bool = True) -> Done:
        """Run the program from root's shell."""
        return self.machine.run("/usr/local/bin/easytracking-sync", *arguments, check=check)

    def configure(self, **sync: str) -> None:
        keys = {"every": '"2s"', "poll_first_seconds": "0.1", "retry_base_seconds": "0.1", "retry_cap_seconds": "2"}
        lines = [f"{key} = {value}" for key, value in {**keys, **sync}.items()]
        text = "[storage]\nmin_free_bytes = 0\n[sync]\n" + "\n".join(lines) + "\n"
        for account in self.simulator.accounts:
            text += f'[accounts.{account.username}]\nbase_url = "{self.url}"\nauth_base_url = "{self.url}"\n'
            text += f'username = "{account.username}"\nhistory_from = 2020-01-01\n'
        text += f'password_file = "{ETC}/demo2.password"\n'
        (self.machine.root / f"{ETC}/config.toml".lstrip("/")).write_text(text, encoding="utf-8")

    def write_shared(self, password: str) -> None:
        """Write a password file that the service can read at any time."""
        self.machine.write(f"{ETC}/demo2.password", password, 0o640)
        self.machine.run("chgrp", UNIT, f"{ETC}/demo2.password")

    def drop_in(self, text: str) -> None:
        self.machine.write(f"/etc/systemd/system/{UNIT}.service.d/test.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    def restarts(self) -> int:
        return int(self.machine.show("NRestarts"))

    def is_active(self) -> bool:
        return self.machine.show("ActiveState") == "active"

    def all_marked(self) -> bool:
        return self.simulator.marked() == frozenset(self.simulator.ids())

    def add_documents(self, count: int) -> None:
        for number in range(count):
            self.simulator.add_document(f"demo{number % 2 + 1}")

    def in_the_middle(self) -> None:
        """Add 60 documents and return when some of them are acknowledged."""
        seen = len(self.simulator.marked())
        self.add_documents(60)
        eventually(lambda: len(self.simulator.marked()) > seen, "it fetches documents", pause=0.05)

    def is_restarted(self, times: int) -> None:
        eventually(lambda: self.restarts() >= times, "systemd restarts it")

    def first_installation(self) -> None:
        step("install.sh on a bare Debian")
        result = self.install().stdout
        expect("Next:" in result, "install.sh does not print the next steps")
        expect("already" in self.install().stdout, "install.sh builds the same program twice")
        score = self.machine.run(
            "systemd-analyze", "security", f"--threshold={SCORE}", f"{UNIT}.service", check=False
        )
        step(score.stdout.strip().splitlines()[-1].replace("→ ", ""))
        expect(score.returncode == 0, "the exposure is above 1.1")
        passwords = {account.username: account.password for account in self.simulator.accounts}
        self.machine.write(f"{ETC}/credentials/accounts__demo1__password", passwords["demo1"], 0o600)
        self.write_shared(passwords["demo2"])
        self.configure()
        self.command("check")

    def refused_configuration(self) -> None:
        step("systemd does not restart a service with a wrong configuration")
        self.configure(worker="3")
        self.machine.run("systemctl", "start", UNIT, check=False)
        eventually(lambda: self.machine.show("ActiveState") == "failed", "the unit has failed", 20)
        time.sleep(3)
        expect(
            (self.machine.show("ExecMainStatus"), self.restarts()) == ("2", 0), "it was restarted after exit code 2"
        )
        expect("sync.worker" in self.machine.journal(), "the journal does not name the key")
        self.configure()
        self.machine.run("systemctl", "reset-failed", UNIT)

    def ready_after_migration(self) -> None:
        step("the service is ready only after the archive is migrated")
        hold = (
            "import sqlite3, sys, time\n"
            f"c = sqlite3.connect('{STATE}/archive.db', isolation_level=None)\n"
            "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(12)\n"
        )
        account = ("setpriv", "--reuid", UNIT, "--regid", UNIT, "--init-groups")
        self.machine.write("/srv/hold.py", hold)
        self.machine.run("systemd-run", "--quiet", "--unit=hold", *account, "/usr/bin/python3", "/srv/hold.py")
        eventually(lambda: "held" in self.machine.journal("hold"), "the database is held")
        self.machine.run("systemctl", "start", "--no-block", UNIT)
        eventually(
            lambda: "Opening the archive" in self.machine.show("StatusText"), "the status text says what it does", 11
        )
        time.sleep(1)
        expect(self.machine.show("ActiveState") == "activating", "it was ready before the migration")
        eventually(self.is_active, "the service is ready after the migration")
        result = self.machine.run("systemctl", "show", "--value", "-p", "StatusText", UNIT).stdout
        eventually(
            lambda: "2 accounts" in self.machine.show("StatusText"), f"the status text shows the accounts: {result}"
        )

    def killed(self) -> None:
        step("kill -9, three times while it fetches documents")
        for number in range(3):
            eventually(self.is_active, "it is active")
            self.in_the_middle()
            self.machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
            self.is_restarted(number + 1)
        eventually(self.all_marked, "every document is acknowledged after the kills")

    def vendors_outage(self) -> None:
        step("the watchdog ignores an outage of the vendor's service")
        before = self.restarts()
        self.simulator.script("any", Fault(kind=Kind.UNREACHABLE), times=100_000)
        self.simulator.script("token", Fault(kind=Kind.UNREACHABLE), times=100_000)
        self.add_documents(10)
        time.sleep(15)
        self.simulator.clear_faults()
        eventually(self.all_marked, "it resumes after the outage")
        expect(self.restarts() == before, "the watchdog restarted it during the outage")

    def hung(self) -> None:
        step("the watchdog restarts an engine that hangs")
        self.drop_in(QUICK + HUNG)
        self.machine.run("systemctl", "restart", UNIT)
        eventually(lambda: self.restarts() >= 1, "the watchdog restarts it", 60)
        journal = self.machine.journal()
        expect("thread.hung" in journal and "dispatch" in journal, "the journal does not name the thread")
        expect("Watchdog timeout" in journal, "it was not the watchdog")
        expect("most recent call first" in journal, "the journal does not show where it hung")
        self.add_documents(20)
        eventually(self.all_marked, "every document is acknowledged between two hangs")
        self.drop_in(QUICK)
        self.machine.run("systemctl", "restart", UNIT)

    def reloaded(self) -> None:
        step("reload: another password, another schedule, a wrong file")
        self.simulator.set_password("demo2", "another-password")
        self.simulator.revoke_tokens()
        self.add_documents(6)
        paused = '"reason": "credentials"'
        eventually(lambda: paused in self.command("status", "--json").stdout, "demo2 is refused", 60)
        self.write_shared("another-password")
        self.configure(every='"3s"')
        self.machine.run("systemctl", "reload", UNIT)
        eventually(self.all_marked, "the new password is used")
        expect('"accounts": "demo2"' in self.machine.journal(), "the journal does not show the reload")
        self.configure(every='"never"')
        self.machine.run("systemctl", "reload", UNIT)
        eventually(lambda: "settings.refused" in self.machine.journal(), "a wrong configuration is refused")
        expect(self.is_active(), "a wrong configuration stopped the service")
        self.configure()

    def rotated(self) -> None:
        step("a new password in the credentials folder is used automatically, but not while it is written")
        self.simulator.set_password("demo1", "yet-another")
        self.simulator.revoke_tokens()
        secret = f"{ETC}/credentials/accounts__demo1__password"
        started = self.machine.show("ExecMainStartTimestamp")
        self.machine.run("sh", "-c", f": > {secret}; sleep 5; echo yet-another > {secret}")
        eventually(lambda: self.machine.show("ExecMainStartTimestamp") != started, "it is restarted", 30)
        self.add_documents(4)
        eventually(self.all_marked, "the new credential is used")

    def upgraded_over_a_link(self, wheel: str) -> None:
        step("an upgrade does not follow, as root, a link made by the service's user")
        account = ("setpriv", "--reuid", UNIT, "--regid", UNIT, "--init-groups")
        self.machine.run("install", "-d", "-m", "0755", "/srv/of-root")
        self.machine.run(*account, "ln", "-s", "/srv/of-root", f"{STATE}/before-upgrade")
        program = self.machine.run("readlink", "/opt/easytracking-sync/venv").stdout
        result = self.install("--wheel", wheel, check=False)
        expect(result.returncode == 2 and "nothing was changed" in result.stderr, f"it did not stop: {result.stderr}")
        owner = self.machine.run("stat", "-c", "%U %a", "/srv/of-root").stdout.strip()
        expect(owner == "root 755", f"the owner or mode of root's folder changed: {owner}")
        expect(self.machine.run("readlink", "/opt/easytracking-sync/venv").stdout == program, "the program changed")
        self.machine.run("rm", f"{STATE}/before-upgrade")
        eventually(self.is_active, "the service runs again after the failed upgrade")

    def upgraded(self, wheel: str) -> None:
        step("upgrade from a wheel: copy the archive, keep the previous program, roll back")
        self.add_documents(40)
        self.install("--wheel", wheel)
        eventually(self.is_active, "it runs again")
        copies = self.machine.run("ls", f"{STATE}/before-upgrade").stdout.split()
        expect(len(copies) == 1, f"copies before the upgrade: {copies}")
        former = self.machine.run("readlink", "/opt/easytracking-sync/venv").stdout
        self.machine.run("sh", "/src/deploy/systemd/install.sh", "--rollback")
        expect(
            self.machine.run("readlink", "/opt/easytracking-sync/previous").stdout == former,
            "the previous program was not kept",
        )
        expect(self.is_active(), "the previous program does not run")
        step("install.sh rebuilds a venv whose Python is gone")
        self.machine.run("systemctl", "stop", UNIT)
        self.machine.run("sh", "-c", "cd /opt/easytracking-sync/venv/bin; ln -sfn /usr/bin/python3.0 python")
        expect(self.command("version", check=False).returncode != 0, "the venv is not broken")
        self.install("--no-copy", "--wheel", wheel)
        expect(self.command("version").returncode == 0, "the venv was not rebuilt")
        self.machine.run("systemctl", "start", UNIT)

    def by_hand(self) -> None:
        step("commands from root's shell, the one-shot service, the timer")
        self.command("catch-up", "--deadline", "60")
        self.command("status")
        self.machine.run("systemctl", "stop", UNIT)
        self.add_documents(10)
        self.machine.run("systemctl", "start", f"{UNIT}-catch-up.service")
        expect(self.all_marked(), "the one-shot service did not fetch everything")
        self.machine.run("systemctl", "enable", "--now", f"{UNIT}-catch-up.timer")
        self.machine.run("systemctl", "disable", "--now", f"{UNIT}-catch-up.timer")
        self.machine.run("systemctl", "start", UNIT)

    def stopped(self) -> None:
        step("stop while it fetches documents, then start: no document is lost, no file is owned by root")
        self.in_the_middle()
        begun = time.monotonic()
        self.machine.run("systemctl", "stop", UNIT)
        took = time.monotonic() - begun
        expect(took < 10, f"it took {took:.1f} s to stop")
        expect(self.machine.show("Result") == "success", "the stop was reported as a failure")
        self.machine.run("systemctl", "start", UNIT)
        eventually(self.all_marked, "every document is acknowledged")
        eventually(lambda: self.command("catch-up", check=False).returncode == 0, "the archive agrees")
        result = self.command("invoices", "list", "--json").stdout
        expect_all_stored(self.simulator, [json.loads(line) for line in result.splitlines()])
        others = self.machine.run("find", STATE, "!", "-user", UNIT).stdout
        expect(not others, f"files of other users: {others}")
        expect(not self.simulator.lapses(), f"calls violate the vendor's document: {self.simulator.lapses()}")
        step(f"{len(self.simulator.ids())} documents are stored, byte for byte")

    def removed(self) -> None:
        step("uninstall: the archive and the configuration stay")
        self.machine.run("sh", "/src/deploy/systemd/install.sh", "--uninstall")
        for path in (f"{STATE}/archive.db", f"{ETC}/config.toml"):
            expect((self.machine.root / path.lstrip("/")).exists(), f"{path} is gone")
        for path in (
            "/opt/easytracking-sync",
            "/usr/local/bin/easytracking-sync",
            f"/etc/systemd/system/{UNIT}.service",
        ):
            expect(not (self.machine.root / path.lstrip("/")).exists(), f"{path} is still there")

    def go(self, wheel: str) -> None:
        self.first_installation()
        self.drop_in(QUICK)
        self.refused_configuration()
        self.ready_after_migration()
        eventually(self.all_marked, "every document is acknowledged")
        for what in (self.killed, self.vendors_outage, self.hung, self.reloaded, self.rotated):
            what()
        self.upgraded_over_a_link(wheel)
        self.upgraded(wheel)
        self.by_hand()
        self.stopped()
        self.removed()


def test() -> None:
    """Run the whole test."""
    need_root()
    need({"systemd-nspawn": "systemd-container", "nsenter": "util-linux"})
    with tempfile.TemporaryDirectory(prefix="easytracking-systemd-", dir="/var/tmp") as temporary:
        work = Path(temporary)
        kept = kept_folder(work)
        base = bare_debian(kept / "base")
        wheels = wheelhouse(kept / "wheels", python_of(base))
        source = committed(work / "source")
        wheel = build_wheel(source, work / "wheel")
        root = work / "root"
        run("cp", "-a", "--reflink=auto", base, root)
        binds = {source: "/src", wheels: "/wheels", wheel.parent: "/wheel"}
        with service(150) as (simulator, url):
            step("booting")
            with booted(root, binds) as machine:
                trial = Trial(machine, simulator, url)
                try:
                    trial.go(f"/wheel/{wheel.name}")
                except Exception:
                    shown = machine.run("journalctl", "--no-pager", "-n", "80", "-o", "cat", check=False).stdout
                    print(shown, flush=True)
                    raise
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main(test, "the real-systemd test")
