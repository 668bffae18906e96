"""What is PostgreSQL's own: how to connect, what to insist on, and what its errors mean for the caller.

Nothing here outlives a transaction on the server (no advisory lock, no SET, no prepared statement of a session), so
that a pooler which hands out connections by transaction (pgbouncer) may stand in between.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection

from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, SyncError, UsageError

KEPT_CONNECTIONS: Final = 8
"""Connections that stay open while nothing needs them; those beyond are closed as they come back."""

FREE_CONNECTION_SECONDS: Final = 10.0

CONNECT: Final[dict[str, Any]] = {
    "application_name": "easytracking-sync",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds: a server that vanished is noticed before a lease runs out
    "autocommit": True,  # BEGIN comes from here, with its limits
    "prepare_threshold": None,
}
"""What the URL's own query does not say otherwise."""

_LIMITS: Final = {
    "statement_timeout": 60,
    "lock_timeout": 20,
    "idle_in_transaction_session_timeout": 60,  # a client that vanished gives its locks back
}
"""In seconds, for each transaction."""

_MIGRATION: Final = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '15min'"
_MIGRATION_LOCK: Final = 0x6561_7379_7472_6163
"""Any number, as long as it stays the same: two services that start together migrate one after the other."""

_WAIT: Final = frozenset({"25006", "25P03", "40001", "40P01", "53200", "53300", "53400", "55P03", "57014"})
"""SQLSTATEs of whole classes' exceptions: a standby, idle too long, collisions, exhaustion, a limit that was hit."""

_WAIT_CLASSES: Final = ("08", "57")
_BROKEN: Final = frozenset({"58030", "XX001", "XX002"})
_MEND: Final = {
    "28000": "see pg_hba.conf, and the user in database.url",
    "28P01": "see the user and the password in database.url",
    "3D000": "create the database, or mend its name in database.url",
    "3F000": "the user needs a schema it may create tables in",
    "42501": "grant the user its rights on the database and its schema",
}
_REFUSED: Final = {  # as English and Italian servers say it; before a login there is no SQLSTATE to be had
    "password authentication failed": "28P01",
    "autenticazione con password fallita": "28P01",
    "no password supplied": "28P01",
    "pg_hba.conf": "28000",
    "authentication failed": "28000",
    "Autenticazione Peer fallita": "28000",
    "not permitted to log in": "28000",
    "non è consentito effettuare il login": "28000",
    "permission denied for database": "42501",
    "permesso negato per il database": "42501",
    "role ": "28000",
    "il ruolo ": "28000",
    "database ": "3D000",
    "il database ": "3D000",
}
_ABSENT: Final = ("does not exist", "non esiste")


def begin(connection: Connection) -> None:
    """Open a transaction with its limits, in one trip to the server."""
    limits = "; ".join(f"SET LOCAL {name} = '{seconds}s'" for name, seconds in _LIMITS.items())
    connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED; {limits}")


def begin_migration(connection: Connection) -> None:
    """Within a transaction: wait for other migrations to end, and let this one take its time."""
    connection.exec_driver_sql(_MIGRATION)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.literal(_MIGRATION_LOCK, sa.BigInteger))))


def insist(connection: DBAPIConnection) -> None:
    """UsageError unless a commit over this connection survives a power cut, and any text can be kept."""
    cursor = connection.cursor()
    try:
        names = ("fsync", "synchronous_commit", "server_encoding")
        cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        found = dict(zip(names, cursor.fetchone() or (), strict=True))
    finally:
        cursor.close()
    for name in ("fsync", "synchronous_commit"):
        if found[name] == "off":
            raise UsageError(
                f"the PostgreSQL server has {name} = off: a power cut would take invoices that the service was told "
                f"are home; set {name} = on for this server, database and user"
            )
    if found["server_encoding"] != "UTF8":
        raise UsageError(
            f"the PostgreSQL database is encoded in {found['server_encoding']}, which cannot hold every name; "
            "create one with ENCODING 'UTF8' TEMPLATE template0"
        )


def connect_arguments(url: URL) -> dict[str, Any]:
    """The driver's arguments beside the URL's own."""
    return {name: value for name, value in CONNECT.items() if name not in url.query}


def meaning(state: str | None, said: str, *, lost: bool) -> SyncError | None:
    """What the caller must do about a driver's error; None for a bug of ours. `lost`: no answer, or no connection."""
    line = said.splitlines()[0] if said else "no reason given"
    if state is None and lost:
        state = next((code for phrase, code in _REFUSED.items() if _says(said, phrase)), None)
    if state == "53100":
        return StorageFault("the disk of the PostgreSQL server is full; free some space there")
    if state in _BROKEN:
        return StorageBroken(f"the database cannot be trusted ({line}); see to the server's disk, then restart")
    if state in _MEND:
        return UsageError(f"PostgreSQL refuses ({line}); {_MEND[state]}")
    if lost or state in _WAIT or (state or "").startswith(_WAIT_CLASSES):
        ask = "; does its server run, and is database.url right?" if state is None else ""
        return DatabaseUnavailable(f"the database did not answer ({line}){ask}")
    if state is None and "invalid connection option" in said:
        return UsageError(f"database.url: {line}")
    return None


def _says(said: str, phrase: str) -> bool:
    if phrase.endswith(" "):
        return f'{phrase}"' in said and any(absent in said for absent in _ABSENT)
    return phrase in said
