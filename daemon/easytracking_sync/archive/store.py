"""The archive in one hand: the database, the bytes, the spool, and the rooms that work on them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.archive.alarms import Alarms
from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blobs import Blobs, DatabaseBlobs
from easytracking_sync.archive.catalogue import Catalogue
from easytracking_sync.archive.cycles import Cycles
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.documents import Documents
from easytracking_sync.archive.files import Files
from easytracking_sync.archive.integrity import Integrity
from easytracking_sync.archive.journal import Journal
from easytracking_sync.archive.leases import Leases
from easytracking_sync.archive.plights import Plights
from easytracking_sync.archive.requests import Requests
from easytracking_sync.archive.spool import Spool
from easytracking_sync.archive.transitions import Transitions
from easytracking_sync.effects import Effects, LocalFiles, make_durable_folder
from easytracking_sync.errors import LockHeld, StorageFault

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
    files: Files
    batches: Batches
    transitions: Transitions
    journal: Journal
    cycles: Cycles
    leases: Leases
    requests: Requests
    catalogue: Catalogue
    integrity: Integrity
    alarms: Alarms
    plights: Plights

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
        files=Files(database),
        batches=batches,
        transitions=Transitions(database, batches),
        journal=Journal(database),
        cycles=Cycles(database),
        leases=Leases(database, owner),
        requests=Requests(database),
        catalogue=Catalogue(database),
        integrity=Integrity(database, blobs),
        alarms=Alarms(database),
        plights=Plights(database),
    )


@contextlib.contextmanager
def alone(database: Database, holder: Mapping[str, str]) -> Iterator[None]:
    """Hold a SQLite archive for this process: a lock on a file beside it, which dies with the process.

    Raises LockHeld, saying who holds it, at once. Elsewhere nothing needs to be held.
    """
    if database.path is None:
        yield
        return
    path = database.path.with_name(database.path.name + ".lock")
    try:
        make_durable_folder(LocalFiles(), path.parent)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFault(f"cannot open the lock {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = _holder(lock)
            who = ", ".join(f"{key} {value}" for key, value in told.items()) or "another instance"
            message = f"{database.path} is in use by {who}; wait for it, or stop it"
            raise LockHeld(message, command=told.get("command", "")) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(dict(holder)).encode(), 0)
        yield
    finally:
        os.close(lock)


def _holder(lock: int) -> dict[str, str]:
    try:
        told = json.loads(os.pread(lock, 4096, 0))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}
