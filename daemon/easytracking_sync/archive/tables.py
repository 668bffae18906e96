"""The archive's tables. Instants are UTC; reception times are naive, local to the service.

`SCHEMA` is the revision of the newest migration; a database with another revision is migrated or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.types import TypeDecorator

from easytracking_sync.list_fields import LIST_FIELDS
from easytracking_sync.terms import BatchState, DocumentState, PauseReason, Purpose, WindowKind

SCHEMA = "0002"

CHUNK_BYTES = 1 << 20
"""The most bytes of a blob in one row."""


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, however the database stores it."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AnyText(TypeDecorator[str]):
    """Text that may contain what databases refuse (NUL, lone surrogates); stored as bytes."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        del dialect
        return None if value is None else value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else value.decode("utf-8", "surrogatepass")


def _one_of(column: str, values: type[StrEnum]) -> sa.CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({allowed})", name=column)


_LISTED: Mapping[type, sa.types.TypeEngine[Any]] = {
    str: sa.Text(),
    int: sa.BigInteger(),
    date: sa.Date(),
    datetime: sa.DateTime(),  # naive, local to the service
}
"""The column types of the list's fields."""

BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Text = sa.Text()

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("label", Text, nullable=False, unique=True),
    sa.Column("base_url", Text, nullable=False),
    sa.Column("username", Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("last_success_at", Instant),  # the last cycle that listed all its windows
    sa.Column("pause_reason", Text),
    sa.Column("paused_until", Instant),
    sa.Column("pause_message", Text),
    sa.Column("trouble", Text),  # why the last listing failed; NULL if it did not
    sa.Column("next_run_at", Instant),  # when the service plans to list it again
    sa.Column("slow_pauses", sa.Integer, nullable=False, server_default="0"),  # in a row
    sa.Column(
        "rotation", sa.Integer, nullable=False, server_default="0"
    ),  # chooses which older window is listed next
    sa.Column("refused_in_row", sa.Integer, nullable=False, server_default="0"),
    sa.Column("refused_since", Instant),
    sa.UniqueConstraint("base_url", "username"),
    _one_of("pause_reason", PauseReason),
)

