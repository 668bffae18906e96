"""Accounts: who they are, and whether they are paused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import journal
from easytracking_sync.archive.database import Database, upsert
from easytracking_sync.archive.tables import account, batch, batch_document, document
from easytracking_sync.errors import UsageError
from easytracking_sync.terms import Batch, BatchState, DocumentState, PauseReason, Purpose


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refused single document meant: whether it counts as an attempt, and whether the account pauses."""

    counts: bool
    paused_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """Who an account is."""

    id: int
    label: str
    base_url: str
    username: str

    @property
    def identity(self) -> tuple[str, str]:
        """(base URL, user name): what makes two accounts the same, whatever their labels."""
        return self.base_url, self.username


_THIS = account.c.id == sa.bindparam("account_id", type_=sa.Integer)
_FIND = sa.select(account.c.id).where(
    account.c.base_url == sa.bindparam("base_url"), account.c.username == sa.bindparam("username")
)
_PAUSE = sa.select(account.c.pause_reason, account.c.paused_until).where(_THIS)
_LOCK = sa.select(account.c.id).where(_THIS).with_for_update(key_share=True)
_FORGET = (
    sa.update(account)
    .where(_THIS, account.c.refused_in_row > 0)
    .values(refused_in_row=0, refused_since=None, pause_reason=None, paused_until=None, pause_message=None)
)


