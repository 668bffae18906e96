"""What every test shares: Hypothesis without deadlines, since machines that run tests are slow and shared; and, for
those that ask for it, a PostgreSQL server of this process's own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:  # pytest's own script does not put it there
    sys.path.insert(0, ROOT)

from tests.support import postgres  # noqa: E402  the path is set above

# A shell's background would have it ignored, in children too.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("house", deadline=None, max_examples=50)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The machine's tests know nothing of the database or of where bytes lie; they may run on any."""
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite", help="for the machine's tests")
    parser.addoption("--blobs", choices=("database", "files"), default="database", help="for the machine's tests")


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """A running PostgreSQL server. Tests may restart it, and leave it running."""
    if postgres.binaries() is None:
        pytest.skip(postgres.MISSING)
    made = postgres.Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def empty_database(server: postgres.Server) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with server.database() as name:
        yield server.url(name)


@pytest.fixture
def postgres_archive(server: postgres.Server) -> Iterator[str]:
    """The address of an empty archive on PostgreSQL, at this program's schema."""
    with server.database(server.archive_template) as name:
        yield server.url(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Without a server the tests that need one are skipped, and nobody shall believe that they passed."""
    if postgres.binaries() is None:
        terminalreporter.write_line(postgres.MISSING, red=True, bold=True)


LONG = (
    "tests/end_to_end/",
    "tests/postgres/",
    "tests/crash/",
    "test_service_run.py",
    "test_service_alarms.py",
    "test_service_dead_addresses.py",
    "test_service_many_accounts.py",
    "test_cli_database.py",
    "postgresql]",
    "postgresql-",
)
"""What `make test-long` runs: real processes by the dozen, servers of their own, the second database."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by place what takes long, so that `make test` stays quick; CI runs both."""
    for item in items:
        if any(place in item.nodeid for place in LONG):
            item.add_marker(pytest.mark.long)
