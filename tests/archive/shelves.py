"""An archive on a clock that only tests move, with short words for what the machine does to it."""

from __future__ import annotations

import functools
import hashlib
import random
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.batch_rows import insert_batch
from easytracking_sync.archive.blobs import BlobSource
from easytracking_sync.archive.claiming import Wanted
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.intake import Absorbed, Listed
from easytracking_sync.archive.landing import Terms
from easytracking_sync.archive.settling import Commit
from easytracking_sync.archive.store import Archive, open_archive
from easytracking_sync.effects import Effects
from easytracking_sync.terms import (
    LIVE_STATES,
    BatchState,
    Claim,
    DocumentState,
    Fate,
    Landed,
    Landing,
    ListedDocument,
    PauseReason,
    Purpose,
    StoredFile,
)

DAWN = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)

ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
"""For tests of what SQLite alone has: a file, its leases by our own clock, its plans of queries."""


class StandingClock:
    """Time that moves only when it is told to; waiting moves it too."""

    def __init__(self) -> None:
        self._now = DAWN

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - DAWN).total_seconds()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.forward(seconds)
        return wake.is_set()

    def forward(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@functools.cache
def empty_archive() -> bytes:
    """A migrated database as bytes, made once a worker."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        database = Database(f"sqlite:///{path}")
        schema.migrate(database)
        database.close()
        return path.read_bytes()


def source_of(content: bytes, piece: int = 65_536) -> BlobSource:
    """Bytes on their way in, `piece` at a time."""
    pieces = [content[start : start + piece] for start in range(0, len(content), piece)]
    return BlobSource(hashlib.sha256(content).hexdigest(), len(content), lambda: iter(pieces))


def listed(doc_id: int, **fields: Any) -> ListedDocument:
    """One element of a list; its fingerprint follows its fields."""
    raw = repr((doc_id, sorted(fields.items()))).encode()
    return ListedDocument(doc_id, raw, hashlib.sha256(raw).hexdigest(), **fields)


class Shelf:
    """One archive, and what a machine would do to it."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.clock = StandingClock()
        self.path = folder / "archive.db"
        self.folder = folder
        self._url = url or f"sqlite:///{self.path}"
        if url is None:
            self.path.write_bytes(empty_archive())
            self.path.chmod(0o600)
        self._opened: list[Archive] = []
        self.archive = self.open("one")

    def open(self, owner: str) -> Archive:
        """The same archive as another worker has it."""
        effects = Effects(clock=self.clock, dice=random.Random(1))
        archive = open_archive(self._url, self.folder / "spool", effects, owner=owner)
        self._opened.append(archive)
        return archive

    def close(self) -> None:
        for archive in self._opened:
            archive.close()

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def account(self, label: str = "acme") -> int:
        return self.archive.accounts.register(label, "http://127.0.0.1:9", label, self.now)

    def absorb(
        self, account_id: int, documents: Iterable[ListedDocument | int], by: Archive | None = None, **how: Any
    ) -> Absorbed:
        """Take in a listing that began now; `by` is the instance that does it."""
        elements = [listed(one) if isinstance(one, int) else one for one in documents]
        given: dict[str, Any] = {"begun_at": self.now, "unmarked": True} | how
        return (by or self.archive).pool.absorb(Listed(account_id, elements, **given), self.now)

    def planned(self, doc_ids: Iterable[int], label: str = "acme") -> int:
        """Documents of an account, in a batch to be reserved; the account's id."""
        account_id = self.account(label)
        self.absorb(account_id, doc_ids)
        self.archive.pool.plan([account_id], self.now, jobs_in_flight=100)
        return account_id

    def batch(self, account_id: int, doc_ids: Iterable[int], state: BatchState = BatchState.PLANNED) -> int:
        """A batch of exactly these documents, in this state; its id."""
        wanted = list(doc_ids)
        self.absorb(account_id, wanted)
        document, batch = tables.document, tables.batch
        carried = (document.c.account_id == account_id, document.c.doc_id.in_(wanted))
        values = {"job_id": "job", "parcel": "parcel"} if state is not BatchState.PLANNED else {}
        document_state = DocumentState.STORED if state is BatchState.STORED else DocumentState.BATCHED
        with self.archive.database.write() as connection:
            ids = connection.execute(
                sa.update(document).where(*carried).values(state=document_state).returning(document.c.id)
            )
            batch_id = insert_batch(connection, account_id, state, Purpose.FRESH, sorted(ids.scalars()), self.now)
            if values:
                connection.execute(sa.update(batch).where(batch.c.id == batch_id).values(**values))
        return batch_id

    def wanted(
        self, account_ids: Sequence[int], *states: BatchState, jobs_in_flight: int = 100, **how: Any
    ) -> Wanted:
        return Wanted(account_ids, states or LIVE_STATES, jobs_in_flight, **how)

    def claim(self, account_id: int, *states: BatchState) -> Claim:
        """A claim that must be there."""
        claim = self.archive.batches.claim(self.wanted([account_id], *states), self.now)
        assert claim is not None
        return claim

    def claims(self, account_id: int) -> list[Claim]:
        """Claims on every due batch, held side by side."""
        held: list[Claim] = []
        while True:
            performing = [claim.batch.id for claim in held]
            claim = self.archive.batches.claim(self.wanted([account_id], performing=performing), self.now)
            if claim is None:
                return held
            held.append(claim)

    def end_leases(self) -> None:
        """As if every lease had run out."""
        with self.archive.database.write() as connection:
            connection.execute(sa.update(tables.batch).values(lease_owner=None, lease_until=None))

    def pause(self, account_id: int, reason: PauseReason, how_long: timedelta) -> None:
        """As if the machine had paused the account now."""
        values = {"pause_reason": reason, "paused_until": self.now + how_long, "pause_message": "why"}
        with self.archive.database.write() as connection:
            connection.execute(sa.update(tables.account).where(tables.account.c.id == account_id).values(**values))

    def terms(self, most: int = 8) -> Terms:
        """A machine that gives up after `most` attempts."""

        def setback(attempts: int) -> tuple[DocumentState, datetime]:
            state = DocumentState.QUARANTINED if attempts >= most else DocumentState.DISCOVERED
            return state, self.now + timedelta(seconds=1)

        return Terms(setback, self.now + timedelta(seconds=1))

    def moved(self, claim: Claim, state: BatchState, *, batch: dict[str, Any] | None = None, **commit: Any) -> Commit:
        """The commit that moves a claimed batch to a state."""
        after = replace(claim.batch, state=state, next_attempt_at=self.now, **(batch or {}))
        return Commit(claim=claim, after=after, name=f"batch.{state}", terms=self.terms(), **commit)

    def move(self, claim: Claim, state: BatchState, *, batch: dict[str, Any] | None = None, **commit: Any) -> None:
        self.archive.batches.commit(self.moved(claim, state, batch=batch, **commit), self.now)

    def store(self, account_id: int, files: Callable[[int], dict[str, bytes]] | None = None) -> Claim:
        """Bring the account's planned batch to STORED with these files of each docId; a claim on it."""
        claim = self.claim(account_id, BatchState.PLANNED)
        self.move(claim, BatchState.RESERVED, batch={"job_id": "job", "reserved_at": self.now}, accepted=True)
        self.move(self.claim(account_id, BatchState.RESERVED), BatchState.FETCHED, batch={"parcel": "parcel"})
        claim = self.claim(account_id, BatchState.FETCHED)
        contents = files or (lambda doc_id: {"FA": f"<invoice {doc_id}>".encode()})
        landed = tuple(
            Landed(document, Landing.WHOLE, self.files(contents(document.doc_id))) for document in claim.documents
        )
        self.move(claim, BatchState.STORED, fate=Fate.LANDED, landed=landed)
        return self.claim(account_id, BatchState.STORED)

    def files(self, contents: dict[str, bytes], by: Archive | None = None) -> tuple[StoredFile, ...]:
        """Keep these bytes, and name them as a parcel would."""
        sources = {kind: source_of(content) for kind, content in contents.items()}
        (by or self.archive).blobs.put(sources.values())
        return tuple(StoredFile(kind, f"{kind}.xml", one.size, one.sha256) for kind, one in sources.items())

    def rows(self, query: sa.Executable) -> list[Any]:
        with self.archive.database.read() as connection:
            return list(connection.execute(query).all())

    def states(self, account_id: int) -> dict[int, str]:
        """The account's documents and their states."""
        document = tables.document
        query = sa.select(document.c.doc_id, document.c.state).where(document.c.account_id == account_id)
        return {row.doc_id: row.state for row in self.rows(query)}

    def batches(self, *columns: str) -> list[tuple[Any, ...]]:
        """Columns of every batch, the oldest first."""
        batch = tables.batch
        return [tuple(row) for row in self.rows(sa.select(*(batch.c[name] for name in columns)).order_by(batch.c.id))]

    def events(self, name: str) -> list[Any]:
        return self.rows(sa.select(tables.event).where(tables.event.c.name == name).order_by(tables.event.c.id))

    def document(self, account_id: int, doc_id: int) -> Any:
        """One document's row."""
        document = tables.document
        (row,) = self.rows(
            sa.select(document).where(document.c.account_id == account_id, document.c.doc_id == doc_id)
        )
        return row

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, to tell that nothing changed."""
        return {
            table.name: [tuple(row) for row in self.rows(sa.select(table).order_by(*table.primary_key))]
            for table in tables.metadata.sorted_tables
        }
