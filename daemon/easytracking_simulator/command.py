"""The simulator as a command: prints where it listens and a configuration, and serves until it is stopped."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from easytracking_simulator.options import Options
from easytracking_simulator.server import LOOPBACK, serve
from easytracking_simulator.signing import require_signer
from easytracking_simulator.simulator import Simulator

PORT = 8765


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def configuration(simulator: Simulator, base_url: str) -> str:
    """A TOML configuration of easytracking-sync for the simulator's accounts."""
    options = simulator.options
    received = [simulator.document(doc_id).received for doc_id in simulator.ids()]
    oldest = min((moment for moment in received if moment), default=datetime.now(UTC))
    since = oldest.date() - timedelta(days=1)
    blocks = ['[database]\nurl = "sqlite:///easytracking-archive.db"\n']
    blocks += [
        f'[accounts.{account.username}]\nbase_url = "{base_url}"\nauth_base_url = "{base_url}"\n'
        f'username = "{account.username}"\npassword = "{account.password}"\nhistory_from = {since}\n'
        for account in simulator.accounts
    ]
    return f'timezone = "{options.timezone}"\n\n' + "\n".join(blocks)


def run(
    options: Options,
    host: str = LOOPBACK,
    port: int = PORT,
    announce: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    publish: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM (in the main thread) or until `stop` is set.

    `announce` receives lines for a person; `publish`, or else `announce`, the configuration for this service.
    Without `options.until` the history ends with the last month, so that a simulator restarted within the month holds
    the same documents. SimulatorError if the address is unavailable or signed documents cannot be made.
    """
    if options.p7m_share:
        require_signer()
    stop = stop or threading.Event()
    clock = WallClock()
    month = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    simulator = Simulator(replace(options, until=options.until or month), clock)
    with serve(simulator, host, port) as base_url, _until_signalled(stop):
        _introduce(simulator, base_url, host, announce)
        (publish or announce)(configuration(simulator, base_url))
        announce("Stop it with Ctrl-C.")
        stop.wait()
        announce("Stopped.")


def _introduce(simulator: Simulator, base_url: str, host: str, announce: Callable[[str], None]) -> None:
    options = simulator.options
    announce(f"Easy Tracking simulator: {base_url} (service and authentication), seed {options.seed}")
    if not _is_loopback(host):
        announce(f"CAUTION: other machines can reach {host}, and {base_url}/_simulator/ requires no password.")
    for account in simulator.accounts:
        count = len(simulator.ids(account.username))
        announce(f"  account {account.username}  password {account.password}  {count} documents")
    announce(f"  content and faults: {base_url}/_simulator/ (documents, calls, faults, script, …)")
    announce("Configuration for easytracking-sync:")
    announce("")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _until_signalled(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: queue.SimpleQueue[int] = (
        queue.SimpleQueue()
    )  # a handler must not touch an event: it may interrupt the holder of its lock

    def tell() -> None:
        heard.get()
        stop.set()

    threading.Thread(target=tell, name="signals", daemon=True).start()
    former = {
        number: signal.signal(number, lambda number, _: heard.put(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, action in former.items():
            signal.signal(number, action)
