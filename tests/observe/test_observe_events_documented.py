"""The events of `EventName` are those of the source, and docs/logs.md has each with its level and its fields."""

from __future__ import annotations

import ast
import functools
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pytest
from tests.machine.documents import ACCOUNT_ID, NOW, batch

from easytracking_sync.events import LEVELS, EventName, meaning_of
from easytracking_sync.machine.batch import TABLE, BatchEvent, BatchHappened, advance
from easytracking_sync.machine.decision import Outcome, batch_event_name, decide
from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import count_refusal
from easytracking_sync.terms import Claim, PauseStatus, Purpose

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "daemon" / "easytracking_sync"
PAGE = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
LOG, _, THE_JOURNAL = PAGE.partition("## The archive's own journal")
ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
JOURNAL = re.compile(r"\b(corrections|Corrections\(archive\)|journal)\.note$")
"""These notes go into the archive, not into the log."""

DECIDED = ("machine/engine.py", "_tell")
"""The names here were decided by the machine: a batch's by its table, an account's by its refusals."""


@dataclass(frozen=True)
class Noted:
    """One place that notes an event."""

    place: str
    name: EventName
    levels: frozenset[str]  # those that the source names
    fields: frozenset[str]


@functools.cache
def everything_noted() -> tuple[Noted, ...]:
    return tuple(noted())


def noted() -> Iterator[Noted]:
    """Every event in the source: named in the call, in the function around it, or by the callers of that function."""
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        text = path.read_text(encoding="utf-8")
        if ".note(" not in text and ".write(" not in text:
            continue
        tree = ast.parse(text)
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name != "note":
                for call in _calls(function):
                    yield from _events(place, tree, function, call)


def _calls(function: ast.FunctionDef) -> Iterator[ast.Call]:
    """Its calls of note(name, …) and write(level, name, facts), not those of functions inside."""
    inner = {
        node
        for nested in ast.walk(function)
        if isinstance(nested, ast.FunctionDef) and nested is not function
        for node in ast.walk(nested)
    }
    for node in ast.walk(function):
        if node in inner or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        notes = node.func.attr == "note" and not JOURNAL.search(ast.unparse(node.func))
        if notes or (node.func.attr == "write" and len(node.args) == 3):
            yield node


def _events(place: str, tree: ast.Module, function: ast.FunctionDef, call: ast.Call) -> Iterator[Noted]:
    assert isinstance(call.func, ast.Attribute)
    by_level = call.func.attr == "write"
    levels = _constants(call.args[0]) if by_level else _levels(call)
    fields = frozenset({keyword.arg for keyword in call.keywords if keyword.arg} - {"level", "exc_info"})
    if (place, function.name) == DECIDED:
        of_account = ast.unparse(call.args[0]) == "transition.account.name"
        for name in of_the_refusals() if of_account else of_the_table():
            yield Noted(place, name, frozenset(), fields)
        return
    names = _names(tree, function, call.args[1] if by_level else call.args[0])
    assert names, f"{place}, line {call.lineno}: no name of an event is to be found"
    for name in names:
        yield Noted(place, name, frozenset(levels), fields)


def _names(tree: ast.Module, function: ast.FunctionDef, name: ast.expr) -> set[EventName]:
    parameters = [parameter.arg for parameter in function.args.args if parameter.arg != "self"]
    chosen: list[ast.AST] = [name]
    if isinstance(name, ast.Name) and name.id in parameters:
        chosen = [
            call.args[parameters.index(name.id)]
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and ast.unparse(call.func) == f"self.{function.name}"
        ]
    elif isinstance(name, ast.Name):
        chosen = [function]
    return set().union(*(_events_in(node) for node in chosen))


def _levels(call: ast.Call) -> set[str]:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "level"), None)
    if given is None and len(call.args) > 1:
        given = call.args[1]
    branches = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given] if given is not None else []
    found: set[str] = set().union(*(_constants(branch) for branch in branches))
    return found


def _events_in(node: ast.AST) -> set[EventName]:
    return {
        EventName[part.attr]
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "EventName"
    }


def _constants(node: ast.AST) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def of_the_table() -> set[EventName]:
    """What `Engine._tell` says of every move of the machine's table."""
    policy, found = Policy(), set[EventName]()
    sizes, losses = (1, 2), (0, policy.most_losses - 1)
    for (state, happened), size, lost, purpose in product(TABLE, sizes, losses, (Purpose.FRESH, Purpose.RELISTED)):
        if happened in NOT_OF_EFFECTS:
            continue
        before, event = batch(state, size, purpose=purpose, losses=lost), BatchEvent(happened, stored=size)
        after = advance(before, event, NOW, policy).batch
        name = batch_event_name(before, after, event)
        assert name is not None
        found.add(name)
    return found


