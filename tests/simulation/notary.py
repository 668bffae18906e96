"""Who watches: every call before it goes out, and the archive after every commit, through a connection of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from easytracking_simulator import Simulator
from easytracking_sync.archive.blobs import DatabaseBlobs
from easytracking_sync.archive.database import Database
from easytracking_sync.effects import SystemClock

LIVE_SIZES = "SELECT id, size FROM batch b WHERE b.state IN ('planned', 'reserved', 'fetched', 'stored')"
CARRIED = """
    SELECT b.id, b.state, d.id, d.state FROM batch b
    JOIN batch_document c ON c.batch_id = b.id AND c.carried
    JOIN document d ON d.id = c.document_id
    WHERE b.state IN ('planned', 'reserved', 'fetched', 'stored')
"""
LOADING = ("planned", "reserved", "fetched")

BATCH_MOVES: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"reserved", "split", "abandoned"}),
    "reserved": frozenset({"fetched", "planned", "split", "abandoned"}),
    "fetched": frozenset({"stored", "planned", "split", "abandoned"}),
    "stored": frozenset({"acknowledged", "planned", "split", "abandoned"}),
}
"""The table of the design, read once more by another pair of eyes; what is not in it ends there."""

DOCUMENT_MOVES: Mapping[str, frozenset[str]] = {
    "discovered": frozenset({"batched", "withdrawn"}),
    "batched": frozenset({"stored", "discovered", "quarantined"}),
    "stored": frozenset({"acknowledged", "batched", "discovered", "quarantined"}),
    "acknowledged": frozenset({"stored", "discovered"}),
    "quarantined": frozenset({"batched", "discovered", "withdrawn"}),
    "withdrawn": frozenset({"discovered"}),
}


Held = tuple[str, str, str]
"""A file: type, name, hash."""


@dataclass
class Notary:
    """Raises AssertionError, naming the invariant, the moment one is broken."""

    path: Path
    simulator: Simulator
    requested: set[int] = field(default_factory=set)
    told: Counter[int] = field(default_factory=Counter)
    rotten: int = 0
    _versions: dict[int, list[set[Held]]] = field(default_factory=dict)
    _batches: dict[int, str] = field(default_factory=dict)
    _documents: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._database = Database(f"sqlite:///{self.path}", busy_seconds=0.0)
        self._blobs = DatabaseBlobs(self._database, SystemClock())
        self._connection = sqlite3.connect(self.path, isolation_level=None)

    def close(self) -> None:
        self._connection.close()
        self._database.close()

    def note_versions(self) -> None:
        """Something happened at the service: from now on what it holds is a version that may come home."""
        for doc_id in self.simulator.ids():
            known = self._versions.setdefault(doc_id, [])
            if (truth := self.truth(doc_id)) not in known:
                known.append(truth)

    def see_call(self, request: httpx.Request) -> None:
        """A request just before it is sent."""
        call = request.url.path.rpartition("/")[2]
        if request.method != "POST" or call == "AccessToken":
            return
        account = bearer(request)
        ids = json.loads(request.read())["docIds"]
        assert 1 <= len(ids) <= 100, "BOUNDED: a call takes 1 to 100 ids"
        assert len(set(ids)) == len(ids), "BOUNDED: each id once"
        strangers = [doc_id for doc_id in ids if self.simulator.document(doc_id).account != account]
        assert not strangers, f"NO-CROSS-ACCOUNT: {account} speaks of {strangers}"
        if call.startswith("jobs"):
            self.requested.update(ids)
            return
        assert call == "set-fase-1", f"nothing is ever cleared or marked otherwise: {call}"
        assert set(ids) <= self.requested, "ACK-SUBSET: acknowledged without having been requested"
        for doc_id in ids:
            self._expect_durable(doc_id, account)
        self.told.update(ids)

    def see_commit(self) -> None:
        """A transaction was committed."""
        batches = dict(self._connection.execute("SELECT id, state FROM batch").fetchall())
        documents = dict(self._connection.execute("SELECT id, state FROM document").fetchall())
        _expect_moves("batch", self._batches, batches, BATCH_MOVES, {"planned", "stored"})
        _expect_moves("document", self._documents, documents, DOCUMENT_MOVES, {"discovered"})
        self._batches, self._documents = batches, documents
        self._expect_each_carried_once()

    def rot(self) -> None:
        """Spoil, as it lies, the oldest file that is stored and of which the service has not been told."""
        for doc_id, sha256 in self._connection.execute(
            "SELECT d.doc_id, f.sha256 FROM document d JOIN file f ON f.document_id = d.id "
            "WHERE d.state = 'stored' ORDER BY d.id, f.id"
        ).fetchall():
            if doc_id not in self.told:
                self._connection.execute("UPDATE blob_chunk SET content = X'00' WHERE sha256 = ?", (sha256,))
                self.rotten += 1
                return

    def home(self, account: str) -> dict[int, set[Held]]:
        """The archive's files of each document: type, name and hash, every one of them read back whole."""
        found: dict[int, set[Held]] = {}
        for doc_id, kind, name, sha256 in self._connection.execute(
            "SELECT d.doc_id, f.type, f.name, f.sha256 FROM file f JOIN document d ON d.id = f.document_id "
            "JOIN account a ON a.id = d.account_id WHERE a.label = ?",
            (account,),
        ).fetchall():
            assert self._read(sha256) == sha256, f"BYTE-IDENTITY: {doc_id} {kind}"
            one = (kind, name.decode(), sha256)
            assert one[::2] not in {other[::2] for other in found.get(doc_id, ())}, f"SINGLE-COPY: {doc_id} {kind}"
            found.setdefault(doc_id, set()).add(one)
        return found

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return self._connection.execute(query).fetchall()

    def truth(self, doc_id: int) -> set[Held]:
        """What the service holds of a document now, without the copy nobody asked for."""
        return {
            (file.type, file.name, file.sha256)
            for file in self.simulator.true_document(doc_id).files
            if file.type != "FI"
        }

    def _expect_durable(self, doc_id: int, account: str) -> None:
        """At the moment the service is told: committed, readable, and the service's own bytes."""
        rows = self._connection.execute(
            "SELECT d.state, d.missing_types, f.type, f.name, f.sha256 FROM document d "
            "JOIN account a ON a.id = d.account_id JOIN file f ON f.document_id = d.id "
            "WHERE a.label = ? AND d.doc_id = ? AND f.seen_at >= d.wanted_at",
            (account, doc_id),
        ).fetchall()
        assert rows, f"NO-ACK-BEFORE-DURABLE: nothing of {doc_id} is committed"
        assert {row[0] for row in rows} == {"stored"}, f"NO-ACK-BEFORE-DURABLE: {doc_id} is not stored"
        held = {(row[2], row[3].decode(), row[4]) for row in rows}
        for kind, _, sha256 in held:
            assert self._read(sha256) == sha256, f"NO-ACK-BEFORE-DURABLE: {doc_id} {kind} cannot be read"
        missing = set(rows[0][1].split(",")) - {""}
        assert "FA" not in missing, f"NO-ACK-BEFORE-DURABLE: {doc_id} without its original"
        versions = [{file for file in version if file[0] not in missing} for version in self._versions[doc_id]]
        assert any(version <= held for version in versions), f"NO-ACK-BEFORE-DURABLE: {doc_id} is not the service's"

    def _read(self, sha256: str) -> str:
        digest = hashlib.sha256()
        for piece in self._blobs.read(sha256):
            digest.update(piece)
        return digest.hexdigest()

    def _expect_each_carried_once(self) -> None:
        """A document on its way is carried by exactly one live batch, and a live batch by nothing else."""
        carried: Counter[int] = Counter()
        sizes: Counter[int] = Counter()
        for batch_id, batch_state, document_id, document_state in self._connection.execute(CARRIED).fetchall():
            carried[document_id] += 1
            sizes[batch_id] += 1
            expected = "batched" if batch_state in LOADING else "stored"
            assert document_state == expected, f"MONOTONE-STATE: {document_state} in a batch that is {batch_state}"
        assert set(carried.values()) <= {1}, "NO-LOSS: a document is carried twice"
        on_their_way = {one for one, state in self._documents.items() if state in {"batched", "stored"}}
        assert on_their_way == set(carried), "NO-LOSS: a document on its way is carried by no batch"
        rows = self._connection.execute(LIVE_SIZES).fetchall()
        assert dict(rows) == dict(sizes), "MONOTONE-STATE: a batch's size is not what it carries"


def bearer(request: httpx.Request) -> str:
    """Whose token it is, as the token itself says."""
    claims = request.headers["Authorization"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def _expect_moves(
    what: str, before: Mapping[int, str], after: Mapping[int, str], moves: Mapping[str, frozenset[str]], new: set[str]
) -> None:
    assert before.keys() <= after.keys(), f"NO-LOSS: a {what} is gone"
    for row_id, state in after.items():
        if row_id not in before:
            assert state in new, f"MONOTONE-STATE: a new {what} is {state}"
        elif state != before[row_id]:
            allowed = moves.get(before[row_id], frozenset())
            assert state in allowed, f"MONOTONE-STATE: {what} {row_id} went from {before[row_id]} to {state}"
