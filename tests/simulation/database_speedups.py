"""Speedups for thousands of runs that change no behaviour."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy.engine import Dialect

from easytracking_sync.archive.database import Database


@functools.cache
def _kept(kind: str) -> dict[str, Any]:
    del kind
    return {}


def share_compiled(database: Database) -> None:
    """Reuse the statements that SQLAlchemy compiled for an earlier run."""
    engine = database._engine
    kept = _kept(engine.dialect.name)
    if "dialect" not in kept:
        with engine.connect():  # the dialect asks the library what it can do
            pass
        kept["dialect"], kept["compiled"] = engine.dialect, engine._compiled_cache
    dialect: Dialect = kept["dialect"]
    engine.dialect = dialect
    engine._compiled_cache = kept["compiled"]


def be_impatient(database: Database) -> None:
    """No busy timeout: in a single thread waiting for a lock is useless."""
    if database.is_sqlite:
        with database.read() as connection:
            connection.connection.cursor().execute("PRAGMA busy_timeout = 0")
