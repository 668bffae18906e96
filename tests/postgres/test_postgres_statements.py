"""Wherever in a run the connection is lost, the program reads what is in doubt and stores each document once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.postgres.conftest import home
from tests.support.archive_checks import InvariantChecker, assert_archived
from tests.support.harness import SMALL, Harness, build

from easytracking_sync.archive import tables

FEW = replace(SMALL, documents=3)


@dataclass
class Axe:
    """Cuts the line to the server just before a statement: every one there is, when it comes for the `nth` time."""

    nth: int
    statements: Counter[str] = field(default_factory=Counter)
    cuts: int = 0

    @contextmanager
    def over(self, harness: Harness) -> Iterator[None]:
        """While the block runs, for the archive of this harness."""
        engine = harness.archive.database._engine
        sa.event.listen(engine, "before_cursor_execute", self._strike)
        try:
            yield
        finally:
            sa.event.remove(engine, "before_cursor_execute", self._strike)

    def _strike(self, connection: sa.Connection, _: Any, statement: str, *__: Any) -> None:
        self.statements[statement] += 1
        if self.statements[statement] == self.nth:
            line: Any = connection.connection.dbapi_connection
            line.pgconn.finish()
            self.cuts += 1


@pytest.mark.parametrize("nth", range(1, 5))
def test_row_15_a_line_that_is_lost_at_any_statement_costs_time_and_nothing_else(
    tmp_path: Path, postgres_archive: str, nth: int
) -> None:
    """Statements of claims, of commits, of listings, of blobs and of reading back, each struck once a run."""
    harness = build(
        tmp_path, FEW, url=postgres_archive, wrap=lambda inner: InvariantChecker(postgres_archive, inner), seed=nth
    )
    axe = Axe(nth)
    with axe.over(harness):
        home(harness)
    assert {statement.split()[0] for statement in axe.statements} >= {"SELECT", "INSERT", "UPDATE"}
    assert axe.cuts == sum(count >= nth for count in axe.statements.values()) >= 10
    assert_archived(harness)
    assert harness.engine.tally.acknowledged == 3
    with harness.archive.database.read() as connection:
        rows = connection.execute(
            sa.select(tables.event.c.batch_id, tables.event.c.document_id, tables.event.c.name, tables.event.c.detail)
        ).all()
    assert len(set(rows)) == len(rows), "no move is noted twice"
    harness.close()
