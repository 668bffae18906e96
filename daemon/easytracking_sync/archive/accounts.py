"""The account table: identities, labels, pauses and the schedule's notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import journal
from easytracking_sync.archive.database import ACCOUNT_ID, ArchivePart
from easytracking_sync.archive.tables import account, document, upsert
from easytracking_sync.errors import Outdated, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.terms import PauseReason, PauseStatus
from easytracking_sync.transition import AccountMove


@dataclass(frozen=True, slots=True)
class AccountEntry:
    id: int
    label: str
    base_url: str
    username: str

    @property
    def identity(self) -> tuple[str, str]:
        """(base URL, user name): accounts with the same pair are the same account, whatever their labels."""
        return self.base_url, self.username


_THIS = account.c.id == ACCOUNT_ID
_FIND = sa.select(account.c.id).where(
    account.c.base_url == sa.bindparam("base_url"), account.c.username == sa.bindparam("username")
)
_PAUSE = sa.select(account.c.pause_reason, account.c.paused_until).where(_THIS)
_LOCK = sa.select(account.c.id).where(_THIS).with_for_update(key_share=True)
_PAUSE_FIELDS = tuple(field.name for field in fields(PauseStatus))
_PAUSE_STATUS = sa.select(*(account.c[name] for name in _PAUSE_FIELDS)).where(_THIS)


class Accounts(ArchivePart):
    """The account table. Base URL and user name identify an account; its label may change."""

    def register(self, label: str, base_url: str, username: str, now: datetime) -> int:
        """The id of this account; adds or relabels it if necessary. Repeating is safe.

        UsageError if the label belongs to another service or user: document ids would collide.
        """
        with self._database.write() as connection:
            named = connection.execute(sa.select(account).where(account.c.label == label)).one_or_none()
            known = connection.execute(
                sa.select(account).where(account.c.base_url == base_url, account.c.username == username)
            ).one_or_none()
            if named is not None and (known is None or known.id != named.id):
                raise UsageError(
                    f"accounts.{label} was {named.username} at {named.base_url} in this archive; if the same account "
                    f"has a new address or user name, run `easytracking-sync accounts move {label}`; otherwise give "
                    "the other account another label, since its document ids would collide"
                )
            if known is None:
                return _add(connection, label, base_url, username, now)
            if known.label != label:
                connection.execute(sa.update(account).where(account.c.id == known.id).values(label=label))
                detail = {"from": known.label, "to": label}
                journal.record(connection, EventName.ACCOUNT_RENAMED, now, account_id=known.id, detail=detail)
            return int(known.id)

    def find(self, base_url: str, username: str) -> int | None:
        """The id of this account, or None if the archive does not know it."""
        with self._database.read() as connection:
            found: int | None = connection.execute(
                _FIND, {"base_url": base_url, "username": username}
            ).scalar_one_or_none()
        return found

    def entries(self) -> tuple[AccountEntry, ...]:
        """Every account in the archive, by label."""
        query = sa.select(account.c.id, account.c.label, account.c.base_url, account.c.username)
        with self._database.read() as connection:
            return tuple(AccountEntry(*row) for row in connection.execute(query.order_by(account.c.label)))

    def rename(self, old: str, new: str, now: datetime) -> None:
        """Change an account's label; it keeps its documents. Safe while the service runs.

        UsageError if `old` does not exist, or if another account has the label `new`.
        """
        with self._database.write() as connection:
            ids = {
                row.label: row.id
                for row in connection.execute(
                    sa.select(account.c.id, account.c.label).where(account.c.label.in_((old, new)))
                )
            }
            if old not in ids:
                raise UsageError(f"the archive has no account {old}")
            if new in ids:
                raise UsageError(f"{new} is the label of another account; labels must be unique")
            connection.execute(sa.update(account).where(account.c.id == ids[old]).values(label=new))
            detail = {"from": old, "to": new}
            journal.record(connection, EventName.ACCOUNT_RENAMED, now, account_id=ids[old], detail=detail)

    def move(self, label: str, base_url: str, username: str, now: datetime) -> None:
        """Give an account a new address or user name; it keeps its documents and its history.

        UsageError if the label does not exist, or if another account has this address and user name.
        """
        with self._database.write() as connection:
            moved = connection.execute(sa.select(account).where(account.c.label == label)).one_or_none()
            if moved is None:
                raise UsageError(f"the archive has no account {label}")
            identity = {"base_url": base_url, "username": username}
            other = connection.execute(_FIND, identity).scalar_one_or_none()
            if other is not None and other != moved.id:
                raise UsageError(
                    f"the archive has another account for {username} at {base_url}; an account cannot take over the "
                    "documents of another: see accounts list"
                )
            connection.execute(sa.update(account).where(account.c.id == moved.id).values(identity))
            detail = {"from": f"{moved.username} at {moved.base_url}", "to": f"{username} at {base_url}"}
            journal.record(connection, EventName.ACCOUNT_MOVED, now, account_id=moved.id, detail=detail)

    def shared_documents(self) -> Sequence[tuple[str, str, int]]:
        """Pairs of accounts that have documents of the same ids, and how many."""
        one, other = document.alias("one"), document.alias("other")
        first, second = account.alias("first"), account.alias("second")
        query = (
            sa.select(first.c.label, second.c.label, sa.func.count())
            .select_from(one)
            .join(other, (other.c.doc_id == one.c.doc_id) & (other.c.account_id > one.c.account_id))
            .join(first, first.c.id == one.c.account_id)
            .join(second, second.c.id == other.c.account_id)
            .group_by(first.c.label, second.c.label)
            .order_by(first.c.label, second.c.label)
        )
        with self._database.read() as connection:
            return [(row[0], row[1], int(row[2])) for row in connection.execute(query)]

    def pause_status(self, account_id: int) -> PauseStatus:
        """Whether the account is paused, and its refusals in a row."""
        with self._database.read() as connection:
            return _pause_status(connection, account_id)

    def change(self, move: AccountMove, now: datetime) -> None:
        """Change it, with a row in the journal where the move has a name; Outdated where it has changed meanwhile."""
        with self._database.write() as connection:
            write(connection, move)
            if move.name:
                journal.record(connection, move.name, now, account_id=move.before.id, detail=move.detail)

    def note_trouble(self, account_id: int, trouble: str | None) -> None:
        """Why the account's list does not come; None when it came. Written only where that is news."""
        changed = account.c.trouble.is_distinct_from(trouble)
        with self._database.read() as connection:
            if connection.execute(sa.select(account.c.id).where(account.c.id == account_id, changed)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(sa.update(account).where(account.c.id == account_id).values(trouble=trouble))

    def note_next_runs(self, runs: Mapping[int, datetime]) -> None:
        """Write down when the service plans to list each of these accounts again."""
        with self._database.write() as connection:
            for account_id, at in sorted(runs.items()):
                connection.execute(sa.update(account).where(account.c.id == account_id).values(next_run_at=at))

    def forget_next_runs(self, runs: Mapping[int, datetime]) -> None:
        """Clear these plans, except where another instance has written a newer one."""
        with self._database.write() as connection:
            for account_id, at in sorted(runs.items()):
                mine = account.c.id == account_id, account.c.next_run_at == at
                connection.execute(sa.update(account).where(*mine).values(next_run_at=None))

    def reconcile_since(self, account_id: int) -> datetime | None:
        """Since when the account is to be compared with the service, after a restore; None if it need not be."""
        query = sa.select(account.c.reconcile_since).where(account.c.id == account_id)
        with self._database.read() as connection:
            since: datetime | None = connection.execute(query).scalar_one()
        return since

    def note_reconciled(self, account_id: int, since: datetime, now: datetime) -> None:
        """The comparison that began with this `reconcile_since` is complete; a newer one stays due."""
        mine = account.c.id == account_id, account.c.reconcile_since == since
        with self._database.write() as connection:
            done = connection.execute(
                sa.update(account).where(*mine).values(reconcile_since=None, reconcile_reason=None)
            )
            if done.rowcount:
                journal.record(connection, EventName.ACCOUNT_RECONCILED, now, account_id=account_id)

    def turn(self, account_id: int) -> int:
        """A number that grows by one with each call; it chooses which older window is listed next."""
        with self._database.write() as connection:
            turn: int = connection.execute(
                sa.update(account)
                .where(account.c.id == account_id)
                .values(rotation=account.c.rotation + 1)
                .returning(account.c.rotation)
            ).scalar_one()
        return turn - 1

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        """End these accounts' pauses (only those with `reason`, if given)."""
        pauses = account.c.id.in_(account_ids) & account.c.pause_reason.is_not(None)
        if reason is not None:
            pauses &= account.c.pause_reason == reason
        with self._database.read() as connection:
            if connection.execute(sa.select(account.c.id).where(pauses).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(
                sa.update(account)
                .where(pauses)
                .values(pause_reason=None, paused_until=None, pause_message=None, slow_pauses=0)
            )

    def paused(self, account_id: int, now: datetime) -> PauseReason | None:
        """Why the account is paused now, or None."""
        with self._database.read() as connection:
            row = connection.execute(_PAUSE, {"account_id": account_id}).one()
        return PauseReason(row.pause_reason) if row.pause_reason and row.paused_until > now else None

    def pauses(self, now: datetime) -> Mapping[int, PauseReason]:
        """Account id → reason, for the accounts that are paused now."""
        query = sa.select(account.c.id, account.c.pause_reason).where(account.c.paused_until > now)
        with self._database.read() as connection:
            return {
                row.id: PauseReason(row.pause_reason) for row in connection.execute(query.order_by(account.c.label))
            }


def lock(connection: Connection, account_id: int) -> None:
    """Lock the account's row until the transaction ends: no other transaction plans, lists or counts for it."""
    connection.execute(_LOCK, {"account_id": account_id})


def write(connection: Connection, move: AccountMove) -> None:
    """Lock the account and change it; Outdated if it has changed since the move was decided."""
    lock(connection, move.before.id)
    if _pause_status(connection, move.before.id) != move.before:
        raise Outdated(f"account {move.before.id} has changed since it was read")
    values = {
        name: getattr(move.after, name)
        for name in _PAUSE_FIELDS
        if getattr(move.after, name) != getattr(move.before, name)
    }
    if values:
        connection.execute(sa.update(account).where(account.c.id == move.before.id).values(**values))


def _pause_status(connection: Connection, account_id: int) -> PauseStatus:
    row = connection.execute(_PAUSE_STATUS, {"account_id": account_id}).one()
    reason = PauseReason(row.pause_reason) if row.pause_reason else None
    return replace(PauseStatus(*row), pause_reason=reason)


def _add(connection: Connection, label: str, base_url: str, username: str, now: datetime) -> int:
    """Insert an account; returns its id, also if another instance inserts the same one at the same time."""
    row = {"label": label, "base_url": base_url, "username": username, "created_at": now}
    new = upsert(connection, account).on_conflict_do_nothing().returning(account.c.id)
    added: int | None = connection.execute(new, row).scalar_one_or_none()
    if added is None:
        return int(connection.execute(_FIND, {"base_url": base_url, "username": username}).scalar_one())
    journal.record(connection, EventName.ACCOUNT_ADDED, now, account_id=added)
    return added
