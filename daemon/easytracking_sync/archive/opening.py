"""The archive in one hand: the database, the bytes, the spool, and the rooms that work on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.archive.alarm_conditions import AlarmConditions
from easytracking_sync.archive.alarms import Alarms
from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blobs import Blobs, DatabaseBlobs
from easytracking_sync.archive.cycles import Cycles
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.document_files import DocumentFiles
from easytracking_sync.archive.document_search import DocumentSearch
from easytracking_sync.archive.documents import Documents
from easytracking_sync.archive.journal import Journal
from easytracking_sync.archive.leases import Leases
from easytracking_sync.archive.scrub import Scrubber
from easytracking_sync.archive.service_requests import ServiceRequests
from easytracking_sync.archive.spool import Spool
from easytracking_sync.archive.transitions import Transitions
from easytracking_sync.effects import Effects

ALONE_FOREVER_SECONDS = 10 * 365 * 86_400.0
"""On SQLite one instance works alone: its leases never run out, and the next instance voids them as it starts."""

LEASE_SECONDS = 30.0
"""On PostgreSQL instances come and go: what one held goes to the others so long after it was last heard of."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Everything that is durable. All methods of its parts may be called from any thread."""

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
    scrubber: Scrubber
    alarms: Alarms
    alarm_conditions: AlarmConditions

    def close(self) -> None:
        """Give the database's connections back."""
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
    """The archive at this address; nothing is touched until it is used. With `blobs_folder`, bytes lie in files.

    `connections` and `lease_seconds` are for a server, which several instances share; SQLite is one instance's own,
    unless whoever calls says that it is `shared`, and counts all leases by one clock.
    """
    database = Database(url, connections=connections)
    alone = database.is_sqlite if shared is None else not shared
    writer = "" if alone else owner  # others may spool into the same folder
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
        scrubber=Scrubber(database, blobs),
        alarms=Alarms(database),
        alarm_conditions=AlarmConditions(database),
    )
