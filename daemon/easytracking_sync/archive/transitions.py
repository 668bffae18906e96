"""The commit: applies the machine's decisions, each with all its changes in one transaction.

Every transaction takes its locks in this order, so that none can deadlock: batches, accounts, documents, and last
the journal's counter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import accounts, document_files, documents, journal
from easytracking_sync.archive.batches import Batches, insert_batch
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import batch_document, event
from easytracking_sync.events import EventName
from easytracking_sync.transition import Transition


class Transitions:
    """Applies what the machine decided, completely or not at all."""

    def __init__(self, database: Database, batches: Batches) -> None:
        self._database = database
        self._batches = batches

    def apply(self, transition: Transition, now: datetime) -> None:
        """Apply one transition; see `apply_all`."""
        self.apply_all((transition,), now)

    def apply_all(self, transitions: Sequence[Transition], now: datetime) -> None:
        """Apply all of them or none.

        StaleLease if another worker has taken a claimed batch; Outdated if anything else has changed since the
        decision. If the commit's answer is lost, `was_applied` finds out whether it took effect.
        """
        with self._database.write() as connection:
            for transition in transitions:
                for move in transition.batches:
                    self._batches.move(connection, move, now)
            for transition in sorted(transitions, key=lambda one: one.account_id):
                if transition.account is not None:
                    accounts.write(connection, transition.account)
                elif transition.new_batches or transition.discovered:
                    accounts.lock(connection, transition.account_id)
                if transition.planned_on is not None:
                    documents.expect_due(connection, transition.planned_on)
            for transition in transitions:
                documents.expect(connection, transition.documents)
            for transition in transitions:
                _write(connection, transition, now)

    def was_applied(self, transition: Transition) -> bool:
        """Whether this move of its first batch was committed, even if others have moved the batch since.

        A batch moves at most once per epoch: the journal records the move, and the row shows it until the next one.
        """
        move = transition.batches[0]
        told = sa.select(event.c.detail).where(
            event.c.batch_id == move.after.id, event.c.document_id.is_(None), event.c.name == move.name
        )
        with self._database.read() as connection:
            details = connection.execute(told).scalars().all()
        if any(json.loads(detail).get("epoch") == move.after.epoch for detail in details):
            return True
        return self._batches.is_as_left(move.after)


def _write(connection: Connection, transition: Transition, now: datetime) -> None:
    account_id = transition.account_id
    documents.write(connection, transition.documents)
    document_files.write(connection, transition.new_files, transition.seen_files, now)
    for move in transition.batches:
        if move.leaving:
            _leave(connection, move.before.id, move.leaving)
        if move.name is not None and move.name.in_journal:
            journal.record(
                connection, move.name, now, account_id=account_id, batch_id=move.before.id, detail=move.detail
            )
    carrier: dict[int, int] = {}
    for new in transition.new_batches:
        batch_id = insert_batch(connection, account_id, new, now)
        carrier |= dict.fromkeys(new.versions, batch_id)
    if transition.discovered:
        for document_id in documents.insert(connection, account_id, transition.discovered, now):
            journal.record(
                connection, EventName.DOCUMENT_DISCOVERED, now, account_id=account_id, document_id=document_id
            )
    for moved in transition.documents:
        if moved.name is not None:
            journal.record(
                connection,
                moved.name,
                now,
                account_id=account_id,
                batch_id=moved.batch_id or carrier.get(moved.before.id),
                document_id=moved.before.id,
                detail=moved.detail,
            )
    changed = transition.account
    if changed is not None and changed.name is not None:
        journal.record(connection, changed.name, now, account_id=account_id, detail=changed.detail)


def _leave(connection: Connection, batch_id: int, document_ids: Sequence[int]) -> None:
    leaving = batch_document.c.batch_id == batch_id, batch_document.c.document_id.in_(document_ids)
    connection.execute(sa.update(batch_document).where(*leaving).values(carried=False))
