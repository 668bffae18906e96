"""Which alarms and news were sent, so that none is sent twice: after a restart, or by a second instance on the same
database. Every change is a compare-and-set."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.alarm_terms import KnownAlarm
from easytracking_sync.archive.database import ArchivePart
from easytracking_sync.archive.tables import alarm, told, upsert


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The last journal row that news of one kind covered."""

    at: datetime
    position: int


class AlarmChanges:
    """Changes of alarms in one transaction. Send messages only after the commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, key: str, kind: str, account_id: int | None, amount: int, now: datetime) -> bool:
        """Insert a new alarm; True if this instance is to send it."""
        row = {"key": key, "kind": kind, "account_id": account_id, "amount": amount, "begun_at": now, "taken_at": now}
        new = upsert(self._connection, alarm).on_conflict_do_nothing().returning(alarm.c.key)
        return self._connection.execute(new, row).first() is not None

    def end(self, key: str, now: datetime) -> bool:
        """End an alarm that was sent; True if this instance is to send its end."""
        return self._change(
            sa.update(alarm)
            .where(alarm.c.key == key, alarm.c.ended_at.is_(None), alarm.c.told_at.is_not(None))
            .values(ended_at=now, taken_at=now)
        )

    def take_again(self, known: KnownAlarm, now: datetime) -> bool:
        """Retry a message that was not delivered; True if this instance is to send it."""
        return self._change(
            sa.update(alarm).where(alarm.c.key == known.key, alarm.c.taken_at == known.taken_at).values(taken_at=now)
        )

    def grow(self, known: KnownAlarm, amount: int, now: datetime) -> bool:
        """Record that a sent alarm became worse; True if this instance is to send that."""
        return self._change(
            sa.update(alarm)
            .where(alarm.c.key == known.key, alarm.c.told_at == known.told_at, alarm.c.ended_at.is_(None))
            .values(amount=amount, told_at=now)
        )

    def revive(self, key: str) -> None:
        """Reopen an alarm whose end was not sent yet."""
        self._change(sa.update(alarm).where(alarm.c.key == key).values(ended_at=None))

    def drop(self, key: str) -> None:
        """Delete an alarm that was not sent yet."""
        self._change(sa.delete(alarm).where(alarm.c.key == key, alarm.c.told_at.is_(None)))

    def _change(self, statement: sa.Update | sa.Delete) -> bool:
        return self._connection.execute(statement).rowcount == 1


class Alarms(ArchivePart):
    """The tables `alarm` and `told`."""

    @property
    def is_alone(self) -> bool:
        """Whether no other instance can send alarms (SQLite)."""
        return self._database.is_sqlite

    def known(self) -> tuple[KnownAlarm, ...]:
        """Every alarm that is not over, or whose end was not sent yet."""
        columns = [alarm.c[name] for name in KnownAlarm.__dataclass_fields__]
        with self._database.read() as connection:
            return tuple(KnownAlarm(*row) for row in connection.execute(sa.select(*columns)))

    @contextlib.contextmanager
    def changing(self) -> Iterator[AlarmChanges]:
        """One transaction for all changes that one check found."""
        with self._database.write() as connection:
            yield AlarmChanges(connection)

    def accept(self, began: Collection[str], ended: Collection[str], now: datetime) -> None:
        """Record that the messages about these alarms, and about those ends, were delivered. Repeating is safe."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(alarm).where(alarm.c.key.in_(began), alarm.c.told_at.is_(None)).values(told_at=now)
            )
            connection.execute(sa.delete(alarm).where(alarm.c.key.in_(ended), alarm.c.ended_at.is_not(None)))

    def bookmark(self, name: str) -> Bookmark | None:
        """The bookmark of this name; None before the first news."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(told.c.at, told.c.position).where(told.c.name == name)).one_or_none()
        return None if row is None else Bookmark(row.at, row.position)

    def move(self, name: str, old: Bookmark | None, new: Bookmark) -> bool:
        """Move a bookmark from `old` to `new`; True if this instance is to send the news between them."""
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
