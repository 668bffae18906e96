"""The cycle table: what was listed, when, and how it ended. Idle cycles in a row share one row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import account, cycle


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One finished cycle of one account."""

    account_id: int
    kind: str  # sync | catch-up | reconcile
    begun_at: datetime
    windows: int
    listed: int
    discovered: int
    unreadable: int
    outcome: str  # complete, or the reason it was not

    @property
    def is_idle(self) -> bool:
        """Whether nothing new was found, so that it needs no row of its own."""
        return self.discovered == 0 and self.unreadable == 0 and self.outcome == "complete"


class Cycles:
    """The cycle table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, record: CycleRecord, now: datetime) -> None:
        """Record a cycle; a complete one also sets the account's last success."""
        with self._database.write() as connection:
            last = connection.execute(
                sa.select(cycle)
                .where(cycle.c.account_id == record.account_id, cycle.c.kind == record.kind)
                .order_by(cycle.c.id.desc())
                .limit(1)
            ).one_or_none()
            values = {
                "windows": record.windows,
                "listed": record.listed,
                "discovered": record.discovered,
                "unreadable": record.unreadable,
                "outcome": record.outcome,
                "ended_at": now,
            }
            idle_again = (
                record.is_idle
                and last is not None
                and not last.discovered + last.unreadable
                and last.outcome == "complete"
            )
            if last is not None and idle_again:
                values |= {"repeats": last.repeats + 1}
                connection.execute(sa.update(cycle).where(cycle.c.id == last.id).values(**values))
            else:
                values |= {"account_id": record.account_id, "kind": record.kind, "begun_at": record.begun_at}
                connection.execute(sa.insert(cycle), values)
            if record.outcome == "complete":
                connection.execute(
                    sa.update(account).where(account.c.id == record.account_id).values(last_success_at=now)
                )
