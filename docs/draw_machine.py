"""Draw the machine from its own table: `python docs/draw_machine.py` rewrites the picture in docs/machine.md.

Every (state, event) pair of the table is tried on small batches, and where it leads is drawn. A test holds the
picture against the table, so that neither can change alone.
"""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from easytracking_sync.machine.batch import TABLE, Event, Happened, advance
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState, Purpose

PAGE = Path(__file__).with_name("machine.md")
BEGIN, END = "<!-- drawn by docs/draw_machine.py -->", "<!-- end of the drawing -->"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EFFECTS = {
    BatchState.PLANNED: "reserve",
    BatchState.RESERVED: "fetch",
    BatchState.FETCHED: "store",
    BatchState.STORED: "read back, acknowledge",
}


def edges() -> dict[tuple[BatchState, BatchState], list[str]]:
    """From state to state, the events that lead there, in the table's order."""
    found: dict[tuple[BatchState, BatchState], list[str]] = defaultdict(list)
    for state, happened in TABLE:
        for size, losses in itertools.product((1, 2), (0, Policy().most_losses - 1)):
            batch = Batch(1, 1, 1, state, Purpose.FRESH, size, NOW, losses=losses)
            decision = advance(batch, Event(happened, stored=size), NOW, Policy())
            label = happened.replace("_", " ") + _when(state, happened, size, losses)
            arrow = found[state, decision.batch.state]
            if label not in arrow:
                arrow.append(label)
    return found


def _when(state: BatchState, happened: Happened, size: int, losses: int) -> str:
    """The condition, where the pair leads to different states."""
    leads = {
        (n, lost): advance(
            Batch(1, 1, 1, state, Purpose.FRESH, n, NOW, losses=lost), Event(happened, stored=n), NOW, Policy()
        ).batch.state
        for n, lost in itertools.product((1, 2), (0, Policy().most_losses - 1))
    }
    if len(set(leads.values())) == 1:
        return ""
    by_losses = len({leads[size, lost] for lost in (0, Policy().most_losses - 1)}) > 1
    if by_losses and losses == 0:
        return ""
    third = f", {Policy().most_losses}rd time" if by_losses else ""
    return f" (n {'= 1' if size == 1 else '> 1'}{third})"


def drawing() -> str:
    """The picture, as Mermaid."""
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f"    [*] --> {BatchState.PLANNED}"]
    lines += [f"    {state} : {state}\\n→ {effect}" for state, effect in EFFECTS.items()]
    for (source, target), labels in edges().items():
        lines.append(f"    {source} --> {target} : {', '.join(labels)}")
    ends = [state for state in BatchState if state not in EFFECTS]
    lines += [f"    {state} --> [*]" for state in ends]
    return "\n".join([*lines, "```"])


def page_with(picture: str, page: str) -> str:
    """The page with its picture replaced."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{picture}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page_with(drawing(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is drawn\n")
