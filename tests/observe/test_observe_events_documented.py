"""Every event that can come into the log stands in docs/logs.md with its level and its fields, and no other does."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from tests.machine.documents import ACCOUNT_ID, NOW, batch

from easytracking_sync.cli.explain import EVENTS
from easytracking_sync.machine.batch import TABLE, BatchEvent, BatchHappened, advance
from easytracking_sync.machine.decision import batch_event_name
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import count_refusal
from easytracking_sync.terms import BatchState, PauseStatus, Purpose

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "daemon" / "easytracking_sync"
DOCUMENT = ROOT / "docs" / "logs.md"
ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"[a-z_]+\.[a-z_]+")
JOURNAL = re.compile(r"\b(corrections|Corrections\(archive\)|journal)\.note$")
"""What is noted there goes into the archive, not into the log."""

DECIDED = ("machine/engine.py", "_tell")
"""Where names are those that the machine decided: a batch's by its table, an account's by its refusals."""


@dataclass(frozen=True)
class Noted:
    """One place that notes an event."""

    place: str
    name: str
    levels: frozenset[str]  # none where it is not known from the source alone
    fields: frozenset[str]


@functools.cache
def everything_noted() -> tuple[Noted, ...]:
    return tuple(noted())


def noted() -> Iterator[Noted]:
    """Every event of the source: written as it is, or among the names its function, or that one's callers, choose."""
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
        for name, level in of_the_refusals() if of_account else of_the_table():
            yield Noted(place, name, frozenset({level}), fields)
        return
    names = _names(tree, function, call.args[1] if by_level else call.args[0])
    assert names, f"{place}, line {call.lineno}: no name of an event is to be found"
    for name in names:
        yield Noted(place, name, frozenset(levels), fields)


def _names(tree: ast.Module, function: ast.FunctionDef, name: ast.expr) -> set[str]:
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
    return {text for node in chosen for text in _constants(node) if NAME.fullmatch(text)}


def _levels(call: ast.Call) -> set[str]:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "level"), None)
    if given is None and len(call.args) > 1:
        given = call.args[1]
    if given is None:
        return {"info"}
    branches = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
    found: set[str] = set().union(*(_constants(branch) for branch in branches))
    return found


def _constants(node: ast.AST) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def of_the_table() -> set[tuple[str, str]]:
    """What `Engine._tell` says of every move of the machine's table: name and level."""
    policy, found = Policy(), set()
    sizes, losses = (1, 2), (0, policy.most_losses - 1)
    for (state, happened), size, lost, purpose in product(TABLE, sizes, losses, (Purpose.FRESH, Purpose.RELISTED)):
        if happened in NOT_OF_EFFECTS:
            continue
        before, event = batch(state, size, purpose=purpose, losses=lost), BatchEvent(happened, stored=size)
        after = advance(before, event, NOW, policy).batch
        troubled = after.state in (state, BatchState.PLANNED, BatchState.SPLIT, BatchState.ABANDONED)
        found.add((batch_event_name(before, after, event), "warning" if troubled else "debug"))
    return found


NOT_OF_EFFECTS = (BatchHappened.PENDING, BatchHappened.PAUSED, BatchHappened.CLOSED, BatchHappened.RETRIED)
"""A poll is not told of; what a pause or a person does to a batch stands in the archive's journal alone."""


def of_the_refusals() -> set[tuple[str, str]]:
    """And what it says of the account."""
    policy = Policy()
    pause_status = PauseStatus(ACCOUNT_ID, policy.refusals_to_pause - 1, NOW)
    counted = count_refusal(pause_status, batch(), NOW, policy, sibling_accepted=False)
    assert counted.account is not None
    return {(counted.account.name, "error")}


@functools.cache
def documented() -> dict[str, tuple[set[str], set[str]]]:
    """Event → its levels and its fields, as docs/logs.md has them."""
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert len({name for name, *_ in rows}) == len(rows), "an event stands there twice"
    return {
        name: (set(re.findall(r"[a-z]+", levels)), set(re.findall(r"`([a-z0-9_]+)`", fields)))
        for name, levels, _, fields, _ in rows
    }


def test_every_event_of_the_source_is_documented() -> None:
    missing = {f"{one.name} ({one.place})" for one in everything_noted() if one.name not in documented()}
    assert missing == set()


def test_every_documented_event_is_in_the_source() -> None:
    assert set(documented()) - {one.name for one in everything_noted()} == set()


@pytest.mark.parametrize("what", ["levels", "fields"])
def test_levels_and_fields_are_those_of_the_source(what: str) -> None:
    known = documented()
    for one in everything_noted():
        levels, fields = known.get(one.name, (one.levels, one.fields))  # what is missing is another test's
        if what == "levels":
            assert one.levels <= levels, one
        else:
            assert one.fields <= fields, one


def test_every_event_says_when_and_what_to_do() -> None:
    for name, _, when, _, do in ROW.findall(DOCUMENT.read_text(encoding="utf-8")):
        assert len(when) > 10, name
        assert do.strip(), name


def test_event_names_are_a_noun_and_what_became_of_it() -> None:
    for one in everything_noted():
        assert NAME.fullmatch(one.name)
        assert not one.name.endswith(("_error", ".error", ".info")), one


def test_every_row_of_the_archive_s_journal_is_documented() -> None:
    """Those that `explain` tells in words, and those that are no document's."""
    page = DOCUMENT.read_text(encoding="utf-8").partition("## The archive's own journal")[2]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(.+?)`", row)]
    accounts = {"account.added", "account.renamed", *(name for name, _ in of_the_refusals())}
    assert len(set(named)) == len(named)
    assert set(named) == {*EVENTS, *accounts, "document.discovered"}


def test_the_journal_s_own_rows_of_accounts_are_those_of_the_source() -> None:
    recorded = {
        text
        for path in (SOURCE / "archive").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "journal.record"
        for text in _constants(call.args[1])
    }
    assert recorded == {"account.added", "account.renamed", "document.discovered"}
