"""Having an archive to oneself, for work that must not meet a service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.leases import lease_clock
from easytracking_sync.archive.schema import shown
from easytracking_sync.archive.store import alone
from easytracking_sync.archive.tables import batch, lease
from easytracking_sync.errors import LockHeld


@contextlib.contextmanager
def undisturbed(database: Database, command: str, now: datetime) -> Iterator[None]:
    """Hold a SQLite archive alone; LockHeld at once where an instance works on it.

    A PostgreSQL archive cannot be held: LockHeld where an instance's lease is alive there, which the busy ones' are;
    that none is started meanwhile is up to the operator.
    """
    with alone(database, {"command": command}):
        if not database.is_sqlite and _is_worked_on(database, now):
            raise LockHeld(f"a service works on {shown(database)}; stop it, and wait half a minute for its leases")
        yield


def _is_worked_on(database: Database, now: datetime) -> bool:
    clock = lease_clock(is_sqlite=database.is_sqlite)
    alive = (
        sa.select(batch.c.id).where(batch.c.lease_until > clock),
        sa.select(lease.c.name).where(lease.c.until > clock),
    )
    with database.read() as connection:
        return any(connection.execute(query.limit(1), {"now": now}).first() is not None for query in alive)
