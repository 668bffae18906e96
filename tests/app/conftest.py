"""Harnesses for the tests of app; puts the repository's root on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

if TYPE_CHECKING:
    from tests.support.harness import Harness

Make = Callable[..., "Harness"]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """As many harnesses as a test likes, each in a folder of its own; the parameters are those of `build`."""
    from tests.support.harness import SMALL, build  # noqa: PLC0415  the path is set above

    made: list[Harness] = []

    def make_one(**given: Any) -> Harness:
        folder = tmp_path / f"station-{len(made)}"
        folder.mkdir()
        made.append(build(folder, **{"options": replace(SMALL, documents=6)} | given))
        return made[-1]

    yield make_one
    for harness in made:
        harness.close()
