"""The operator's ways out: try a document again now, or accept it as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import journal
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.entries import DocumentEntry
from easytracking_sync.archive.leases import lease_clock
from easytracking_sync.archive.tables import batch, batch_document, document
from easytracking_sync.errors import Transient, UsageError
from easytracking_sync.terms import BatchState, DocumentState

PER_TRANSACTION = 200


class BusyDocument(Transient):
    """A worker holds the document's batch at this moment; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Hastened:
    """What a retry set going."""

    fetches: int = 0
    acknowledgements: int = 0


class Remedies:
    """Changes that only a person may ask for. Safe beside a running service, and safe to repeat."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def retry(self, entries: Sequence[DocumentEntry], now: datetime) -> Hastened:
        """Make these due now: quarantined documents to be fetched, unacknowledgeable ones to be acknowledged.

        A document that is in neither trouble any more is left alone and not counted.
        """
        fetches = acknowledgements = 0
        for start in range(0, len(entries), PER_TRANSACTION):
            with self._database.write() as connection:
                for entry in entries[start : start + PER_TRANSACTION]:
                    fetch = _hasten_fetch(connection, entry, now)
                    acknowledgement = not fetch and _hasten_acknowledgement(connection, entry, now)
                    fetches += fetch
                    acknowledgements += acknowledgement
                    if fetch or acknowledgement:
                        _record(connection, "document.retried", entry, now, {})
        return Hastened(fetches, acknowledgements)

    def accept(self, entry: DocumentEntry, reason: str, now: datetime) -> None:
        """Close a troubled document for good, with a reason; whatever files came stay.

        UsageError where it is in no trouble; BusyDocument where a worker holds its batch.
        """
        with self._database.write() as connection:
            if not (_accept_quarantined(connection, entry, reason) or _accept_stored(connection, entry, reason, now)):
                state = connection.execute(
                    sa.select(document.c.state).where(document.c.id == entry.row_id)
                ).scalar_one()
                raise UsageError(
                    f"{entry.shown_id} is {state}: only quarantined and unacknowledgeable documents can be accepted"
                )
            _record(connection, "document.accepted", entry, now, {"reason": reason})

    def hold(self, entries: Sequence[DocumentEntry], now: datetime, *, held: bool) -> None:
        """Leave these documents alone, since their phase is cleared on purpose; or, with `held` False, no longer."""
        name = "document.held" if held else "document.released"
        for start in range(0, len(entries), PER_TRANSACTION):
            with self._database.write() as connection:
                for entry in entries[start : start + PER_TRANSACTION]:
                    changed = connection.execute(
                        sa.update(document)
                        .where(document.c.id == entry.row_id, document.c.held != held)
                        .values(held=held)
                    )
                    if changed.rowcount:
                        _record(connection, name, entry, now, {})

    def note(self, entries: Sequence[DocumentEntry], name: str, detail: journal.Detail, now: datetime) -> None:
        """Write down what a person had done to these documents at the service. `name` is `noun.past`."""
        for start in range(0, len(entries), PER_TRANSACTION):
            with self._database.write() as connection:
                for entry in entries[start : start + PER_TRANSACTION]:
                    _record(connection, name, entry, now, detail)


def _hasten_fetch(connection: Connection, entry: DocumentEntry, now: datetime) -> bool:
    changed = connection.execute(
        sa.update(document)
        .where(document.c.id == entry.row_id, document.c.state == DocumentState.QUARANTINED)
        .values(next_attempt_at=now)
    )
    return changed.rowcount == 1


def _hasten_acknowledgement(connection: Connection, entry: DocumentEntry, now: datetime) -> bool:
    changed = connection.execute(
        sa.update(batch)
        .where(batch.c.id.in_(_stuck_batch(entry)), batch.c.state == BatchState.STORED)
        .values(next_attempt_at=now)
    )
    return changed.rowcount > 0


def _stuck_batch(entry: DocumentEntry) -> sa.Select[tuple[int]]:
    """The batch that carries an unacknowledgeable document; it carries nothing else."""
    return (
        sa.select(batch.c.id)
        .join(batch_document, batch_document.c.batch_id == batch.c.id)
        .join(document, document.c.id == batch_document.c.document_id)
        .where(
            document.c.id == entry.row_id,
            document.c.state == DocumentState.STORED,
            document.c.unacknowledgeable,
            batch_document.c.carried,
            batch.c.state == BatchState.STORED,
            batch.c.size == 1,
        )
    )


def _accept_quarantined(connection: Connection, entry: DocumentEntry, reason: str) -> bool:
    changed = connection.execute(
        sa.update(document)
        .where(document.c.id == entry.row_id, document.c.state == DocumentState.QUARANTINED)
        .values(state=DocumentState.ACCEPTED, next_attempt_at=None, reason=reason)
    )
    return changed.rowcount == 1


def _accept_stored(connection: Connection, entry: DocumentEntry, reason: str, now: datetime) -> bool:
    """The machine's (STORED, closed) → ABANDONED, done here: the batch is fenced by its epoch like any other move."""
    found = connection.execute(
        sa.select(batch.c.id, batch.c.epoch, batch.c.lease_until).where(batch.c.id.in_(_stuck_batch(entry)))
    ).one_or_none()
    if found is None:
        return False
    clock = lease_clock(is_sqlite=connection.dialect.name == "sqlite")
    free = sa.or_(batch.c.lease_until.is_(None), batch.c.lease_until <= clock)
    moved = connection.execute(
        sa.update(batch)
        .where(batch.c.id == found.id, batch.c.epoch == found.epoch, batch.c.state == BatchState.STORED, free)
        .values(
            state=BatchState.ABANDONED,
            epoch=found.epoch + 1,
            next_attempt_at=now,
            updated_at=now,
            lease_owner=None,
            lease_until=None,
        ),
        {"now": now},
    )
    if moved.rowcount != 1:
        raise BusyDocument(f"{entry.shown_id} is being worked on right now; try again in a moment")
    connection.execute(
        sa.update(document)
        .where(document.c.id == entry.row_id)
        .values(state=DocumentState.ACCEPTED, next_attempt_at=None, reason=reason)
    )
    return True


def _record(connection: Connection, name: str, entry: DocumentEntry, now: datetime, detail: journal.Detail) -> None:
    owner = connection.execute(sa.select(document.c.account_id).where(document.c.id == entry.row_id)).scalar_one()
    journal.record(connection, name, now, account_id=owner, document_id=entry.row_id, detail=detail)