NOT_OF_EFFECTS = (BatchHappened.PENDING, BatchHappened.PAUSED, BatchHappened.CLOSED, BatchHappened.RETRIED)
"""A poll is not reported; what a pause or a person does to a batch is in the archive's journal alone."""


def of_the_refusals() -> set[EventName]:
    """What `Engine._tell` says of the account."""
    policy = Policy()
    pause_status = PauseStatus(ACCOUNT_ID, policy.refusals_to_pause - 1, NOW)
    counted = count_refusal(pause_status, batch(), NOW, policy, sibling_accepted=False)
    assert counted.account is not None
    assert counted.account.name is not None
    return {counted.account.name}


def journaled() -> set[EventName]:
    """What the machine and the archive write into the journal."""
    policy, found = Policy(), of_the_refusals()
    found |= {EventName(f"document.{happened}") for happened in DocumentHappened}
    for (state, happened), size, purpose in product(TABLE, (1, 2), (Purpose.FRESH, Purpose.RELISTED)):
        before, event = batch(state, size, purpose=purpose), BatchEvent(happened, stored=size)
        for losses in (0, policy.most_losses - 1):
            move = decide(Claim(replace(before, losses=losses), ()), Outcome(event), NOW, policy).batches[0]
            found |= {move.name} if move.name is not None and move.name.in_journal else set()
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if place in ("machine/document.py", "machine/decision.py", "machine/corrections.py"):
            found |= _events_in(tree)
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and RECORDS.search(ast.unparse(call.func)):
                found |= _events_in(call.args[1])
    return found


RECORDS = re.compile(r"(^journal\.record|Corrections\(archive\)\.note)$")


@functools.cache
def fields_documented() -> dict[str, set[str]]:
    """Event → its fields, as docs/logs.md has them."""
    return {name: set(re.findall(r"`([a-z0-9_]+)`", fields)) for name, _, _, fields, _ in ROW.findall(LOG)}


def test_the_page_says_what_the_table_of_events_says() -> None:
    """Run `python docs/draw_events.py` after a change to a level or a meaning."""
    script = runpy.run_path(str(ROOT / "docs" / "draw_events.py"))
    assert script["drawn"](PAGE) == PAGE


@pytest.mark.parametrize(("part", "name"), [(LOG, "log"), (THE_JOURNAL, "journal")])
def test_the_page_has_one_row_for_every_event(part: str, name: str) -> None:
    rows = [match[1] for match in re.finditer(r"^\| `([a-z_]+\.[a-z_]+)` \|", part, re.MULTILINE)]
    events = [event for event in EventName if (event.in_journal if name == "journal" else event.levels)]
    assert sorted(rows) == sorted(events)


def test_every_event_of_the_log_is_in_the_source() -> None:
    assert {one.name for one in everything_noted()} == {event for event in EventName if event.levels}


def test_every_event_of_the_journal_is_in_the_source() -> None:
    assert journaled() == {event for event in EventName if event.in_journal}


def test_an_event_is_written_at_one_of_its_levels() -> None:
    for one in everything_noted():
        assert one.levels <= set(one.name.levels), one


def test_the_page_has_every_field_of_the_source() -> None:
    for one in everything_noted():
        assert one.fields <= fields_documented()[one.name], one


def test_every_event_says_what_it_means_and_what_to_do() -> None:
    assert all(len(event.meaning) > 10 for event in EventName if event.levels)
    for name, _, _, _, do in ROW.findall(LOG):
        assert do.strip(), name


def test_an_event_has_a_level_or_is_in_the_journal_alone() -> None:
    assert all(event.in_journal or event.level in LEVELS for event in EventName)


def test_a_name_of_another_version_stands_for_itself() -> None:
    assert meaning_of("something.unheard_of") == "something.unheard_of"
    assert meaning_of("batch.fetched") == "the parcel was fetched"


def test_event_names_are_a_noun_and_what_became_of_it() -> None:
    for event in EventName:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", event)
        assert not event.endswith(("_error", ".error", ".info")), event


def test_the_source_spells_no_name_of_an_event_twice() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.name != "events.py":
            assert not _constants(ast.parse(path.read_text(encoding="utf-8"))) & set(EventName), path
