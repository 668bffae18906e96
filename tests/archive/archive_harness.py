"""An archive with a clock that only tests move, and shortcuts for what the machine does to it."""

from __future__ import annotations

import functools
import hashlib
import random
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.blobs import BlobSource
from easytracking_sync.archive.claim_queries import ClaimCriteria
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.opening import Archive, open_archive
from easytracking_sync.effects import Effects
from easytracking_sync.events import EventName
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.machine.decision import Outcome, Permission, concerns_permission, decide
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened, moved
from easytracking_sync.machine.intake import Intake, IntakeCounts, ReceivedList, retry_while_outdated
from easytracking_sync.machine.planning import plan
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.verdict import Verdict
from easytracking_sync.terms import (
    LIVE_STATES,
    BatchState,
    CarriedDocument,
    Claim,
    ParcelFile,
    PauseReason,
    Purpose,
)
from easytracking_sync.transition import DocumentMove, NewBatch, Transition

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


class ArchiveHarness:
    """One archive, and what a machine would do to it."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.clock = StandingClock()
        self.path = folder / "archive.db"
        self.folder = folder
        self._url = url or f"sqlite:///{self.path}"
        if url is None:
            self.path.write_bytes(empty_archive())
            self.path.chmod(0o600)
        self.policy = Policy(poll_first_seconds=0.0)  # a job may be asked for at once
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

    def intake(self, by: Archive | None = None) -> Intake:
        return Intake(by or self.archive, self.policy)

    def corrections(self, by: Archive | None = None) -> Corrections:
        return Corrections(by or self.archive, self.policy)

    def take_in(
        self, account_id: int, documents: Iterable[ListedDocument | int], by: Archive | None = None, **how: Any
    ) -> IntakeCounts:
        """Take in a listing that began now; `by` is the instance that does it."""
        elements = [listed(one) if isinstance(one, int) else one for one in documents]
        given: dict[str, Any] = {"begun_at": self.now, "unmarked": True} | how
        return self.intake(by).take_in(ReceivedList(account_id, elements, **given), self.now)

    def plan(self, account_ids: Collection[int], jobs_in_flight: int = 100, by: Archive | None = None) -> int:
        """Put what is due into batches, as the engine does; how many were made."""
        archive, made = by or self.archive, 0
        for account_id in archive.documents.with_due(account_ids, self.now, jobs_in_flight):
            due = archive.documents.due(account_id, self.now, jobs_in_flight)
            transition = plan(due, self.now, self.policy, jobs_in_flight)
            if transition is not None:
                archive.transitions.apply(transition, self.now)
                made += len(transition.new_batches)
        return made

    def planned(self, doc_ids: Iterable[int], label: str = "acme") -> int:
        """Documents of an account, in a batch to be reserved; the account's id."""
        account_id = self.account(label)
        self.take_in(account_id, doc_ids)
        self.plan([account_id])
        return account_id

    def batch(self, account_id: int, doc_ids: Iterable[int], state: BatchState = BatchState.PLANNED) -> int:
        """A batch of exactly these documents, in this state; its id."""
        wanted = list(doc_ids)
        self.take_in(account_id, wanted)
        known = self.archive.documents.known(account_id, wanted).values()
        events = [DocumentEvent(DocumentHappened.BATCHED)]
        if state is BatchState.STORED:
            events.append(DocumentEvent(DocumentHappened.STORED))
        moves = []
        for document in self.archive.documents.of(one.id for one in known):
            after = document
            for event in events:
                after = moved(after, event, self.now, self.policy).after
            moves.append(DocumentMove(document, after, EventName(f"document.{after.state}")))
        versions = {move.after.id: move.after.version for move in moves}
        new = NewBatch(state, Purpose.FRESH, versions)
        transition = Transition(account_id, documents=tuple(moves), new_batches=(new,))
        self.archive.transitions.apply(transition, self.now)
        ((batch_id,),) = self.rows(sa.select(sa.func.max(tables.batch.c.id)))
        if state is not BatchState.PLANNED:
            with self.archive.database.write() as connection:
                mine = sa.update(tables.batch).where(tables.batch.c.id == batch_id)
                connection.execute(mine.values(job_id="job", parcel="parcel"))
        return int(batch_id)

    def wanted(
        self, account_ids: Sequence[int], *states: BatchState, jobs_in_flight: int = 100, **how: Any
    ) -> ClaimCriteria:
        return ClaimCriteria(account_ids, states or LIVE_STATES, jobs_in_flight, **how)

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

    def decided(
        self,
        claim: Claim,
        what: BatchHappened | BatchEvent,
        verdicts: Iterable[Verdict] = (),
        *,
        told: bool = True,
        by: Archive | None = None,
    ) -> Transition:
        """What the machine decides when this happens to a claimed batch; nothing is written."""
        archive, judged = by or self.archive, tuple(verdicts)
        event = BatchEvent(what, job_id="job", parcel="parcel") if isinstance(what, BatchHappened) else what
        event = replace(event, stored=sum(one.is_stored for one in judged))
        outcome = Outcome(event, judged, archive.document_files.of(claim.document_ids), told=told)
        permission = None
        if concerns_permission(claim, event):
            pause_status = archive.accounts.pause_status(claim.batch.account_id)
            permission = Permission(
                pause_status,
                sibling_accepted=archive.batches.sibling_was_accepted(claim.batch),
                suspects=archive.documents.failed_once_since(pause_status.id, pause_status.refused_since or self.now),
                planned=archive.batches.to_recall(pause_status.id),
            )
        return decide(claim, outcome, self.now, self.policy, permission)

    def happen(
        self,
        claim: Claim,
        what: BatchHappened | BatchEvent,
        verdicts: Iterable[Verdict] = (),
        *,
        told: bool = True,
        by: Archive | None = None,
    ) -> Transition:
        """Decide and commit, as the engine does: again where a document or the account has changed meanwhile."""
        archive, judged = by or self.archive, tuple(verdicts)
        seen = [claim]

        def attempt() -> Transition:
            transition = self.decided(seen[-1], what, judged, told=told, by=archive)
            seen.append(archive.batches.reload(claim))
            archive.transitions.apply(transition, self.now)
            return transition

        return retry_while_outdated(attempt)

    def stored(self, claim: Claim, files: Sequence[ParcelFile] = ()) -> tuple[Verdict, ...]:
        """The verdict that everything came: with these files, the same of each document."""
        return tuple(self.verdict(one, DocumentHappened.STORED, files) for one in claim.documents)

    def verdict(
        self, carried: CarriedDocument, happened: DocumentHappened, files: Sequence[ParcelFile] = (), **event: Any
    ) -> Verdict:
        return Verdict(carried, DocumentEvent(happened, **event), tuple(files))

    def reach(self, account_id: int, state: BatchState) -> Claim:
        """Bring the account's planned batch to RESERVED or FETCHED; a claim on it."""
        self.happen(self.claim(account_id, BatchState.PLANNED), BatchHappened.JOB_CREATED)
        if state is not BatchState.RESERVED:
            self.happen(self.claim(account_id, BatchState.RESERVED), BatchHappened.PARCEL_SPOOLED)
        return self.claim(account_id, state)

    def store(self, account_id: int, files: Callable[[int], dict[str, bytes]] | None = None) -> Claim:
        """Bring the account's planned batch to STORED with these files of each docId; a claim on it."""
        claim = self.reach(account_id, BatchState.FETCHED)
        contents = files or (lambda doc_id: {"FA": f"<invoice {doc_id}>".encode()})
        judged = [
            self.verdict(one, DocumentHappened.STORED, self.files(contents(one.doc_id))) for one in claim.documents
        ]
        self.happen(claim, BatchHappened.DOCUMENTS_STORED, judged)
        return self.claim(account_id, BatchState.STORED)

    def files(self, contents: dict[str, bytes], by: Archive | None = None) -> tuple[ParcelFile, ...]:
        """Keep these bytes, and name them as a parcel would."""
        sources = {kind: source_of(content) for kind, content in contents.items()}
        (by or self.archive).blobs.put(sources.values())
        return tuple(ParcelFile(kind, f"{kind}.xml", one.size, one.sha256) for kind, one in sources.items())

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
