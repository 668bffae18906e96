"""Assertions that compare the archive with the simulated service: at the end and at every acknowledgement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

import httpx
import sqlalchemy as sa
from tests.support.harness import Harness, VirtualClock

from easytracking_simulator import TrueFile
from easytracking_sync.archive import tables
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blobs import BlobRotten, Blobs, DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter, FileEntry
from easytracking_sync.effects import LocalFiles
from easytracking_sync.terms import AcknowledgeWith, DocumentState, FileType

MOST_IDS = 100


class InvariantChecker(httpx.BaseTransport):
    """A transport that checks the archive, through its own connection, at every acknowledgement.

    NO-ACK-BEFORE-DURABLE: it fails the test when a phase is set for a document without committed, whole files.
    BOUNDED: and when a call names more than 100 ids, or none.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport, blobs_folder: Path | None = None) -> None:
        self._url = url
        self._transport = transport
        self._blobs_folder = blobs_folder

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if b'"docIds"' in body:
            ids = json.loads(body)["docIds"]
            assert 1 <= len(ids) <= MOST_IDS
            if "/set-fase-" in request.url.path:
                self._look(ids)
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()

    def _look(self, ids: Collection[int]) -> None:
        database = Database(self._url)
        try:
            blobs: Blobs = (
                DatabaseBlobs(database, VirtualClock())
                if self._blobs_folder is None
                else FileBlobs(self._blobs_folder, LocalFiles(), "checker")
            )
            query = (
                sa.select(tables.document.c.doc_id, tables.file.c.sha256)
                .join(tables.file)
                .where(tables.document.c.doc_id.in_(ids))
            )
            with database.read() as connection:
                rows = connection.execute(query).all()
            assert {row.doc_id for row in rows} == set(ids), "a document without files is acknowledged"
            for row in rows:
                assert is_readable(blobs, row.sha256), f"{row.doc_id} is acknowledged with rotten bytes"
        finally:
            database.close()


def is_readable(blobs: Blobs, sha256: str) -> bool:
    """Whether the blob's bytes have the sha256 of its name."""
    digest = hashlib.sha256()
    try:
        for chunk in blobs.read(sha256):
            digest.update(chunk)
    except BlobRotten:
        return False
    return digest.hexdigest() == sha256


def entries(harness: Harness, label: str = "demo1") -> dict[int, DocumentEntry]:
    """The account's documents in the archive, by docId."""
    return {
        entry.doc_id: entry for entry in harness.archive.document_search.documents(DocumentFilter(accounts=(label,)))
    }


def states(harness: Harness, label: str = "demo1") -> dict[int, DocumentState]:
    """The state of each document."""
    return {doc_id: entry.state for doc_id, entry in entries(harness, label).items()}


def assert_archived(harness: Harness, label: str = "demo1", *, but: Collection[int] = ()) -> None:
    """Every document of the account is archived byte for byte, exactly once, and acknowledged as was wished.

    Documents in `but` are left out, but must not be acknowledged.
    """
    wish = harness.wishes[label]
    mine = entries(harness, label)
    truth = {document.id: document for document in harness.simulator.truth(label)}
    assert set(truth) <= set(mine), "NO-LOSS: a document of the service is not in the archive"
    for doc_id, document in truth.items():
        marked = document.phase_2 if wish.acknowledge is AcknowledgeWith.PHASE2 else document.phase_1
        if doc_id in but:
            assert mine[doc_id].state is not DocumentState.ACKNOWLEDGED
            continue
        assert mine[doc_id].state is DocumentState.ACKNOWLEDGED
        assert marked is (wish.acknowledge is not AcknowledgeWith.NONE)
        assert_identical(harness, mine[doc_id], document.files, wish.file_types)


def assert_identical(
    harness: Harness, entry: DocumentEntry, files: Collection[TrueFile], types: Collection[FileType]
) -> None:
    """BYTE-IDENTITY and SINGLE-COPY: of each wanted type exactly the service's files, name and bytes."""
    wanted = sorted((file.type, file.name, file.size, file.sha256) for file in files if file.type in types)
    assert sorted(shape(file) for file in entry.files) == wanted
    assert all(is_readable(harness.archive.blobs, file.sha256) for file in entry.files)


def shape(file: FileEntry) -> tuple[str, str, int, str]:
    """Type, name, size and sha256 of a file."""
    return file.type, file.name, file.size, file.sha256
