"""What was told to whoever watches over the archive, so that nothing is told twice: not after a restart, and not by
a second instance on the same database. Every change compares before it sets."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import alarm, told, upsert


@dataclass(frozen=True, slots=True)
class KnownAlarm:
    """An alarm that was told, is being told, or whose end is."""

    key: str
    kind: str
    account_id: int | None
    amount: int
    begun_at: datetime
    taken_at: datetime
    told_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far news of some kind went."""

    at: datetime
    position: int


class Changes:
    """What is to be told of alarms, within one transaction: nothing may be told before it is committed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, key: str, kind: str, account_id: int | None, amount: int, now: datetime) -> bool:
        """A new alarm; whether it is this instance that tells it."""
        row = {"key": key, "kind": kind, "account_id": account_id, "amount": amount, "begun_at": now, "taken_at": now}
        new = upsert(self._connection, alarm).on_conflict_do_nothing().returning(alarm.c.key)
        return self._connection.execute(new, row).first() is not None

    def end(self, key: str, now: datetime) -> bool:
        """An alarm that was told is over; whether it is this instance that tells so."""
        return self._change(
            sa.update(alarm)
            .where(alarm.c.key == key, alarm.c.ended_at.is_(None), alarm.c.told_at.is_not(None))
            .values(ended_at=now, taken_at=now)
        )

    def take_again(self, known: KnownAlarm, now: datetime) -> bool:
        """Tell anew what nobody accepted; whether it is this instance that does."""
        return self._change(
            sa.update(alarm).where(alarm.c.key == known.key, alarm.c.taken_at == known.taken_at).values(taken_at=now)
        )

    def grow(self, known: KnownAlarm, amount: int, now: datetime) -> bool:
        """It became worse since it was told; whether it is this instance that tells so."""
        return self._change(
            sa.update(alarm)
            .where(alarm.c.key == known.key, alarm.c.told_at == known.told_at, alarm.c.ended_at.is_(None))
            .values(amount=amount, told_at=now)
        )

    def revive(self, key: str) -> None:
        """It came back before anybody heard of its end."""
        self._change(sa.update(alarm).where(alarm.c.key == key).values(ended_at=None))

    def drop(self, key: str) -> None:
        """It was over before anybody heard of it."""
        self._change(sa.delete(alarm).where(alarm.c.key == key, alarm.c.told_at.is_(None)))

    def _change(self, statement: sa.Update | sa.Delete) -> bool:
        return self._connection.execute(statement).rowcount == 1


class Alarms:
    """The tables `alarm` and `told`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def is_alone(self) -> bool:
        """Whether no other instance can be telling."""
        return self._database.is_sqlite

    def known(self) -> tuple[KnownAlarm, ...]:
        """Every alarm that is not over, or whose end was not told."""
        columns = [alarm.c[name] for name in KnownAlarm.__dataclass_fields__]
        with self._database.read() as connection:
            return tuple(KnownAlarm(*row) for row in connection.execute(sa.select(*columns)))

    @contextlib.contextmanager
    def changing(self) -> Iterator[Changes]:
        """One transaction for all that a look found."""
        with self._database.write() as connection:
            yield Changes(connection)

    def accept(self, began: Collection[str], ended: Collection[str], now: datetime) -> None:
        """Somebody took note that these stand, and that those are over. Repeating is safe."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(alarm).where(alarm.c.key.in_(began), alarm.c.told_at.is_(None)).values(told_at=now)
            )
            connection.execute(sa.delete(alarm).where(alarm.c.key.in_(ended), alarm.c.ended_at.is_not(None)))

    def bookmark(self, name: str) -> Bookmark | None:
        """How far news of this name went; None before the first."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(told.c.at, told.c.position).where(told.c.name == name)).one_or_none()
        return None if row is None else Bookmark(row.at, row.position)

    def move(self, name: str, old: Bookmark | None, new: Bookmark) -> bool:
        """News went on from `old` to `new`; whether it is this instance that tells them."""
        if old is None:
            with self._database.write() as connection:
                row = {"name": name, "at": new.at, "position": new.position}
                first = upsert(connection, told).on_conflict_do_nothing().returning(told.c.name)
                return connection.execute(first, row).first() is not None
        moved = (
            sa.update(told)
            .where(told.c.name == name, told.c.at == old.at, told.c.position == old.position)
            .values(at=new.at, position=new.position)
        )
        with self._database.write() as connection:
            return connection.execute(moved).rowcount == 1
