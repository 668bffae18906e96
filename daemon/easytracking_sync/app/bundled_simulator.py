"""The bundled simulator of the service, for practice and for the demo. No other module of the product uses it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from easytracking_simulator import Call, Faults, Options, Rate, Simulator, SimulatorError, bad_zip, lost, status, torn
from easytracking_simulator.command import PORT, WallClock, run
from easytracking_simulator.server import LOOPBACK, serve
from easytracking_simulator.signing import require_signer
from easytracking_sync.errors import UsageError

DEFAULT_HOST, DEFAULT_PORT = LOOPBACK, PORT


def run_simulator(
    host: str,
    port: int,
    fault_rate: float,
    *,
    announce: Callable[[str], None],
    publish: Callable[[str], None],
    **options: Any,
) -> None:
    """Run an Easy Tracking service on this machine until a signal stops it; `options` are the simulator's.

    `publish` gets its configuration, `announce` gets lines for a person. UsageError for an address that is not a
    loopback address, since there is no password, and for a port in use.
    """
    _require_loopback(host)
    try:
        run(Options(**options, faults=_faults(fault_rate)), host, port, announce=announce, publish=publish)
    except SimulatorError as error:
        raise UsageError(str(error)) from error


def _require_loopback(host: str) -> None:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise UsageError(f"{host!a} is not a loopback address: the simulator is for this machine only")


def _faults(rate: float) -> Faults:
    """Failures of every kind, at this rate together."""
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
    """The address and the login of a simulated account."""

    base_url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """A running service with one account, and its true contents."""

    login: Login
    _simulator: Simulator

    def hashes(self) -> dict[int, tuple[str, ...]]:
        """docId → sorted sha256 of the files that a complete fetch of FA, MT and FU returns."""
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
        """Make a few calls fail in different ways; how many."""
        faults = ((Call.LIST, status(503, retry_after="0")), (Call.FETCH, torn()), (Call.SET_1, lost()))
        for call, fault in faults:
            self._simulator.script(call, fault)
        return len(faults)


@contextmanager
def simulated_services(documents: Mapping[str, int], seed: int) -> Iterator[dict[str, SimulatedService]]:
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
                services[label] = SimulatedService(Login(base_url, account.username, account.password), simulated)
            yield services
    except SimulatorError as error:
        raise UsageError(str(error)) from error
