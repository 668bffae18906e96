"""Builds an archive for a test, row by row, directly in its tables.

Tests take the fixture with `builder = importlib.import_module("tests.support.archive_builder").builder`.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.blobs import BlobSource
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.opening import Archive, open_archive
from easytracking_sync.effects import Effects
from easytracking_sync.terms import BatchState, DocumentState, PauseReason, Purpose

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NEVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Later than any real clock, which commands read."""


def local(text: str) -> datetime:
    """A naive local time, as reception times are."""
    return datetime.fromisoformat(text)


FilesGiven = Mapping[str, tuple[str, bytes]]


@functools.cache
def _empty_archive() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        database = Database(f"sqlite:///{path}")
        schema.migrate(database)
        database.close()
        return path.read_bytes()


class ArchiveBuilder:
    """A SQLite archive in its own folder, its configuration, and methods to fill it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "archive.db"
        self.config = folder / "config.toml"
        self.path.write_bytes(_empty_archive())
        self.path.chmod(0o600)
        self.archive: Archive = open_archive(f"sqlite:///{self.path}", folder / "spool", Effects(), owner="test")
        self._accounts: dict[str, int] = {}
        self.configure()

    def configure(
        self,
        *labels: str,
        top: str = "",
        base_url: str = "http://127.0.0.1:9",
        username: str = "",
        password: str = "",
    ) -> None:
        """Write the configuration, with these accounts."""
        text = f'{top}\n[database]\nurl = "sqlite:///{self.path}"\n[storage]\nmin_free_bytes = 0\n'
        for label in labels or ("acme",):
            text += f'[accounts.{label}]\nbase_url = "{base_url}"\nauth_base_url = "{base_url}"\n'
            text += f'username = "{username or label + "-user"}"\npassword = "{password or "canary-" + label}"\n'
        self.config.write_text(text, encoding="utf-8")

    def insert(self, table: sa.Table, **values: Any) -> int:
        """A row; its id."""
        with self.archive.database.write() as connection:
            return int(connection.execute(sa.insert(table).returning(table.c.id), values).scalar_one())

    def update(self, table: sa.Table, row_id: int, **values: Any) -> None:
        """Change a row."""
        with self.archive.database.write() as connection:
            connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))

    def value(self, column: sa.Column[Any], row_id: int) -> Any:
        """One cell."""
        with self.archive.database.read() as connection:
            return connection.execute(sa.select(column).where(column.table.c.id == row_id)).scalar_one()

    def account(self, label: str) -> int:
        """The account's row id; inserts the row if it is missing."""
        if label not in self._accounts:
            self._accounts[label] = self.archive.accounts.register(label, "http://127.0.0.1:9", f"{label}-user", NOW)
        return self._accounts[label]

    def document(
        self,
        label: str,
        doc_id: int,
        state: DocumentState = DocumentState.ACKNOWLEDGED,
        files: FilesGiven | None = None,
        **values: Any,
    ) -> int:
        """A document and its files; its row's id."""
        row = {
            "account_id": self.account(label),
            "doc_id": doc_id,
            "state": state,
            "raw": b"{}",
            "fingerprint": "0" * 64,
            "discovered_at": NOW,
            "wanted_at": NOW,
            "received": local("2026-05-04 10:30") + timedelta(minutes=doc_id % 1000),
        }
        row_id = self.insert(tables.document, **(row | values))
        for kind, (name, content) in (files or {}).items():
            self.file(row_id, kind[:2], name, content)
        return row_id

    def file(self, row_id: int, kind: str, name: str, content: bytes) -> int:
        """One more file of a document, with its blob."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.archive.blobs.put([BlobSource(sha256, len(content), lambda: iter([content]))])
        with self.archive.database.read() as connection:
            count = sa.select(sa.func.count()).where(tables.file.c.document_id == row_id)
            ordinal = connection.execute(count).scalar_one()
        return self.insert(
            tables.file,
            document_id=row_id,
            ordinal=ordinal,
            type=kind,
            name=name,
            size=len(content),
            sha256=sha256,
            fetched_at=NOW,
            version=1,
        )

    def batch(self, label: str, *row_ids: int, state: BatchState = BatchState.STORED, **values: Any) -> int:
        """A batch that carries these documents; its id."""
        row = {
            "account_id": self.account(label),
            "root_id": 1,
            "state": state,
            "purpose": Purpose.FRESH,
            "size": len(row_ids),
            "next_attempt_at": NEVER,
            "created_at": NOW,
            "updated_at": NOW,
        }
        batch_id = self.insert(tables.batch, **(row | values))
        with self.archive.database.write() as connection:
            carried = [{"batch_id": batch_id, "document_id": row_id, "version": 1} for row_id in row_ids]
            connection.execute(sa.insert(tables.batch_document), carried)
        return batch_id

    def quarantined(self, label: str, doc_id: int, files: FilesGiven | None = None, **values: Any) -> int:
        """A document in quarantine."""
        row = {"attempts": 8, "reason": "refused (403)", "next_attempt_at": NEVER, "suspect": True}
        return self.document(label, doc_id, DocumentState.QUARANTINED, files, **(row | values))

    def paused(self, label: str, reason: PauseReason, until: datetime, message: str) -> None:
        """Pause an account until then."""
        values = {"pause_reason": reason, "paused_until": until, "pause_message": message}
        self.update(tables.account, self.account(label), **values)

    def unacknowledgeable(self, label: str, doc_id: int, **batch_values: Any) -> tuple[int, int]:
        """A stored document whose phase cannot be set, and the batch that tries."""
        row_id = self.document(
            label,
            doc_id,
            DocumentState.STORED,
            {"FA": ("invoice.xml", b"<x/>")},
            unacknowledgeable=True,
            reason="set-fase-1 refused (403)",
            stored_at=NOW,
        )
        return row_id, self.batch(label, row_id, **batch_values)


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[ArchiveBuilder]:
    """An empty archive to be filled."""
    made = ArchiveBuilder(tmp_path)
    yield made
    made.archive.close()
