"""What makes thousands of lives affordable and changes none of them."""

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
    """Every incarnation opens its database anew; what SQLAlchemy has compiled for the last one still holds."""
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
    """In one thread nobody lets go of a lock while another waits for it."""
    if database.is_sqlite:
        with database.read() as connection:
            connection.connection.cursor().execute("PRAGMA busy_timeout = 0")
