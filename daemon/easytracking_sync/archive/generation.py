"""The generation: tells a database that was restored, replaced or promoted from the one that was used last.

The row of the table `generation` and a small file outside the database (the marker, in the spool folder) count
together. The count grows before acknowledgements, at most once in `STEP_SECONDS`: first in the database, then in the
marker. A database that counts less than the marker is older than what the service was told. PostgreSQL is also asked
for its system identifier and its timeline: a promoted standby has another timeline and needs no marker to be noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import journal
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import account, generation, upsert
from easytracking_sync.effects import Clock, Files, storage_faults
from easytracking_sync.errors import StorageFault, UsageError
from easytracking_sync.events import EventName

STEP_SECONDS: Final = 60.0
MARGIN: Final = timedelta(days=1)
"""What is compared with the service begins so long before the database's last count."""

_SERVER = (
    "SELECT system_identifier::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()"
)
_ONLY = 1  # the table has one row


@dataclass(frozen=True, slots=True)
class Marker:
    """The file outside the database, as it was last written."""

    archive_id: str
    counter: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The database is not the one that was used last; `since` is when it last counted."""

    reason: str
    since: datetime


class Generation:
    """Counts, and notices a database of another generation. Any thread may call it; `path` is the marker's."""

    def __init__(self, database: Database, files: Files, folder: Path, clock: Clock) -> None:
        identity = database.url.render_as_string(hide_password=True)
        name = hashlib.sha256(identity.encode()).hexdigest()[:12]
        self.path = folder / f"generation-{name}.json"
        self._database = database
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._marker: Marker | None = None
        self._counted_at: float | None = None  # monotonic
        self._told = False  # since the last count
        self.last_counted_at: datetime | None = None  # before this process

    def look(self) -> Restored | None:
        """Compare database and marker; adds only what the row lacks. None if all is as it was left."""
        with self._lock:
            marker = self._marker or self._read_marker()
            server = self._server()
            with self._database.read() as connection:
                row = connection.execute(sa.select(generation)).one_or_none()
            if row is None or (row.system_id is None and server[0] is not None):
                with self._database.write() as connection:
                    row = _completed(connection, self._clock.now(), server)
        self.last_counted_at = self.last_counted_at or row.noted_at
        reason = _difference(row, marker, server)
        return None if reason is None else Restored(reason, row.noted_at)

    def begin(self, restored: Restored) -> None:
        """Accept the database as it is: every account is to be compared with the service since then.

        Repeating is safe. A process that dies in the middle leaves it to the next one.
        """
        now, since = self._clock.now(), restored.since - MARGIN
        with self._lock:
            seen = self._marker or self._read_marker()
            server = self._server()
            earlier = sa.case((account.c.reconcile_since < since, account.c.reconcile_since), else_=since)
            with self._database.write() as connection:
                connection.execute(
                    sa.update(account).values(reconcile_since=earlier, reconcile_reason=restored.reason)
                )
                counted = connection.execute(sa.select(generation.c.counter)).scalar_one()
                counter = max(counted, seen.counter if seen is not None else 0) + 1
                connection.execute(
                    sa.update(generation).values(
                        counter=counter, noted_at=now, system_id=server[0], timeline=server[1]
                    )
                )
                detail = {"reason": restored.reason, "since": since.isoformat()}
                journal.record(connection, EventName.ARCHIVE_RESTORED, now, detail=detail)
                archive_id = connection.execute(sa.select(generation.c.archive_id)).scalar_one()
            self._write_marker(Marker(archive_id, counter))

    def count(self) -> None:
        """Before the service is told something: note in the database, then outside it, that it was.

        At most once in `STEP_SECONDS`; costs nothing in between. A database that counts less than the marker is left
        for `look` to notice.
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._counted_at is not None and 0 <= now - self._counted_at < STEP_SECONDS:
                self._told = True
                return
            self._count(now)

    def close_step(self) -> None:
        """Count once more if the service was told something since the last count: a copy made before it is older."""
        with self._lock:
            if self._told:
                self._count(self._clock.monotonic())

    def _count(self, now: float) -> None:
        known = self._marker or self._read_marker()
        with self._database.write() as connection:
            row = _completed(connection, self._clock.now(), (None, None))
            counted = Marker(row.archive_id, row.counter + 1)
            if known is not None and (known.archive_id != counted.archive_id or known.counter > row.counter):
                return
            values = {"counter": counted.counter, "noted_at": self._clock.now()}
            connection.execute(sa.update(generation).values(values))
        self._write_marker(counted)
        self._counted_at = now
        self._told = False

    def _server(self) -> tuple[str | None, str | None]:
        """PostgreSQL's system identifier and timeline; nothing on SQLite, or where the server does not tell."""
        if self._database.is_sqlite:
            return None, None
        try:
            with self._database.read() as connection:
                row = connection.exec_driver_sql(_SERVER).one()
        except (sa.exc.SQLAlchemyError, UsageError):
            return None, None
        return str(row[0]), str(row[1])

    def _read_marker(self) -> Marker | None:
        """What the marker says; None if it is not there or cannot be read, which proves nothing."""
        try:
            with self._files.open(self.path) as file:
                told = json.loads(file.read(4096))
            return Marker(str(told["archive_id"]), int(told["counter"]))
        except (FileNotFoundError, StorageFault, OSError, ValueError, KeyError, TypeError):
            return None

    def _write_marker(self, marker: Marker) -> None:
        part = self.path.with_name(f"{self.path.name}.part")
        file = self._files.create(part)
        with contextlib.closing(file), storage_faults("writing the generation's marker"):
            file.write(json.dumps({"archive_id": marker.archive_id, "counter": marker.counter}).encode())
            self._files.sync(file)
        self._files.rename(part, self.path)
        self._files.sync_folder(self.path.parent)
        self._marker = marker


def _completed(connection: Connection, now: datetime, server: tuple[str | None, str | None]) -> sa.Row[Any]:
    """The one row, locked, with what it lacked."""
    row = {"id": _ONLY, "archive_id": uuid.uuid4().hex, "counter": 0, "noted_at": now}
    connection.execute(upsert(connection, generation).on_conflict_do_nothing(), row)
    unknown = generation.c.system_id.is_(None)
    connection.execute(sa.update(generation).where(unknown).values(system_id=server[0], timeline=server[1]))
    return connection.execute(sa.select(generation).with_for_update()).one()


def _difference(row: sa.Row[Any], marker: Marker | None, server: tuple[str | None, str | None]) -> str | None:
    system_id, timeline = server
    if row.system_id is not None and system_id is not None and row.system_id != system_id:
        return "the database moved to another PostgreSQL server"
    if row.timeline is not None and timeline is not None and row.timeline != timeline:
        return f"the PostgreSQL server was promoted or restored (timeline {row.timeline}, now {timeline})"
    if marker is None:
        return None
    if marker.archive_id != row.archive_id:
        return "the database is another one than last time"
    if marker.counter > row.counter:
        return f"the database was restored from a copy of {row.noted_at:%Y-%m-%d %H:%M} UTC"
    return None
