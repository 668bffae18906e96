"""Draw the state machines from their tables: `python docs/draw_machine.py` rewrites the diagrams in docs/machine.md.

Every (state, event) pair of the two tables is applied to examples, and the resulting state is drawn. `tests/docs`
fails if the diagrams differ from the tables.
"""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from easytracking_sync.machine import batch as batches
from easytracking_sync.machine import document as documents
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState, Document, DocumentState, Purpose

PAGE = Path(__file__).with_name("machine.md")
BEGIN, END = "<!-- {} table, drawn by docs/draw_machine.py -->", "<!-- end of the {} table -->"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy()
EFFECTS = {
    BatchState.PLANNED: "reserve",
    BatchState.RESERVED: "fetch",
    BatchState.FETCHED: "store",
    BatchState.STORED: "read back, acknowledge",
}
STATELESS = (DocumentHappened.HELD, DocumentHappened.RELEASED)
"""Events that are possible in every state and change none."""

Leads = Mapping[str, StrEnum]
"""Under which condition a pair leads to which state; the condition is empty where it leads to one state alone."""


def batch_leads(state: BatchState, happened: BatchHappened) -> Leads:
    """Where this leads for one document and for several, at the first loss and at the last."""
    found = {}
    for size, losses in itertools.product((1, 2), (0, POLICY.most_losses - 1)):
        one = Batch(1, 1, 1, state, Purpose.FRESH, size, NOW, losses=losses)
        found[size, losses] = batches.advance(one, BatchEvent(happened, stored=size), NOW, POLICY).batch.state
    if len(set(found.values())) == 1:
        return {"": found[1, 0]}
    conditions: dict[str, StrEnum] = {}
    for size in (1, 2):
        first, last = found[size, 0], found[size, POLICY.most_losses - 1]
        number = f"n {'= 1' if size == 1 else '> 1'}"
        if first is last:
            conditions[number] = last
        else:
            conditions |= {"": first, f"{number}, {POLICY.most_losses}rd time": last}
    return conditions


def document_leads(state: DocumentState, happened: DocumentHappened) -> Leads:
    """Where this leads, also for the last attempt, and where a newer version is wanted by now."""

    def after(attempts: int = 0, version: int = 1) -> DocumentState:
        one = Document(1, 1, 1, state, version, attempts=attempts)
        return documents.change(one, DocumentEvent(happened, version=1), NOW, POLICY).state

    usual = after()
    special = {"max_attempts reached": after(attempts=POLICY.max_attempts - 1), "newer version": after(version=2)}
    return {"": usual, **{condition: lead for condition, lead in special.items() if lead is not usual}}


def edges(
    pairs: Collection[tuple[StrEnum, StrEnum]], leads: Callable[..., Leads]
) -> dict[tuple[StrEnum, StrEnum], list[str]]:
    """From state to state, the events that lead there, in the table's order."""
    found: dict[tuple[StrEnum, StrEnum], list[str]] = defaultdict(list)
    for state, happened in pairs:
        for condition, target in leads(state, happened).items():
            label = happened.replace("_", " ") + (f" ({condition})" if condition else "")
            found[state, target].append(label)
    return found


def drawing(first: StrEnum, names: Sequence[str], arrows: Mapping[tuple[StrEnum, StrEnum], Sequence[str]]) -> str:
    """A picture, as Mermaid. A state from which nothing leads to another is an end."""
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f"    [*] --> {first}", *names]
    for (source, target), labels in arrows.items():
        lines.append(f"    {source} --> {target} : {', '.join(labels)}")
    sources = {source for source, target in arrows if source is not target}
    lines += [f"    {state} --> [*]" for state in type(first) if state not in sources]
    return "\n".join([*lines, "```"])


def batch_drawing() -> str:
    """The batch's table."""
    names = [f"    {state} : {state}\\n→ {effect}" for state, effect in EFFECTS.items()]
    return drawing(BatchState.PLANNED, names, edges(batches.TABLE, batch_leads))


def document_drawing() -> str:
    """The document's table, without what changes no state of any document."""
    pairs = [pair for pair in documents.TABLE if pair[1] not in STATELESS]
    return drawing(DocumentState.DISCOVERED, [], edges(pairs, document_leads))


def drawn(page: str) -> str:
    """The page with its pictures replaced."""
    for name, picture in (("batch", batch_drawing()), ("document", document_drawing())):
        begin, end = BEGIN.format(name), END.format(name)
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n{picture}\n{end}{tail}"
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