class Accounts:
    """The account table. An account is its base URL and user name; its label may change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, label: str, base_url: str, username: str, now: datetime) -> int:
        """The id of this account, made or relabelled if need be; repeating is safe.

        UsageError where the label already means another service or user: document ids would collide.
        """
        with self._database.write() as connection:
            named = connection.execute(sa.select(account).where(account.c.label == label)).one_or_none()
            known = connection.execute(
                sa.select(account).where(account.c.base_url == base_url, account.c.username == username)
            ).one_or_none()
            if named is not None and (known is None or known.id != named.id):
                raise UsageError(
                    f"accounts.{label} was {named.username} at {named.base_url} in this archive; "
                    "give the other account another label, since its document ids would collide"
                )
            if known is None:
                return _add(connection, label, base_url, username, now)
            if known.label != label:
                connection.execute(sa.update(account).where(account.c.id == known.id).values(label=label))
                detail = {"from": known.label, "to": label}
                journal.record(connection, "account.renamed", now, account_id=known.id, detail=detail)
            return int(known.id)

    def find(self, base_url: str, username: str) -> int | None:
        """The id of this account, where the archive knows it."""
        with self._database.read() as connection:
            found: int | None = connection.execute(
                _FIND, {"base_url": base_url, "username": username}
            ).scalar_one_or_none()
        return found

    def entries(self) -> tuple[AccountEntry, ...]:
        """Every account the archive knows, in alphabetical order of their labels."""
        query = sa.select(account.c.id, account.c.label, account.c.base_url, account.c.username)
        with self._database.read() as connection:
            return tuple(AccountEntry(*row) for row in connection.execute(query.order_by(account.c.label)))

    def rename(self, old: str, new: str, now: datetime) -> None:
        """Give an account another label; its documents stay its own. Safe beside a running service.

        UsageError where there is no `old`, or where `new` is another account's.
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
                raise UsageError(f"{new} is another account already; labels are given once")
            connection.execute(sa.update(account).where(account.c.id == ids[old]).values(label=new))
            detail = {"from": old, "to": new}
            journal.record(connection, "account.renamed", now, account_id=ids[old], detail=detail)

    def pause_slowly(
        self, account_id: int, reason: PauseReason, pauses: Sequence[float], message: str, now: datetime
    ) -> datetime:
        """Pause an account by the next of `pauses` (seconds; the last stays) until it is resumed; until when."""
        with self._database.write() as connection:
            lock_account(connection, account_id)
            row = connection.execute(sa.select(account.c.slow_pauses).where(account.c.id == account_id)).one()
            until = now + timedelta(seconds=pauses[min(row.slow_pauses, len(pauses) - 1)])
            again = row.slow_pauses + 1
            connection.execute(sa.update(account).where(account.c.id == account_id).values(slow_pauses=again))
            _pause(connection, account_id, reason, until, message, now)
        return until

    def note_trouble(self, account_id: int, trouble: str | None) -> None:
        """Why the account's list does not come; None when it came. Written only where that is news."""
        changed = account.c.trouble.is_distinct_from(trouble)
        with self._database.read() as connection:
            if connection.execute(sa.select(account.c.id).where(account.c.id == account_id, changed)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(sa.update(account).where(account.c.id == account_id).values(trouble=trouble))

    def note_next_runs(self, runs: Mapping[int, datetime]) -> None:
        """When the service means to list each of these accounts again."""
        with self._database.write() as connection:
            for account_id, at in sorted(runs.items()):
                connection.execute(sa.update(account).where(account.c.id == account_id).values(next_run_at=at))

    def forget_next_runs(self, runs: Mapping[int, datetime]) -> None:
        """It means so no more; what another instance has noted since is left alone."""
        with self._database.write() as connection:
            for account_id, at in sorted(runs.items()):
                mine = account.c.id == account_id, account.c.next_run_at == at
                connection.execute(sa.update(account).where(*mine).values(next_run_at=None))

    def turn(self, account_id: int) -> int:
        """A number that grows by one with each call: which of the older windows is listed next."""
        with self._database.write() as connection:
            turn: int = connection.execute(
                sa.update(account)
                .where(account.c.id == account_id)
                .values(rotation=account.c.rotation + 1)
                .returning(account.c.rotation)
            ).scalar_one()
        return turn - 1

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        """End these accounts' pauses (of that reason only, if one is given)."""
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
        """Why the account is paused at this instant, if it is."""
        with self._database.read() as connection:
            row = connection.execute(_PAUSE, {"account_id": account_id}).one()
        return PauseReason(row.pause_reason) if row.pause_reason and row.paused_until > now else None

    def pauses(self, now: datetime) -> Mapping[int, PauseReason]:
        """Account → why it is paused at this instant, for those that are."""
        query = sa.select(account.c.id, account.c.pause_reason).where(account.c.paused_until > now)
        with self._database.read() as connection:
            return {
                row.id: PauseReason(row.pause_reason) for row in connection.execute(query.order_by(account.c.label))
            }


def lock_account(connection: Connection, account_id: int) -> None:
    """Until this transaction ends, no other one counts, plans or lists for this account (SQLite's are alone anyway).

    Every transaction locks in one order, so that none waits for one that waits for it: a batch, accounts, documents.
    """
    connection.execute(_LOCK, {"account_id": account_id})


def _add(connection: Connection, label: str, base_url: str, username: str, now: datetime) -> int:
    """A new account, unless another instance adds the same one at this moment: then its id."""
    row = {"label": label, "base_url": base_url, "username": username, "created_at": now}
    new = upsert(connection, account).on_conflict_do_nothing().returning(account.c.id)
    added: int | None = connection.execute(new, row).scalar_one_or_none()
    if added is None:
        return int(connection.execute(_FIND, {"base_url": base_url, "username": username}).scalar_one())
    journal.record(connection, "account.added", now, account_id=added)
    return added


def count_refusal(
    connection: Connection, refused: Batch, now: datetime, *, to_pause: int, pause_seconds: float
) -> Refusal:
    """Within the transaction that abandons a refused single document: is it the document, or the account?

    The caller has locked the account.

    Fresh documents refused one after the other, with no success between and none in the batches they came from,
    mean a lost permission. Then the account pauses, what was counted against those documents is taken back, and the
    batches that were still to be reserved are recalled.
    """
    row = connection.execute(sa.select(account).where(account.c.id == refused.account_id)).one()
    until = now + timedelta(seconds=pause_seconds)
    if row.refused_in_row >= to_pause:
        _recall(connection, row.id, until, now)
        _pause(connection, row.id, PauseReason.PERMISSION, until, "every document is refused", now)
        return Refusal(counts=False, paused_until=until)
    kin_accepted = connection.execute(
        sa.select(batch.c.id).where(batch.c.root_id == refused.root_id, batch.c.reserved_at.is_not(None)).limit(1)
    ).first()
    if kin_accepted is not None or refused.purpose is not Purpose.FRESH:
        return Refusal(counts=True)
    in_row = row.refused_in_row + 1
    since = row.refused_since or now
    connection.execute(
        sa.update(account).where(account.c.id == row.id).values(refused_in_row=in_row, refused_since=since)
    )
    if in_row < to_pause:
        return Refusal(counts=True)
    connection.execute(
        sa.update(document)
        .where(
            document.c.account_id == row.id,
            document.c.state == DocumentState.DISCOVERED,
            document.c.suspect,
            document.c.attempts == 1,
            document.c.failed_at >= since,
        )
        .values(attempts=0, next_attempt_at=until)
    )
    _recall(connection, row.id, until, now)
    _pause(connection, row.id, PauseReason.PERMISSION, until, f"{in_row} documents in a row were refused", now)
    return Refusal(counts=False, paused_until=until)


def forget_refusals(connection: Connection, account_id: int) -> None:
    """A reservation went through: whatever was refused before was the documents' own affair."""
    connection.execute(_FORGET, {"account_id": account_id})


def _recall(connection: Connection, account_id: int, until: datetime, now: datetime) -> None:
    """The machine's (PLANNED, paused) → ABANDONED, for all that is still to be reserved; no attempt is counted.

    Left where they are, these batches would take every place there is, and each hourly probe would be one of them:
    what arrives meanwhile, and may well be had, would never be asked for. Halves of what was refused are suspects.
    """
    recalled = connection.execute(
        sa.update(batch)
        .where(
            batch.c.account_id == account_id,
            batch.c.state == BatchState.PLANNED,
            batch.c.purpose.in_((Purpose.FRESH, Purpose.SUSPECT)),
            batch.c.lease_owner.is_(None),
        )
        .values(state=BatchState.ABANDONED, epoch=batch.c.epoch + 1, next_attempt_at=now, updated_at=now)
        .returning(batch.c.id, batch.c.root_id)
    ).all()
    for row in recalled:
        carried = sa.select(batch_document.c.document_id).where(
            batch_document.c.batch_id == row.id, batch_document.c.carried
        )
        values: dict[str, object] = {"state": DocumentState.DISCOVERED, "next_attempt_at": until}
        if row.root_id != row.id:
            values |= {"suspect": True, "failed_at": now}
        connection.execute(sa.update(document).where(document.c.id.in_(carried)).values(**values))
        connection.execute(sa.update(batch_document).where(batch_document.c.batch_id == row.id).values(carried=False))
        detail: journal.Detail = {"reason": "the account pauses, since every document is refused"}
        journal.record(connection, "batch.abandoned", now, account_id=account_id, batch_id=row.id, detail=detail)


def _pause(
    connection: Connection, account_id: int, reason: PauseReason, until: datetime, message: str, now: datetime
) -> None:
    connection.execute(
        sa.update(account)
        .where(account.c.id == account_id)
        .values(pause_reason=reason, paused_until=until, pause_message=message)
    )
    detail = {"reason": reason.value, "until": until.isoformat(), "message": message}
    journal.record(connection, "account.paused", now, account_id=account_id, detail=detail)
