"""The four effects of a batch, one per state. Each returns what happened; none decides what follows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from easytracking_sync.archive.blobs import BlobRotten, BlobSource
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.read_back import DurableReceipt, read_back
from easytracking_sync.archive.spool import parcel_name
from easytracking_sync.effects import Clock
from easytracking_sync.errors import (
    CredentialsRefused,
    JobLost,
    ParcelBad,
    Refused,
    ServiceUnavailable,
    TooLarge,
    Transient,
)
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.machine.circuit_breaker import CircuitBreaker
from easytracking_sync.machine.decision import Outcome
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.verdict import ParcelContents, Requirements, verdicts
from easytracking_sync.remote import (
    EasyTracking,
    ListQuery,
    Parcel,
    ParcelLimits,
    Pending,
    inspect_parcel,
    open_file,
)
from easytracking_sync.terms import AcknowledgeWith, Batch, BatchState, Claim, FileType, ParcelFile, Window

JOBS_TYPES = frozenset({FileType.FA, FileType.MT, FileType.FU})
"""What a reservation without types fetches; any other choice names its types (sections 5 and 6)."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Performed:
    """The result of an effect. `afterwards` runs after the commit, or not at all if the process dies."""

    outcome: Outcome
    afterwards: Callable[[], object] = _nothing


def _performed(
    happened: BatchHappened,
    reason: str = "",
    *,
    told: bool = True,
    afterwards: Callable[[], object] = _nothing,
    job_id: str | None = None,
    parcel: str | None = None,
    retry_after: float | None = None,
) -> Performed:
    event = BatchEvent(happened, reason, job_id=job_id, parcel=parcel, retry_after=retry_after)
    return Performed(Outcome(event, told=told), afterwards)


