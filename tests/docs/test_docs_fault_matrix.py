"""Every row of the fault matrix has a test that bears its number, every invariant one that bears its name."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "draw_matrix.py"))


def test_every_row_has_a_test_that_bears_its_number(script: dict[str, Any]) -> None:
    assert list(script["ROWS"]) == list(range(1, 27))
    assert sorted(script["rows"]()) == list(script["ROWS"]), "a row without a test, or a test of no row"


def test_every_invariant_has_a_test_that_bears_its_name(script: dict[str, Any]) -> None:
    assert len(script["INVARIANTS"]) == 19
    assert set(script["invariants"]()) == set(script["INVARIANTS"])


def test_the_page_names_tests_of_each_and_none_that_are_not_there(script: dict[str, Any]) -> None:
    """Run `python docs/draw_matrix.py` after moving tests; a new one may wait until somebody draws the page again."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    there = {
        str(key): set(files) for found in (script["rows"](), script["invariants"]()) for key, files in found.items()
    }
    lines = page.partition(script["BEGIN"])[2].partition(script["END"])[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    named = {first: set(re.findall(r"`(.+?)`", rest[-1])) for first, *rest in cells if first in there}
    assert set(named) == set(there)
    assert all(files and files <= there[key] for key, files in named.items())
