"""Leases: which instance may work on something, measured by one clock that all instances share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import Instant, lease, upsert

INSTANCE_SECONDS = 30.0
"""An instance that has not announced itself for so long counts as dead, and holds nothing."""

INSTANCE = "instance:"
NOW = sa.bindparam("now", type_=Instant)

_SERVER_CLOCK = sa.func.clock_timestamp(type_=Instant)
_ENDS = sa.bindparam("ends", type_=Instant)
_SERVER_ENDS = sa.type_coerce(sa.func.clock_timestamp() + sa.bindparam("lasts", type_=sa.Interval), Instant)


def lease_clock(*, is_sqlite: bool) -> sa.ColumnElement[datetime]:
    """The clock that leases are measured by: the server's on PostgreSQL, ours (`now`) on SQLite."""
    return NOW if is_sqlite else _SERVER_CLOCK


def lease_end(*, is_sqlite: bool) -> sa.ColumnElement[datetime]:
    """The end of a lease that begins now; execute the statement with `lease_terms`."""
    return _ENDS if is_sqlite else _SERVER_ENDS


def lease_terms(now: datetime, seconds: float) -> dict[str, Any]:
    """The parameters of `lease_clock` and `lease_end`; each database uses some of them."""
    lasts = timedelta(seconds=seconds)
    return {"now": now, "ends": now + lasts, "lasts": lasts}


class Leases:
    """Named leases that one instance at a time may hold, such as "cycle:17". `owner` is this instance.

    An instance holds its names as long as it announces itself; the names of a dead instance are free. Names keep
    instances from doing the same work twice. Correctness does not depend on them: batches are fenced by their epoch.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    @property
    def are_shared(self) -> bool:
        """Whether there may be other instances (PostgreSQL)."""
        return not self._database.is_sqlite

    def take(self, name: str, seconds: float, now: datetime) -> bool:
        """Hold this name for `seconds` from now; False while another living instance holds it."""
        clock = lease_clock(is_sqlite=self._database.is_sqlite)
        until = lease_end(is_sqlite=self._database.is_sqlite)
        with self._database.write() as connection:
            new = upsert(connection, lease).values(name=name, owner=self._owner, epoch=1, taken_at=clock, until=until)
            taken = new.on_conflict_do_update(
                index_elements=[lease.c.name],
                set_={"owner": self._owner, "epoch": lease.c.epoch + 1, "taken_at": clock, "until": until},
                where=sa.or_(lease.c.until <= clock, lease.c.owner == self._owner, ~_is_alive(lease.c.owner, clock)),
            )
            epoch = connection.execute(taken.returning(lease.c.epoch), lease_terms(now, seconds))
            return epoch.scalar_one_or_none() is not None

    def announce(self, now: datetime) -> None:
        """Show that this instance is alive: call it before taking a name, then about every ten seconds."""
        if self.are_shared:
            self.take(f"{INSTANCE}{self._owner}", INSTANCE_SECONDS, now)

    def release(self, name: str) -> None:
        """Release this name, unless another instance has taken it meanwhile. Repeating is safe."""
        with self._database.write() as connection:
            connection.execute(sa.delete(lease).where(lease.c.name == name, lease.c.owner == self._owner))

    def release_all(self) -> None:
        """Release all names when this instance ends, so that others need not wait until they expire."""
        with self._database.write() as connection:
            connection.execute(sa.delete(lease).where(lease.c.owner == self._owner))


def _is_alive(owner: sa.ColumnElement[str], clock: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    announced = lease.alias("announced")
    return sa.exists().where(announced.c.name == sa.literal(INSTANCE).concat(owner), announced.c.until > clock)
