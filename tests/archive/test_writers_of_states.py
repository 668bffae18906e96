"""Only one module writes the state of documents, and one that of batches, each as its table has decided."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ON_SQLITE, ArchiveHarness

import easytracking_sync
from easytracking_sync.archive import tables
from easytracking_sync.archive.clock_repair import repair_instants
from easytracking_sync.terms import LIVE_STATES

SOURCE = Path(easytracking_sync.__file__).parent
WRITERS: Mapping[str, str] = {"document": "archive/documents.py", "batch": "archive/batches.py"}
EXCEPTIONS: Mapping[str, str] = {
    "archive/database_copier.py": "it copies whole archives to another database, row for row",
    "archive/clock_repair.py": "it moves instants alone; a test below holds it to that",
}
TABLES = frozenset(tables.metadata.tables)
VERBS = ("insert", "update", "delete", "upsert")
RAW = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)\s+(?!alembic_version)")
UNKNOWN = "a table that is named elsewhere"


@dataclass(frozen=True)
class Write:
    """One statement that changes rows of a table."""

    place: str
    table: str


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def writes(place: str, tree: ast.Module) -> Iterator[Write]:
    """Every statement of a module that changes rows: built of a table, by whatever name, or written as text."""
    names = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (Write(place, table) for table in _changed(node, names))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and RAW.search(node.value):
            yield Write(place, UNKNOWN)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Names of this module → the table that they mean."""
    found = {name: name for name in TABLES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                pairs = zip(target.elts, node.value.elts, strict=True) if several else [(target, node.value)]  # type: ignore[attr-defined]
                found |= {
                    one.id: _last(value)
                    for one, value in pairs
                    if isinstance(one, ast.Name) and _last(value) in TABLES
                }
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name in TABLES}
    return found


def _changed(call: ast.Call, names: Mapping[str, str]) -> Iterator[str]:
    verb = _last(call.func)
    if verb not in VERBS:
        return
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if owner is not None and _last(owner) in names:  # table.update()
        yield names[_last(owner)]
        return
    if owner is not None and _last(owner) not in {"sa", "sqlalchemy", "sqlite", "postgresql", "tables"}:
        return  # a dictionary's update, a list's insert, a room's own method
    place = 1 if verb == "upsert" else 0
    if len(call.args) > place:
        yield names.get(_last(call.args[place]), UNKNOWN)


def _last(node: ast.AST) -> str:
    """The last part of a dotted name."""
    return ast.unparse(node).rpartition(".")[2]


def every_write() -> list[Write]:
    return [write for place, tree in modules() for write in writes(place, tree)]


@pytest.mark.parametrize("table", WRITERS)
def test_one_module_writes_the_state(table: str) -> None:
    """MONOTONE-STATE: whoever wrote a state elsewhere would go past the table, the comparison and the journal."""
    places = {write.place for write in every_write() if write.table in (table, UNKNOWN)}
    assert WRITERS[table] in places
    assert places - {WRITERS[table]} <= EXCEPTIONS.keys()


def test_every_exception_is_still_one() -> None:
    places = {write.place for write in every_write() if write.table in (*WRITERS, UNKNOWN)}
    assert EXCEPTIONS.keys() <= places


@pytest.mark.parametrize(
    "source",
    [
        "sa.update(document).values(state=1)",
        "sa.insert(tables.document)",
        "sqlalchemy.delete(document)",
        "from sqlalchemy import update\nupdate(document)",
        "upsert(connection, tables.document)",
        "tables.upsert(connection, tables.document)",
        "sqlite.insert(document)",
        "tables.document.update().values(state=1)",
        "papers = tables.document\nsa.update(papers)",
        "file, papers = tables.file, tables.document\nsa.update(papers)",
        "from easytracking_sync.archive.tables import document as papers\nsa.update(papers)",
        "sa.update(whatever_it_is)",
        "connection.exec_driver_sql('UPDATE document SET state = 1')",
        "sa.text(f'DELETE  FROM {name}')",
    ],
)
def test_the_test_would_see_it(source: str) -> None:
    (write,) = writes("somewhere.py", ast.parse(source))
    assert write.table in {"document", UNKNOWN}


@pytest.mark.parametrize(
    "source", ["found.update(x)", "lines.insert(0, 'x')", "sa.select(document)", "sa.update(file)"]
)
def test_and_nothing_that_is_none(source: str) -> None:
    assert {write.table for write in writes("somewhere.py", ast.parse(source))} <= {"file"}


DECIDE = ("machine/batch.py", "machine/document.py", "deliver/delivery.py")
"""The state tables."""


def test_no_other_module_decides_a_state() -> None:
    """A value with another state comes of a table; a move that changes nothing may be made for the journal's sake."""
    for place, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or place in DECIDE:
                continue
            if _last(node.func) == "replace":
                assert "state" not in {keyword.arg for keyword in node.keywords}, place
            if _last(node.func) == "DocumentMove":
                assert ast.unparse(node.args[0]) == ast.unparse(node.args[1]), place


INSTANTS = {
    "batch": {"next_attempt_at", "deadline_at"},
    "document": {"next_attempt_at"},
    "account": {"paused_until"},
}


@ON_SQLITE
def test_what_mends_a_clock_s_errors_moves_instants_alone(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    for number, state in enumerate(LIVE_STATES, start=1):
        archive_harness.batch(account_id, [number], state)
    archive_harness.take_in(account_id, [9])
    ahead = archive_harness.now + timedelta(days=3653)
    with archive_harness.archive.database.write() as connection:
        for name, instants in INSTANTS.items():
            values = dict.fromkeys(instants, ahead)
            connection.execute(sa.update(tables.metadata.tables[name]).values(**values))
    before = rows(archive_harness)
    assert repair_instants(archive_harness.archive.database, archive_harness.now) > len(LIVE_STATES)
    changed: dict[str, set[str]] = {}
    for (name, key), row in rows(archive_harness).items():
        moved = {column for column, value in row.items() if before[name, key][column] != value}
        changed.setdefault(name, set()).update(moved)
    assert {name: moved for name, moved in changed.items() if moved} == INSTANTS


def rows(archive_harness: ArchiveHarness) -> dict[tuple[str, Any], dict[str, Any]]:
    """Every row of the tables that have instants to wait for."""
    return {
        (name, row.id): dict(row._mapping)
        for name in INSTANTS
        for row in archive_harness.rows(sa.select(tables.metadata.tables[name]))
    }
