"""Archives for tests. The repository's root goes on the path, so that tests may import what they share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easytracking_sync.archive.database import Database

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.archive.shelves import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """An empty archive at this program's schema."""
    made = Shelf(tmp_path)
    yield made
    made.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    """A database that does not exist yet, in a folder that does not either."""
    database = Database(f"sqlite:///{tmp_path / 'new' / 'archive.db'}", busy_seconds=5)
    yield database
    database.close()
