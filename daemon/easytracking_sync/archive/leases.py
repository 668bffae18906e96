"""Leases: who may work on something now, counted by one clock that all instances share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import Database, upsert
from easytracking_sync.archive.tables import Instant, lease

SERVER_CLOCK = sa.func.clock_timestamp(type_=Instant)


def lease_clock(where: Database | Connection, now: datetime) -> sa.ColumnElement[datetime]:
    """The instant leases are counted by: the server's own, or ours where one instance works alone (SQLite)."""
    return sa.literal(now, Instant) if _is_sqlite(where) else SERVER_CLOCK


def lease_end(where: Database | Connection, now: datetime, seconds: float) -> sa.ColumnElement[datetime]:
    """The end of a lease that begins now."""
    lasts = timedelta(seconds=seconds)
    if _is_sqlite(where):
        return sa.literal(now + lasts, Instant)
    return sa.type_coerce(sa.func.clock_timestamp() + sa.literal(lasts, sa.Interval), Instant)


def _is_sqlite(where: Database | Connection) -> bool:
    return where.is_sqlite if isinstance(where, Database) else where.dialect.name == "sqlite"


@dataclass(frozen=True, slots=True)
class Lease:
    """A name that this instance holds; `epoch` grows each time it is taken."""

    name: str
    epoch: int


class Leases:
    """Names that one instance at a time may hold, such as "cycle:17". `owner` names this instance.

    Whoever holds one renews it well before its end, and stops what it does for it when `renew` says no.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    def take(self, name: str, seconds: float, now: datetime) -> Lease | None:
        """Hold this name for so long; None while another instance does. Taking one's own again renews it."""
        clock = lease_clock(self._database, now)
        until = lease_end(self._database, now, seconds)
        with self._database.write() as connection:
            new = upsert(connection, lease).values(name=name, owner=self._owner, epoch=1, taken_at=clock, until=until)
            taken = new.on_conflict_do_update(
                index_elements=[lease.c.name],
                set_={"owner": self._owner, "epoch": lease.c.epoch + 1, "taken_at": clock, "until": until},
                where=sa.or_(lease.c.until <= clock, lease.c.owner == self._owner),
            )
            epoch = connection.execute(taken.returning(lease.c.epoch)).scalar_one_or_none()
        return None if epoch is None else Lease(name, epoch)

    def renew(self, held: Lease, seconds: float, now: datetime) -> bool:
        """Hold it for so long from now; False where another instance took it meanwhile."""
        with self._database.write() as connection:
            renewed = connection.execute(
                sa.update(lease).where(self._is(held)).values(until=lease_end(self._database, now, seconds))
            )
        return renewed.rowcount == 1

    def release(self, held: Lease) -> None:
        """Give it back; nothing happens where another instance took it meanwhile. Repeating is safe."""
        with self._database.write() as connection:
            connection.execute(sa.delete(lease).where(self._is(held)))

    def _is(self, held: Lease) -> sa.ColumnElement[bool]:
        return sa.and_(lease.c.name == held.name, lease.c.owner == self._owner, lease.c.epoch == held.epoch)
