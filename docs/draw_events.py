"""Write the levels and meanings of all events into docs/logs.md: `python docs/draw_events.py`.

Rows stand where the page has them, with the fields and the advice that the page gives. `tests/observe` fails if the
page differs from `EventName`, or if an event has no row.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from easytracking_sync.events import EventName

PAGE = Path(__file__).with_name("logs.md")
ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| (?:[^|]*\|){2,4}$", re.MULTILINE)


def drawn(page: str) -> str:
    """The page with the levels and meanings replaced; KeyError for a row that is no event's."""
    return ROW.sub(lambda row: _row(row[0]), page)


def _row(line: str) -> str:
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    event = EventName(cells[0].strip("`"))
    written = [", ".join(event.levels)] * (len(cells) == 5)
    return "| " + " | ".join([cells[0], *written, event.meaning, *cells[len(written) + 2 :]]) + " |"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