document = sa.Table(
    "document",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("account_id", BigInt, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("doc_id", sa.BigInteger, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),  # the version that is wanted
    sa.Column("next_attempt_at", Instant),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("asks", sa.Integer, nullable=False, server_default="0"),  # how often missing types were asked for
    sa.Column("suspect", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("alone", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),  # the operator cleared its phase
    sa.Column("unacknowledgeable", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("reason", Text),  # why it failed last, or why it was accepted
    sa.Column("failed_at", Instant),
    sa.Column("missing_types", Text, nullable=False, server_default=""),  # comma-separated; asked for in vain
    *(sa.Column(field.name, _LISTED[field.type]) for field in LIST_FIELDS),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("discovered_at", Instant, nullable=False),
    sa.Column("wanted_at", Instant, nullable=False),  # since when this version is wanted
    sa.Column("stored_at", Instant),
    sa.Column("acknowledged_at", Instant),
    sa.UniqueConstraint("account_id", "doc_id"),
    sa.Index(None, "account_id", "state", "next_attempt_at"),
    sa.Index(None, "account_id", "received"),
    sa.Index(None, "received"),
    sa.Index(None, "doc_id"),
    _one_of("state", DocumentState),
)

LISTED_COLUMNS = (*(field.name for field in LIST_FIELDS), "raw", "fingerprint")

INCOMPLETE = document.c.missing_types != sa.literal_column("''")
"""Must be the partial index's condition word for word: otherwise databases do not use the index."""

sa.Index("ix_document_incomplete", document.c.account_id, sqlite_where=INCOMPLETE, postgresql_where=INCOMPLETE)

file = sa.Table(
    "file",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("document_id", BigInt, sa.ForeignKey("document.id"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("name", AnyText, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, index=True),
    sa.Column("fetched_at", Instant, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # the newest version of the document with these bytes
    sa.UniqueConstraint("document_id", "type", "sha256"),
)

blob = sa.Table(
    "blob",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("encoding", sa.String(8), nullable=False),
    sa.Column("stored_at", Instant, nullable=False),
)

blob_chunk = sa.Table(
    "blob_chunk",
    metadata,
    sa.Column("sha256", sa.String(64), sa.ForeignKey("blob.sha256", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

batch = sa.Table(
    "batch",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("account_id", BigInt, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("root_id", BigInt, nullable=False, index=True),
    sa.Column("state", Text, nullable=False),
    sa.Column("purpose", Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", Instant, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lease_owner", Text),
    sa.Column("lease_until", Instant),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("losses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("polls", sa.Integer, nullable=False, server_default="0"),
    sa.Column("job_id", Text),
    sa.Column("reserved_at", Instant),
    sa.Column("deadline_at", Instant),
    sa.Column("parcel", Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Index(None, "state", "next_attempt_at"),
    sa.Index(None, "account_id", "state"),
    sa.CheckConstraint("size BETWEEN 1 AND 100", name="size"),
    _one_of("state", BatchState),
    _one_of("purpose", Purpose),
)

batch_document = sa.Table(
    "batch_document",
    metadata,
    sa.Column("batch_id", BigInt, sa.ForeignKey("batch.id"), primary_key=True),
    sa.Column("document_id", BigInt, sa.ForeignKey("document.id"), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),  # of the document when it was planned or last reserved
    # False once the document has left for the pool or for one of the halves
    sa.Column("carried", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Index(None, "document_id"),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("id", BigInt, primary_key=True, autoincrement=False),  # assigned by `counter`, see `archive.journal`
    sa.Column("at", Instant, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("account_id", BigInt, sa.ForeignKey("account.id")),
    sa.Column("batch_id", BigInt),
    sa.Column("document_id", BigInt),
    sa.Column("detail", Text, nullable=False, server_default="{}"),  # a JSON object
    sa.Index(None, "name", "id"),
)

OF_DOCUMENT = event.c.document_id.is_not(None)
OF_BATCH = event.c.document_id.is_(None) & event.c.batch_id.is_not(None)
"""Must be the partial indices' conditions word for word, as above."""

sa.Index("ix_event_document_id", event.c.document_id, sqlite_where=OF_DOCUMENT, postgresql_where=OF_DOCUMENT)
sa.Index("ix_event_batch_id", event.c.batch_id, sqlite_where=OF_BATCH, postgresql_where=OF_BATCH)

counter = sa.Table(
    "counter",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),  # the last number assigned
)

cycle = sa.Table(
    "cycle",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("account_id", BigInt, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("begun_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("repeats", sa.Integer, nullable=False, server_default="0"),  # later idle cycles recorded in this row
    sa.Column("windows", sa.Integer, nullable=False, server_default="0"),
    sa.Column("listed", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("discovered", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("unreadable", sa.Integer, nullable=False, server_default="0"),
    sa.Column("outcome", Text),
    sa.Index(None, "account_id", "begun_at"),
)

gap = sa.Table(
    "gap",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("account_id", BigInt, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("start", sa.DateTime(), nullable=False),  # naive, local to the service; both ends included
    sa.Column("end", sa.DateTime(), nullable=False),
    sa.Column("marked", sa.Boolean, nullable=False),  # in the list of marked documents
    sa.Column("reason", Text, nullable=False),
    sa.Column("found_at", Instant, nullable=False),
    sa.Index(None, "account_id"),
    _one_of("kind", WindowKind),
)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("owner", Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("taken_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
)

request = sa.Table(
    "request",
    metadata,
    sa.Column("id", BigInt, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("parameters", Text, nullable=False, server_default="{}"),  # a JSON object
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("taken_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("outcome", Text),
)

alarm = sa.Table(
    "alarm",
    metadata,
    sa.Column("key", Text, primary_key=True),  # its kind and its account
    sa.Column("kind", Text, nullable=False),
    sa.Column("account_id", BigInt, sa.ForeignKey("account.id")),  # NULL: the computer itself
    sa.Column("amount", sa.BigInteger, nullable=False),  # last sent: documents or bytes
    sa.Column("begun_at", Instant, nullable=False),
    sa.Column("taken_at", Instant, nullable=False),  # when an instance last began to send it
    sa.Column("told_at", Instant),  # when the message was delivered
    sa.Column("ended_at", Instant),  # when it ended; its end is still to be sent
)

told = sa.Table(
    "told",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),  # the last row of `event` that was covered
)


def upsert(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT in the database's dialect, which can say what to do if the key exists."""
    kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return kind(table)
