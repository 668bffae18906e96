"""PostgreSQL: connection arguments, required settings, and what its errors mean for the caller.

Nothing outlives a transaction on the server (no session-level lock, SET or prepared statement), so that a pooler in
transaction mode (pgbouncer) may be used.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection

from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, SyncError, UsageError

KEPT_CONNECTIONS: Final = 8
"""Idle connections that stay open; others are closed when they are returned."""

FREE_CONNECTION_SECONDS: Final = 10.0

CONNECT: Final[dict[str, Any]] = {
    "application_name": "easytracking-sync",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds: a lost server is noticed before a lease expires
    "autocommit": True,  # `begin` below sends BEGIN with the limits
    "prepare_threshold": None,
}
"""Defaults; the URL's query overrides them."""

_LIMITS: Final = {
    "statement_timeout": 60,
    "lock_timeout": 20,
    "idle_in_transaction_session_timeout": 60,  # the locks of a lost client are released
}
"""For each transaction, in seconds."""

_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
"""It may be set to off while the service runs; what was checked as the connection was opened holds no longer."""

_MIGRATION: Final = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '15min'"
_MIGRATION_LOCK: Final = 0x6561_7379_7472_6163
"""The number is arbitrary but must never change: services that start together migrate one after the other."""

_WAIT: Final = frozenset({"25006", "25P03", "40001", "40P01", "53200", "53300", "53400", "55P03", "57014"})
"""SQLSTATEs: read-only standby, idle too long, conflicts, exhausted resources, a limit was exceeded."""

_WAIT_CLASSES: Final = ("08", "57")
_BROKEN: Final = frozenset({"58030", "XX001", "XX002"})
_REPAIR: Final = {
    "28000": "check pg_hba.conf, and the user in database.url",
    "28P01": "check the user and the password in database.url",
    "3D000": "create the database, or correct its name in database.url",
    "3F000": "give the user a schema in which it may create tables",
    "42501": "grant the user the rights on the database and its schema",
}
_REFUSED: Final = {  # messages of English and Italian servers; before the login there is no SQLSTATE
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
    """Begin a transaction with its limits, in one round trip. One that writes commits durably, whatever was set."""
    limits = "; ".join(f"SET LOCAL {name} = '{seconds}s'" for name, seconds in _LIMITS.items())
    durable = f"; {_DURABLE}" if connection.get_execution_options().get("write", False) else ""
    connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED; {limits}{durable}")


def begin_migration(connection: Connection) -> None:
    """In a transaction: wait for other migrations to end, and remove the time limits."""
    connection.exec_driver_sql(_MIGRATION)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.literal(_MIGRATION_LOCK, sa.BigInteger))))


def require_durability(connection: DBAPIConnection) -> None:
    """UsageError unless commits survive a power cut and the database can store any text."""
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
                f"the PostgreSQL server has {name} = off: a power cut could lose acknowledged invoices; "
                f"set {name} = on for this server, database and user"
            )
    if found["server_encoding"] != "UTF8":
        raise UsageError(
            f"the PostgreSQL database has the encoding {found['server_encoding']}, which cannot store every name; "
            "create one with ENCODING 'UTF8' TEMPLATE template0"
        )


def connect_arguments(url: URL) -> dict[str, Any]:
    """The driver's arguments that the URL does not set."""
    return {name: value for name, value in CONNECT.items() if name not in url.query}


def meaning(state: str | None, said: str, *, lost: bool) -> SyncError | None:
    """The error that says what to do about a driver's error; None for a bug. `lost`: no answer or no connection."""
    line = said.splitlines()[0] if said else "no reason given"
    if state is None and lost:
        state = next((code for phrase, code in _REFUSED.items() if _says(said, phrase)), None)
    if state == "53100":
        return StorageFault("the disk of the PostgreSQL server is full; free some space there")
    if state in _BROKEN:
        return StorageBroken(f"the database is damaged or unreadable ({line}); check the server's disk, then restart")
    if state in _REPAIR:
        return UsageError(f"PostgreSQL refused ({line}); {_REPAIR[state]}")
    if lost or state in _WAIT or (state or "").startswith(_WAIT_CLASSES):
        ask = "; check that its server runs and that database.url is correct" if state is None else ""
        return DatabaseUnavailable(f"the database does not answer ({line}){ask}")
    if state is None and "invalid connection option" in said:
        return UsageError(f"database.url: {line}")
    return None


def _says(said: str, phrase: str) -> bool:
    if phrase.endswith(" "):
        return f'{phrase}"' in said and any(absent in said for absent in _ABSENT)
    return phrase in said
