"""Archives for tests, on both databases unless a test chooses one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.archive.archive_harness import ArchiveHarness

from easytracking_sync.archive.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database a archive_harness stands on."""
    return str(request.param)


@pytest.fixture
def archive_harness(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> Iterator[ArchiveHarness]:
    """An empty archive at this program's schema."""
    made = ArchiveHarness(tmp_path, request.getfixturevalue("postgres_archive") if kind == "postgresql" else None)
    yield made
    made.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    """A database that does not exist yet, in a folder that does not either."""
    database = Database(f"sqlite:///{tmp_path / 'new' / 'archive.db'}", busy_seconds=5)
    yield database
    database.close()
