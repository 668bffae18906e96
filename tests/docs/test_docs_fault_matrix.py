"""Every row of the fault matrix and every invariant has a test, and docs/reliability.md lists them."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "draw_matrix.py"))


def test_every_row_of_the_matrix_has_a_test(script: dict[str, Any]) -> None:
    assert list(script["ROWS"]) == list(range(1, 27))
    assert sorted(script["rows"]()) == list(script["ROWS"]), "a row without a test, or a test without a row"


def test_every_invariant_has_a_test(script: dict[str, Any]) -> None:
    assert len(script["INVARIANTS"]) == 19
    assert set(script["invariants"]()) == set(script["INVARIANTS"])


def test_the_page_names_only_existing_tests_of_each_row_and_invariant(script: dict[str, Any]) -> None:
    """Run `python docs/draw_matrix.py` after moving tests. A new test may be missing until the next run."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    there = {
        str(key): set(files) for found in (script["rows"](), script["invariants"]()) for key, files in found.items()
    }
    lines = page.partition(script["BEGIN"])[2].partition(script["END"])[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    named = {first: set(re.findall(r"`(.+?)`", rest[-1])) for first, *rest in cells if first in there}
    assert set(named) == set(there)
    assert all(files and files <= there[key] for key, files in named.items())
