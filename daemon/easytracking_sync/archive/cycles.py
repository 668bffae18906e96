"""The cycle table: what was listed, when, and how it ended. Idle cycles in a row share one row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import ArchivePart
from easytracking_sync.archive.tables import account, cycle, gap
from easytracking_sync.terms import Gap, Window, WindowKind

GAPS = "gaps"
"""The outcome of a cycle that listed everything but its gaps."""


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
    gaps: tuple[Gap, ...] = ()  # what could not be listed
    covered: tuple[Window, ...] = ()  # windows that were listed to their end
    marked_too: bool = False

    @property
    def is_success(self) -> bool:
        """Whether everything was listed but for gaps that are as narrow as they can be."""
        narrow = self.gaps and all(one.window.halves() is None for one in self.gaps)
        return self.outcome == "complete" or bool(narrow and self.outcome == GAPS)

    @property
    def is_idle(self) -> bool:
        """Whether nothing new was found, so that it needs no row of its own."""
        return self.discovered == 0 and self.unreadable == 0 and self.outcome == "complete"


class Cycles(ArchivePart):
    def record(self, record: CycleRecord, now: datetime) -> None:
        """Record a cycle; a complete one also sets the account's last success."""
        with self._database.write() as connection:
            last = connection.execute(
                sa.select(cycle)
                .where(cycle.c.account_id == record.account_id, cycle.c.kind == record.kind)
                .order_by(cycle.c.id.desc())
                .limit(1)
            ).one_or_none()
            names = ("windows", "listed", "discovered", "unreadable", "outcome")
            values = {name: getattr(record, name) for name in names} | {"ended_at": now}
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
            _note_gaps(connection, record, now)
            if record.is_success:
                connection.execute(
                    sa.update(account).where(account.c.id == record.account_id).values(last_success_at=now)
                )

    def gaps(self, account_id: int) -> tuple[Gap, ...]:
        """The windows that the service did not list when it was last asked."""
        with self._database.read() as connection:
            return gaps_of(connection, account_id)


def gaps_of(connection: Connection, account_id: int) -> tuple[Gap, ...]:
    """The account's gaps, in order."""
    query = sa.select(gap).where(gap.c.account_id == account_id).order_by(gap.c.start, gap.c.marked)
    return tuple(
        Gap(Window(WindowKind(row.kind), row.start, row.end), row.marked, row.reason)
        for row in connection.execute(query)
    )


def gaps_by_account(connection: Connection) -> dict[int, int]:
    """How many gaps each account has."""
    query = sa.select(gap.c.account_id, sa.func.count().label("gaps")).group_by(gap.c.account_id)
    return {row.account_id: row.gaps for row in connection.execute(query)}


def _note_gaps(connection: Connection, record: CycleRecord, now: datetime) -> None:
    """What was listed to its end has the gaps that were found in it, and no others."""
    mine = gap.c.account_id == record.account_id
    phases = (False, True) if record.marked_too else (False,)
    found = {(one.window, one.marked): one for one in record.gaps}
    for row in connection.execute(sa.select(gap).where(mine, gap.c.marked.in_(phases))).all():
        window = Window(WindowKind(row.kind), row.start, row.end)
        if (window, row.marked) in found:
            del found[window, row.marked]
        elif any(one.contains(window) for one in record.covered):
            connection.execute(sa.delete(gap).where(gap.c.id == row.id))
    for one in found.values():
        window = one.window
        values = {"kind": window.kind, "start": window.start, "end": window.end, "marked": one.marked}
        connection.execute(
            sa.insert(gap).values(account_id=record.account_id, reason=one.reason, found_at=now, **values)
        )
