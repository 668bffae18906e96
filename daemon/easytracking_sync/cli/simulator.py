"""The bundled simulator, for practice: the one room of the product that knows it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import click

from easytracking_simulator import Call, Faults, Options, Rate, Simulator, SimulatorError, bad_zip, lost, status, torn
from easytracking_simulator.command import PORT, WallClock, run
from easytracking_simulator.server import LOOPBACK, serve
from easytracking_simulator.signing import require_signer
from easytracking_sync.errors import UsageError


@click.command(
    epilog="""\b
It is the whole service of the vendor's document, with invoices made from the seed, and nothing
leaves this machine. The configuration goes to stdout, all else to stderr:

\b
  easytracking-sync simulator --documents 5000 > practice.toml
and in another shell
  easytracking-sync --config practice.toml catch-up

\b
Examples:
  easytracking-sync simulator --accounts 3 --arriving 20 --faults 0.05

\b
Exit codes: 0 stopped with Ctrl-C or SIGTERM, 2 wrong option, or the port is taken.""",
)
@click.option(
    "--documents", type=click.IntRange(0, 1_000_000), default=200, show_default=True, help="In all accounts."
)
@click.option("--accounts", type=click.IntRange(1, 100), default=1, show_default=True, help="demo1, demo2, …")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same invoices.")
@click.option("--host", default=LOOPBACK, show_default=True, help="A loopback address: it asks for no password.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
@click.option("--arriving", type=click.FloatRange(min=0, max=60_000), default=0.0, help="New documents a minute.")
@click.option("--job-seconds", type=click.FloatRange(min=0, max=86_400), default=2.0, help="How long a job takes.")
@click.option(
    "--faults", metavar="RATE", type=click.FloatRange(0, 0.9), default=0.0, help="Share of calls that fail."
)
def simulator(
    documents: int,
    accounts: int,
    seed: int,
    host: str,
    port: int,
    arriving: float,
    job_seconds: float,
    faults: float,
) -> None:
    """Run an Easy Tracking service on this machine until it is stopped, and print a configuration for it."""
    _require_loopback(host)
    options = Options(
        documents=documents,
        accounts=accounts,
        seed=seed,
        arrivals_per_minute=arriving,
        job_seconds=job_seconds,
        faults=_weather(faults),
    )
    try:
        run(options, host, port, announce=lambda line: click.echo(line, err=True), publish=click.echo)
    except SimulatorError as error:
        raise UsageError(str(error)) from error


def _require_loopback(host: str) -> None:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise click.UsageError(f"--host {host!a} is not a loopback address: the simulator is for this machine only")


def _weather(rate: float) -> Faults:
    """Failures of every kind, together so often."""
    if not rate:
        return Faults()
    return Faults(
        rates=(
            Rate(call="any", chance=rate / 2, fault=status(503, retry_after="1")),
            Rate(call="fetch", chance=rate / 4, fault=torn()),
            Rate(call="fetch", chance=rate / 4, fault=bad_zip("bad-crc")),
            Rate(call="acknowledge", chance=rate / 2, fault=lost()),
        )
    )


@dataclass(frozen=True, slots=True)
class Login:
    """How an account of a practice service is reached."""

    base_url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class PracticeService:
    """A running service with one account, and the truth about it."""

    login: Login
    _simulator: Simulator

    def hashes(self) -> dict[int, tuple[str, ...]]:
        """docId → the sha256 of the files that a faultless fetch of FA, MT and FU brings, sorted."""
        return {
            document.id: tuple(sorted(part.sha256 for part in document.files if part.type != "FI"))
            for document in self._simulator.truth()
        }

    def marked(self) -> frozenset[int]:
        """The docIds that carry phase 1."""
        return self._simulator.marked(1)

    def reservations(self) -> int:
        """How many jobs were reserved."""
        return self._simulator.count("reserve", status=202)

    def misbehave(self) -> int:
        """Let a few calls fail in different ways; how many."""
        faults = ((Call.LIST, status(503, retry_after="0")), (Call.FETCH, torn()), (Call.SET_1, lost()))
        for call, fault in faults:
            self._simulator.script(call, fault)
        return len(faults)


@contextmanager
def practice_services(documents: Mapping[str, int], seed: int) -> Iterator[dict[str, PracticeService]]:
    """One service for each label with so many documents; a label that ends in "romania" has UBL documents only."""
    try:
        require_signer()
        with ExitStack() as running:
            services = {}
            for number, (label, count) in enumerate(documents.items()):
                options = Options(
                    documents=count,
                    seed=seed + number,
                    first_id=4_574_622 + number * 1_000_000,
                    romania_share=1.0 if label.endswith("romania") else 0.0,
                    job_seconds=0.4,
                )
                simulated = Simulator(options, WallClock())
                base_url = running.enter_context(serve(simulated))
                (account,) = simulated.accounts
                services[label] = PracticeService(Login(base_url, account.username, account.password), simulated)
            yield services
    except SimulatorError as error:
        raise UsageError(str(error)) from error
