"""The documents say what the code does."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_machine_is_the_one_its_table_gives() -> None:
    """Run `python docs/draw_machine.py` after a change to the table."""
    script = runpy.run_path(str(ROOT / "docs" / "draw_machine.py"))
    page = (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")
    assert script["page_with"](script["drawing"](), page) == page
    assert "planned --> reserved" in page
