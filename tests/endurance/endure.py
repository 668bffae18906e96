"""The service, killed and restarted at random while invoices arrive: each must be archived exactly once.

    python tests/endurance/endure.py --minutes 10                       SQLite, one instance
    python tests/endurance/endure.py --minutes 10 --database postgresql two replicas for the second half

It is a script, not a test: it takes as long as it is told to. Real processes, a real socket, SIGKILL at moments drawn
from a seed. At the end what has arrived so far is waited for, and all is compared with the simulator's truth.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.postgres import Server, binaries  # noqa: E402  the root goes onto the path first

PROGRAM = (sys.executable, "-m", "easytracking_sync")
DRAIN_SECONDS = 300.0


@dataclass
class Replica:
    """One `run` process, started again whenever it was killed."""

    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*PROGRAM, "--config", str(self.config), "run"], stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@dataclass
class Trial:
    folder: Path
    url: str
    database: str
    rng: random.Random
    replicas: list[Replica] = field(default_factory=list)

    def replica(self) -> Replica:
        """One more instance on the same archive, with a spool of its own."""
        number = len(self.replicas)
        config = self.folder / f"replica-{number}.toml"
        config.write_text(self._configuration(number), encoding="utf-8")
        self.replicas.append(Replica(config, self.folder / f"replica-{number}.log"))
        return self.replicas[-1]

    def _configuration(self, number: int) -> str:
        practice = (self.folder / "practice.toml").read_text(encoding="utf-8")
        accounts = practice[practice.index("[accounts.") :]
        return (
            f'[database]\nurl = "{self.database}"\n'
            f'[storage]\nmin_free_bytes = 0\nspool = "{self.folder}/spool-{number}"\n'
            '[sync]\nevery = "5s"\npoll_first_seconds = 0.3\nretry_base_seconds = 0.2\nretry_cap_seconds = 5\n'
            '[http]\nlisten = ""\n\n'
        ) + accounts

    def rage(self, minutes: float, replicas: int) -> None:
        """Kill and restart for this many seconds."""
        while len(self.replicas) < replicas:
            self.replica().start()
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            time.sleep(self.rng.uniform(0.5, 12.0))
            victim = self.rng.choice(self.replicas)
            victim.kill()
            time.sleep(self.rng.uniform(0.0, 2.0))
            victim.start()

    def truth(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/_simulator/documents") as answer:
            documents: list[dict[str, Any]] = json.load(answer)
        return documents

    def drain(self) -> set[int]:
        """Wait until all that is there now is marked; the ids of what is not, when time is up."""
        arrived = {document["id"] for document in self.truth()}
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until:
            unmarked = {document["id"] for document in self.truth() if not document["phase_1"]}
            if not arrived & unmarked:
                return set()
            time.sleep(2)
        return arrived & unmarked


def verdicts(trial: Trial) -> dict[str, bool]:
    """The checks, by name."""
    listed = subprocess.run(
        [*PROGRAM, "--config", str(trial.replicas[0].config), "invoices", "list", "--json"],
        check=True,
        capture_output=True,
    )
    known = [json.loads(line) for line in listed.stdout.splitlines()]
    home = [one for one in known if one["files"]]  # arrivals go on meanwhile
    exported = trial.folder / "exported"
    subprocess.run(
        [*PROGRAM, "--config", str(trial.replicas[0].config), "invoices", "export", "--to", str(exported)],
        check=True,
        capture_output=True,
    )
    hashes = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in exported.rglob("*") if path.is_file())
    ids = [(one["account"], one["doc_id"]) for one in home]
    truth = [one for one in trial.truth() if (one["account"], one["id"]) in set(ids)]
    wanted = Counter(file["sha256"] for one in truth for file in one["files"] if file["type"] != "FI")
    acknowledged = {one["doc_id"] for one in home if one["state"] == "acknowledged"}
    return {
        "each once": len(ids) == len(set(ids)),
        "each file once": all(
            len({(file["type"], file["sha256"]) for file in one["files"]}) == len(one["files"]) == 3 for one in home
        ),
        "byte for byte": hashes == wanted,
        "what is acknowledged is marked": acknowledged <= {one["id"] for one in truth if one["phase_1"]},
    }


@contextlib.contextmanager
def simulator(folder: Path, accounts: int, arriving: float) -> Iterator[str]:
    """The bundled service as a process of its own; its address."""
    practice = folder / "practice.toml"
    options = ["--documents", "300", "--accounts", str(accounts), "--arriving", str(arriving), "--port", "0"]
    with practice.open("wb") as out, (folder / "simulator.log").open("wb") as log:
        process = subprocess.Popen(
            [*PROGRAM, "simulator", *options, "--job-seconds", "1", "--faults", "0.03"], stdout=out, stderr=log
        )
    try:
        until = time.monotonic() + 60
        while "base_url" not in (text := practice.read_text(encoding="utf-8")):
            assert time.monotonic() < until, "the simulator did not start"
            time.sleep(0.2)
        yield text.split('base_url = "')[1].split('"')[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/archive.db"
        return
    found = binaries()
    if found is None:
        sys.exit("no PostgreSQL server is installed")
    server = Server(found)
    server.start()
    try:
        yield server.url(server.create())
    finally:
        server.stop()
        server.remove()


def main() -> int:
    """Run the trial and print the result; 0 if every check succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--accounts", type=int, default=5)
    parser.add_argument("--arriving", type=float, default=120.0, help="documents a minute")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="endure-") as name:
        folder = Path(name)
        with (
            database(options.database, folder) as url,
            simulator(folder, options.accounts, options.arriving) as service,
        ):
            trial = Trial(folder, service, url, random.Random(options.seed))
            replicas = 2 if options.database == "postgresql" else 1
            trial.rage(options.minutes / 2, 1)
            trial.rage(options.minutes / 2, replicas)
            left = trial.drain()
            codes = [replica.end() for replica in trial.replicas]
            found = {
                "every document is home and marked": not left,
                "ended in order": not any(codes),
                **verdicts(trial),
            }
            kills = sum(replica.kills for replica in trial.replicas)
            documents = len(trial.truth())
            print(f"{options.database}: {options.minutes:g} minutes, {documents} documents, {kills} kills")
            for rule, holds in found.items():
                print(f"  {'holds ' if holds else 'BROKEN'}  {rule}")
            if not all(found.values()):
                for replica in trial.replicas:
                    print(replica.log.read_text(encoding="utf-8")[-3000:])
            return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
