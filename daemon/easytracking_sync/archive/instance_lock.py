"""Exclusive use of an archive: the instance lock of SQLite, and the check for running instances on PostgreSQL."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime

import sqlalchemy as sa

from easytracking_sync.archive.database import Database
from easytracking_sync.archive.leases import lease_clock
from easytracking_sync.archive.schema import shown
from easytracking_sync.archive.tables import batch, lease
from easytracking_sync.effects import LocalFiles, make_durable_folder
from easytracking_sync.errors import LockHeld, StorageFault


@contextlib.contextmanager
def instance_lock(database: Database, holder: Mapping[str, str]) -> Iterator[None]:
    """Lock a SQLite archive for this process with a lock file beside it. The lock ends with the process.

    Raises LockHeld at once, with the holder's details, if it is locked. Does nothing on PostgreSQL.
    """
    if database.path is None:
        yield
        return
    path = database.path.with_name(database.path.name + ".lock")
    try:
        make_durable_folder(LocalFiles(), path.parent)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFault(f"cannot open the lock file {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = _holder(lock)
            who = ", ".join(f"{key} {value}" for key, value in told.items()) or "another instance"
            message = f"{database.path} is in use by {who}; wait until it ends, or stop it"
            raise LockHeld(message, command=told.get("command", "")) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(dict(holder)).encode(), 0)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def exclusive_use(database: Database, command: str, now: datetime) -> Iterator[None]:
    """Lock a SQLite archive for exclusive use; LockHeld at once if another instance uses it.

    A PostgreSQL archive cannot be locked: LockHeld if an instance holds a valid lease. The operator must not start
    one meanwhile.
    """
    with instance_lock(database, {"command": command}):
        if not database.is_sqlite and _is_in_use(database, now):
            raise LockHeld(
                f"a service uses {shown(database)}; stop it, and wait half a minute until its leases expire"
            )
        yield


def _holder(lock: int) -> dict[str, str]:
    try:
        told = json.loads(os.pread(lock, 4096, 0))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}


def _is_in_use(database: Database, now: datetime) -> bool:
    clock = lease_clock(is_sqlite=database.is_sqlite)
    alive = (
        sa.select(batch.c.id).where(batch.c.lease_until > clock),
        sa.select(lease.c.name).where(lease.c.until > clock),
    )
    with database.read() as connection:
        return any(connection.execute(query.limit(1), {"now": now}).first() is not None for query in alive)
