"""Builds the archive from its parts: the database, the blobs, the spool, and the classes that read and write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.archive.account_status import AccountStatuses
from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.archive.alarms import Alarms
from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blobs import Blobs, DatabaseBlobs
from easytracking_sync.archive.cycles import Cycles
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.document_files import DocumentFiles
from easytracking_sync.archive.document_search import DocumentSearch
from easytracking_sync.archive.documents import Documents
from easytracking_sync.archive.generation import Generation
from easytracking_sync.archive.journal import Journal
from easytracking_sync.archive.leases import Leases
from easytracking_sync.archive.scrub import Scrubber
from easytracking_sync.archive.service_requests import ServiceRequests
from easytracking_sync.archive.spool import Spool
from easytracking_sync.archive.transitions import Transitions
from easytracking_sync.effects import Effects

ALONE_FOREVER_SECONDS = 10 * 365 * 86_400.0
"""SQLite: only one instance runs. Its leases never expire; the next instance clears them when it starts."""

LEASE_SECONDS = 30.0
"""PostgreSQL: other instances take over the work of one that has not renewed its leases for this long."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Everything durable. All methods of its parts may be called from any thread."""

    database: Database
    blobs: Blobs
    spool: Spool
    accounts: Accounts
    documents: Documents
    document_files: DocumentFiles
    batches: Batches
    transitions: Transitions
    journal: Journal
    cycles: Cycles
    leases: Leases
    service_requests: ServiceRequests
    document_search: DocumentSearch
    generation: Generation
    scrubber: Scrubber
    alarms: Alarms
    account_statuses: AccountStatuses

    def close(self) -> None:
        self.database.close()


def open_archive(
    url: str,
    spool_folder: Path,
    effects: Effects,
    *,
    owner: str,
    min_free_bytes: int = 0,
    blobs_folder: Path | None = None,
    connections: int = 16,
    lease_seconds: float = LEASE_SECONDS,
    shared: bool | None = None,
) -> Archive:
    """The archive at this URL; nothing is opened until it is used. With `blobs_folder`, blobs are stored as files.

    `connections` and `lease_seconds` apply to PostgreSQL, which several instances share. SQLite belongs to one
    instance unless `shared` is True (for tests, whose instances share one clock).
    """
    database = Database(url, connections=connections)
    alone = database.is_sqlite if shared is None else not shared
    writer = "" if alone else owner  # other instances may use the same spool folder
    blobs: Blobs = (
        DatabaseBlobs(database, effects.clock)
        if blobs_folder is None
        else FileBlobs(blobs_folder, effects.files, owner)
    )
    beside = [folder for folder in (database.path and database.path.parent, blobs_folder) if folder is not None]
    batches = Batches(database, owner, ALONE_FOREVER_SECONDS if alone else lease_seconds, alone=alone)
    return Archive(
        database=database,
        blobs=blobs,
        spool=Spool(spool_folder, effects.files, min_free_bytes=min_free_bytes, beside=beside, writer=writer),
        accounts=Accounts(database),
        documents=Documents(database),
        document_files=DocumentFiles(database),
        batches=batches,
        transitions=Transitions(database, batches),
        journal=Journal(database),
        cycles=Cycles(database),
        leases=Leases(database, owner),
        service_requests=ServiceRequests(database),
        document_search=DocumentSearch(database),
        generation=Generation(database, effects.files, spool_folder, effects.clock),
        scrubber=Scrubber(database, blobs),
        alarms=Alarms(database),
        account_statuses=AccountStatuses(database),
    )
