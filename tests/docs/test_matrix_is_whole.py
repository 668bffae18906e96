"""Every row of the fault matrix has a test that bears its number, every invariant one that bears its name."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RENEW = "run `python docs/draw_matrix.py`"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "draw_matrix.py"))


def test_every_row_has_a_test_that_bears_its_number(script: dict[str, Any]) -> None:
    assert list(script["ROWS"]) == list(range(1, 26))
    assert sorted(script["rows"]()) == list(script["ROWS"]), "a row without a test, or a test of no row"


def test_every_invariant_has_a_test_that_bears_its_name(script: dict[str, Any]) -> None:
    assert len(script["INVARIANTS"]) == 19
    assert set(script["invariants"]()) == set(script["INVARIANTS"])


def test_the_page_names_the_files_they_are_in(script: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert script["page_with"](script["drawing"](), page) == page, RENEW
    assert "| 25 |" in page
