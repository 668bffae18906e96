"""docs/machine.md agrees with the state tables."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from easytracking_sync.machine import batch, document
from easytracking_sync.terms import DocumentState

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "draw_machine.py"))


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")


def test_the_diagrams_are_those_of_the_tables(script: dict[str, Any], page: str) -> None:
    """Run `python docs/draw_machine.py` after a change to a table."""
    assert script["drawn"](page) == page


@pytest.mark.parametrize("table", ["batch", "document"])
def test_every_pair_of_a_table_is_an_arrow_of_its_diagram(script: dict[str, Any], page: str, table: str) -> None:
    picture = page.partition(script["BEGIN"].format(table))[2].partition(script["END"].format(table))[0]
    arrows = [line.strip() for line in picture.splitlines() if "-->" in line]
    pairs = batch.TABLE if table == "batch" else document.TABLE
    for state, happened in pairs:
        if happened in script["STATELESS"]:
            continue
        label = happened.replace("_", " ")
        assert any(arrow.startswith(f"{state} -->") and label in arrow.partition(" : ")[2] for arrow in arrows), (
            state,
            happened,
        )
    assert "[*] -->" in arrows[0]


def test_every_state_of_a_document_is_explained(page: str) -> None:
    assert all(f"| {state} | " in page for state in DocumentState)
