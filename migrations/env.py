"""Alembic's entry point: migrates the given connection, and does not configure logging."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from easytracking_sync.archive.tables import metadata

connection: sa.Connection | None = context.config.attributes.get("connection")
if connection is None:
    message = "run `easytracking-sync migrate`, which provides the connection"
    raise SystemExit(message)
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
