"""`scrub`: what it says, and its exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from easytracking_sync.archive import tables
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.terms import DocumentState

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder


def fill(builder: ArchiveBuilder, label: str = "acme", count: int = 2) -> list[int]:
    return [
        builder.document(label, doc_id, files={"FA": (f"{doc_id}.xml", f"{label} {doc_id}".encode())})
        for doc_id in range(1, count + 1)
    ]


def rot(builder: ArchiveBuilder, *row_ids: int) -> None:
    hashes = sa.select(tables.file.c.sha256).where(tables.file.c.document_id.in_(row_ids))
    with builder.archive.database.write() as connection:
        connection.execute(
            sa.update(tables.blob_chunk).where(tables.blob_chunk.c.sha256.in_(hashes)).values(content=b"rotten")
        )


def test_an_undamaged_archive_is_reported_as_such_beside_a_running_service(run: Run, builder: ArchiveBuilder) -> None:
    fill(builder)
    with instance_lock(builder.archive.database, {"pid": "1"}):
        told = run("--config", builder.config, "scrub")
    assert (told.code, told.out, told.err) == (0, "2 files, 12 B read: no damage found.\n", "")


def test_damaged_files_are_listed_reported_and_fetched_again(run: Run, builder: ArchiveBuilder) -> None:
    first, _ = fill(builder)
    rot(builder, first)
    told = run("--config", builder.config, "scrub")
    assert told.code == 3
    assert "acme/1" in told.out
    assert "2 files, 12 B read: 1 damaged; 1 document to be fetched again" in told.out
    assert "file.rotten" in told.err
    assert builder.value(tables.document.c.state, first) == DocumentState.DISCOVERED


def test_only_the_accounts_named_are_read(run: Run, builder: ArchiveBuilder) -> None:
    rot(builder, *fill(builder, "beta"))
    fill(builder)
    assert run("--config", builder.config, "scrub", "--account", "ACME").code == 0
    assert run("--config", builder.config, "scrub", "--account", "beta").code == 3
    told = run("--config", builder.config, "scrub", "--account", "acne")
    assert told.code == 2
    assert "known accounts: acme, beta" in told.complaint


def test_an_archive_whose_files_are_missing_is_a_storage_failure_and_changes_nothing(
    run: Run, builder: ArchiveBuilder
) -> None:
    rows = fill(builder, count=20)
    rot(builder, *rows)
    told = run("--config", builder.config, "scrub")
    assert told.code == 74
    assert "check that storage.path is mounted" in told.err
    assert builder.value(tables.document.c.state, rows[0]) == DocumentState.ACKNOWLEDGED
    assert run("--config", builder.config, "scrub", "--refetch-all").code == 3
    assert builder.value(tables.document.c.state, rows[0]) == DocumentState.DISCOVERED


@pytest.mark.parametrize("count", [1, 2])
def test_blobs_without_a_document_are_counted(run: Run, builder: ArchiveBuilder, count: int) -> None:
    rows = fill(builder)[:count]
    with builder.archive.database.write() as connection:
        connection.execute(sa.delete(tables.file).where(tables.file.c.document_id.in_(rows)))
    told = run("--config", builder.config, "scrub")
    assert told.code == 0
    assert told.out.startswith(f"{count} blob{'s' * (count > 1)} stored without a document")
