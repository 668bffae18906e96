"""Create the tables of the archive.

Revision 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", BIG, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_success_at", INSTANT, nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("paused_until", INSTANT, nullable=True),
        sa.Column("pause_message", sa.Text(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("next_run_at", INSTANT, nullable=True),
        sa.Column("slow_pauses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rotation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused_in_row", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused_since", INSTANT, nullable=True),
        sa.CheckConstraint(
            "pause_reason IN ('credentials', 'permission', 'unreachable')", name=op.f("ck_account_pause_reason")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("base_url", "username", name=op.f("uq_account_base_url_username")),
        sa.UniqueConstraint("label", name=op.f("uq_account_label")),
    )
    op.create_table(
        "blob",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("encoding", sa.String(length=8), nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob")),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("taken_at", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "request",
        sa.Column("id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("taken_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
    )
    op.create_table(
        "batch",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("root_id", BIG, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("polls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("reserved_at", INSTANT, nullable=True),
        sa.Column("deadline_at", INSTANT, nullable=True),
        sa.Column("parcel", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("purpose IN ('fresh', 'suspect', 'alone', 'relisted')", name=op.f("ck_batch_purpose")),
        sa.CheckConstraint(
            "state IN ('planned', 'reserved', 'fetched', 'stored', 'acknowledged', 'split', 'abandoned')",
            name=op.f("ck_batch_state"),
        ),
        sa.CheckConstraint("size BETWEEN 1 AND 100", name=op.f("ck_batch_size")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_batch_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_index(op.f("ix_batch_account_id_state"), "batch", ["account_id", "state"], unique=False)
    op.create_index(op.f("ix_batch_root_id"), "batch", ["root_id"], unique=False)
    op.create_index(op.f("ix_batch_state_next_attempt_at"), "batch", ["state", "next_attempt_at"], unique=False)
    op.create_table(
        "blob_chunk",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["blob.sha256"], name=op.f("fk_blob_chunk_sha256"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sha256", "position", name=op.f("pk_blob_chunk")),
    )
    op.create_table(
        "cycle",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begun_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("repeats", sa.Integer(), server_default="0", nullable=False),
        sa.Column("windows", sa.Integer(), server_default="0", nullable=False),
        sa.Column("listed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("discovered", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unreadable", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_cycle_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycle")),
    )
    op.create_index(op.f("ix_cycle_account_id_begun_at"), "cycle", ["account_id", "begun_at"], unique=False)
    op.create_table(
        "gap",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("end", sa.DateTime(), nullable=False),
        sa.Column("marked", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('received', 'document_date')", name=op.f("ck_gap_kind")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_gap_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gap")),
    )
    op.create_index(op.f("ix_gap_account_id"), "gap", ["account_id"], unique=False)
    op.create_table(
        "document",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("doc_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("suspect", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("alone", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("unacknowledgeable", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failed_at", INSTANT, nullable=True),
        sa.Column("missing_types", sa.Text(), server_default="", nullable=False),
        sa.Column("sender_piva", sa.Text(), nullable=True),
        sa.Column("sender_cf", sa.Text(), nullable=True),
        sa.Column("receiver_piva", sa.Text(), nullable=True),
        sa.Column("receiver_cf", sa.Text(), nullable=True),
        sa.Column("document_date", sa.Date(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("document_type", sa.Text(), nullable=True),
        sa.Column("sdi_id", sa.Text(), nullable=True),
        sa.Column("received", sa.DateTime(), nullable=True),
        sa.Column("received_text", sa.Text(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("annual_progressive", sa.BigInteger(), nullable=True),
        sa.Column("country_channel", sa.BigInteger(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("discovered_at", INSTANT, nullable=False),
        sa.Column("wanted_at", INSTANT, nullable=False),
        sa.Column("stored_at", INSTANT, nullable=True),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state IN ('discovered', 'batched', 'stored', 'acknowledged', 'quarantined', 'withdrawn', 'accepted')",
            name=op.f("ck_document_state"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_document_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sa.UniqueConstraint("account_id", "doc_id", name=op.f("uq_document_account_id_doc_id")),
    )
    op.create_index(op.f("ix_document_account_id_received"), "document", ["account_id", "received"], unique=False)
    op.create_index(
        op.f("ix_document_account_id_state_next_attempt_at"),
        "document",
        ["account_id", "state", "next_attempt_at"],
        unique=False,
    )
    op.create_index(op.f("ix_document_doc_id"), "document", ["doc_id"], unique=False)
    incomplete = sa.text("missing_types != ''")
    op.create_index(
        op.f("ix_document_incomplete"),
        "document",
        ["account_id"],
        unique=False,
        sqlite_where=incomplete,
        postgresql_where=incomplete,
    )
    op.create_index(op.f("ix_document_received"), "document", ["received"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", BIG, nullable=True),
        sa.Column("batch_id", BIG, nullable=True),
        sa.Column("document_id", BIG, nullable=True),
        sa.Column("detail", sa.Text(), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_event_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_name_id"), "event", ["name", "id"], unique=False)
    of_document, of_batch = (
        sa.text("document_id IS NOT NULL"),
        sa.text("document_id IS NULL AND batch_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_event_document_id"),
        "event",
        ["document_id"],
        unique=False,
        sqlite_where=of_document,
        postgresql_where=of_document,
    )
    op.create_index(
        op.f("ix_event_batch_id"),
        "event",
        ["batch_id"],
        unique=False,
        sqlite_where=of_batch,
        postgresql_where=of_batch,
    )
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )
    op.create_table(
        "batch_document",
        sa.Column("batch_id", BIG, nullable=False),
        sa.Column("document_id", BIG, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("carried", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_batch_document_batch_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_batch_document_document_id")),
        sa.PrimaryKeyConstraint("batch_id", "document_id", name=op.f("pk_batch_document")),
    )
    op.create_index(op.f("ix_batch_document_document_id"), "batch_document", ["document_id"], unique=False)
    op.create_table(
        "file",
        sa.Column("id", BIG, nullable=False),
        sa.Column("document_id", BIG, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("fetched_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_file_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("document_id", "type", "sha256", name=op.f("uq_file_document_id_type_sha256")),
    )
    op.create_index(op.f("ix_file_sha256"), "file", ["sha256"], unique=False)