@dataclass(frozen=True, slots=True)
class BatchEffects:
    """Reserve, fetch, store, acknowledge. Raises Transient errors and CredentialsRefused."""

    archive: Archive
    circuit_breaker: CircuitBreaker
    clock: Clock
    limits: ParcelLimits
    most_asks: int
    observer: Observer

    def reserve(self, claim: Claim, account: Account) -> Performed:
        """PLANNED: ask the service for a job."""
        with self.circuit_breaker.calling(account) as service:
            try:
                if account.file_types == JOBS_TYPES:
                    job_id = service.reserve(claim.doc_ids)
                else:
                    job_id = service.reserve_types(claim.doc_ids, account.file_types)
            except Refused as refusal:
                return _performed(BatchHappened.REFUSED, str(refusal))
        return _performed(BatchHappened.JOB_CREATED, job_id=job_id)

    def fetch(self, claim: Claim, account: Account) -> Performed:
        """RESERVED: fetch the parcel into the spool, unless it is there already."""
        batch = claim.batch
        job_id = batch.job_id or ""
        name = parcel_name(batch.id, job_id)
        if self.archive.spool.holds(name):
            return _performed(BatchHappened.PARCEL_SPOOLED, parcel=name)
        try:
            with self.circuit_breaker.calling(account) as service, self.archive.spool.receiving(name) as sink:
                answer = service.fetch(job_id, sink, self.limits.most_total_bytes)
        except JobLost as lost:
            return _performed(BatchHappened.JOB_LOST, str(lost))
        except ServiceUnavailable as trouble:
            if self._is_overdue(batch):  # a single document may make the service fail
                return _performed(BatchHappened.JOB_LOST, f"the job is overdue; {trouble}")
            raise
        if not isinstance(answer, Pending):
            return _performed(BatchHappened.PARCEL_SPOOLED, parcel=name)
        if self._is_overdue(batch):
            return _performed(BatchHappened.JOB_LOST, "the job is overdue")
        return _performed(BatchHappened.PENDING, retry_after=answer.retry_after)

    def store(self, claim: Claim, account: Account) -> Performed:
        """FETCHED: verify the parcel, store its files, and decide what happens to each document."""
        name = claim.batch.parcel or ""
        try:
            file = self.archive.spool.open(name)
        except FileNotFoundError:
            return _performed(BatchHappened.PARCEL_GONE, "the spool holds no such parcel")
        with file:
            try:
                parcel = inspect_parcel(file, requested=frozenset(claim.doc_ids), limits=self.limits)
                self._keep(file, parcel)
            except (ParcelBad, BlobRotten) as bad:
                keep = partial(self.archive.spool.keep_for_inspection, name)
                return _performed(BatchHappened.PARCEL_BAD, str(bad), afterwards=keep)
        known = self.archive.document_files.of(claim.document_ids)
        judged = verdicts(claim.documents, _contents(parcel), known, self._needs(account))
        self._note_oddities(claim, account, parcel)
        lacks_original = any(file_type == account.original for _, file_type in parcel.absent)
        odd = bool(parcel.unindexed or parcel.refused or parcel.self_collided or lacks_original)
        away = self.archive.spool.keep_for_inspection if odd else self.archive.spool.remove
        stored = sum(one.is_stored for one in judged)
        happened = BatchHappened.DOCUMENTS_STORED if stored else BatchHappened.NOTHING_USABLE
        reason = "" if stored else f"none of its documents came with its original ({account.original})"
        outcome = Outcome(BatchEvent(happened, reason, stored=stored), judged, known)
        return Performed(outcome, afterwards=partial(away, name))

    def acknowledge(self, claim: Claim, account: Account) -> Performed:
        """STORED: read back the stored files, and acknowledge exactly the documents that are intact."""
        receipt = read_back(self.archive.database, self.archive.blobs, claim, {account.original})
        if set(receipt.doc_ids) != set(claim.doc_ids):
            gone = len(claim.documents) - len(receipt.doc_ids)
            return _performed(
                BatchHappened.READ_BACK_FAILED, f"{gone} documents are missing or damaged in the archive"
            )
        if account.settings.acknowledge is AcknowledgeWith.NONE:
            return _performed(BatchHappened.ACCEPTED, "the account acknowledges nothing", told=False)
        if not receipt.to_tell:
            return _performed(
                BatchHappened.ACCEPTED, "they are held, or a newer version is to be fetched", told=False
            )
        self.archive.generation.count()
        with self.circuit_breaker.calling(account) as service:
            try:
                acknowledge(service, receipt, account.settings.acknowledge)
            except Refused as refusal:
                if self._is_marked(service, claim, account):
                    return _performed(BatchHappened.ACCEPTED, "it was already marked")
                return _performed(BatchHappened.REFUSED, str(refusal))
        return _performed(BatchHappened.ACCEPTED)

    def single_out(self, claim: Claim, account: Account, reason: str) -> Performed:
        """The service fails over this batch alone. A document that it marked before it failed needs no marking."""
        if claim.batch.state is BatchState.STORED:
            with (
                contextlib.suppress(Transient, CredentialsRefused),
                self.circuit_breaker.calling(account) as service,
            ):
                if self._is_marked(service, claim, account):
                    return _performed(BatchHappened.ACCEPTED, "it was marked already")
        return _performed(BatchHappened.SINGLED_OUT, reason)

    def _needs(self, account: Account) -> Requirements:
        types = frozenset(str(wanted) for wanted in account.required_types)
        return Requirements(account.original.value, types, self.most_asks)

    def _is_overdue(self, batch: Batch) -> bool:
        return batch.deadline_at is not None and self.clock.now() >= batch.deadline_at

    def _keep(self, file: BinaryIO, parcel: Parcel) -> None:
        self.archive.blobs.put(
            BlobSource(part.sha256, part.size, partial(open_file, file, part)) for part in parcel.files
        )

    def _is_marked(self, service: EasyTracking, claim: Claim, account: Account) -> bool:
        """Whether a single refused document is listed as marked already, so that it needs no acknowledgement."""
        if len(claim.documents) != 1:
            return False
        window = self.archive.documents.narrowest_window(claim.documents[0].document_id)
        if window is None:
            return False
        try:
            listing = service.list_documents(marked_query(account, window, marked=True))
        except (Refused, TooLarge):
            return False
        return any(listed.doc_id == claim.doc_ids[0] for listed in listing.documents)

    def _note_oddities(self, claim: Claim, account: Account, parcel: Parcel) -> None:
        oddities: dict[EventName, Collection[object]] = {
            EventName.PARCEL_STRANGERS_IGNORED: parcel.strangers,
            EventName.PARCEL_ENTRIES_UNINDEXED: parcel.unindexed,
            EventName.PARCEL_NAMES_COLLIDED: parcel.collided | parcel.self_collided,
            EventName.PARCEL_DOCUMENTS_REFUSED: parcel.refused,
        }
        for name, found in oddities.items():
            if found:
                self.observer.note(name, account=account.label, batch=claim.batch.id, count=len(found))


def _contents(parcel: Parcel) -> ParcelContents:
    files: dict[int, tuple[ParcelFile, ...]] = {}
    for part in parcel.files:
        file = ParcelFile(part.file_type, part.name, part.size, part.sha256)
        files[part.doc_id] = (*files.get(part.doc_id, ()), file)
    return ParcelContents(files, parcel.collided, parcel.refused)


def acknowledge(service: EasyTracking, receipt: DurableReceipt, how: AcknowledgeWith) -> None:
    """Acknowledge documents at the service; requires the archive's receipt that they are stored."""
    tell = service.set_phase_2 if how is AcknowledgeWith.PHASE2 else service.set_phase_1
    tell(receipt.to_tell)


def marked_query(account: Account, window: Window, *, marked: bool) -> ListQuery:
    """The list of one window by the phase this account acknowledges with."""
    by_phase2 = account.settings.acknowledge is AcknowledgeWith.PHASE2
    return ListQuery(
        window,
        receiver_piva=account.settings.receiver_piva,
        receiver_cf=account.settings.receiver_cf,
        phase1=None if by_phase2 else marked,
        phase2=marked if by_phase2 else None,
    )
