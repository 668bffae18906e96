"""Checks the invariants before every call and after every commit, and names a broken one.

What was checked once and cannot have changed since is not checked again, for speed.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import httpx
from tests.simulation.archive_reader import ArchiveReader

from easytracking_simulator import Simulator

LOADING = ("planned", "reserved", "fetched")
CARRIED = """
    SELECT b.id, b.state, d.id, d.state FROM batch b
    JOIN batch_document c ON c.batch_id = b.id AND c.carried
    JOIN document d ON d.id = c.document_id
    WHERE b.state IN ('planned', 'reserved', 'fetched', 'stored')
"""
IN_FLIGHT = "SELECT account_id, count(*) FROM batch WHERE state IN ('reserved', 'fetched') GROUP BY account_id"
NEW_FILES = """
    SELECT f.id, a.username, d.doc_id, f.type, f.name, f.sha256, f.document_id FROM file f
    JOIN document d ON d.id = f.document_id JOIN account a ON a.id = d.account_id WHERE f.id > ? ORDER BY f.id
"""
ALL_FILES_OF = """
    SELECT d.state, d.missing_types, f.type, f.name, f.sha256 FROM document d
    JOIN account a ON a.id = d.account_id JOIN file f ON f.document_id = d.id
    WHERE a.username = ? AND d.doc_id = ?
"""
FILES_OF = f"{ALL_FILES_OF} AND f.version >= d.version"

BATCH_MOVES: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"reserved", "split", "abandoned"}),
    "reserved": frozenset({"fetched", "planned", "split", "abandoned"}),
    "fetched": frozenset({"stored", "planned", "split", "abandoned"}),
    "stored": frozenset({"acknowledged", "planned", "split", "abandoned"}),
}
"""The moves that the design allows, written down independently; states not in it are final."""

DOCUMENT_MOVES: Mapping[str, frozenset[str]] = {
    "discovered": frozenset({"batched", "withdrawn"}),
    "batched": frozenset({"stored", "discovered", "quarantined"}),
    "stored": frozenset({"acknowledged", "batched", "discovered", "quarantined", "accepted"}),
    "acknowledged": frozenset({"stored", "discovered"}),
    "quarantined": frozenset({"batched", "discovered", "withdrawn", "accepted"}),
    "withdrawn": frozenset({"discovered"}),
}

Held = tuple[str, str, str]
"""A file: type, name, hash."""


@dataclass
class InvariantChecker:
    """Raises AssertionError, naming the invariant, the moment one is broken."""

    reader: ArchiveReader
    simulator: Simulator
    jobs_in_flight: int | None = None
    alone: bool = True
    requested: set[int] = field(default_factory=set)
    told: Counter[int] = field(default_factory=Counter)
    rotten: set[str] = field(default_factory=set)
    _versions: dict[int, list[frozenset[Held]]] = field(default_factory=dict)
    _batches: dict[int, str] = field(default_factory=dict)
    _epochs: dict[int, int] = field(default_factory=dict)
    _documents: dict[int, str] = field(default_factory=dict)
    _files: dict[int, tuple[object, ...]] = field(default_factory=dict)
    _copies: set[tuple[object, ...]] = field(default_factory=set)
    _moves: set[tuple[int, int]] = field(default_factory=set)
    _last_event: int = 0
    _whole: set[str] = field(default_factory=set)

    def close(self) -> None:
        self.reader.close()

    def note_versions(self) -> None:
        """Something changed at the service: its current documents are a version that may be archived."""
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
        assert call == "set-fase-1", f"ACK-SUBSET: nothing is ever cleared or marked otherwise: {call}"
        assert set(ids) <= self.requested, "ACK-SUBSET: acknowledged without having been requested"
        for doc_id in ids:
            self.expect_durable(doc_id, account)
        self.told.update(ids)

    def see_commit(self) -> None:
        """A transaction was committed."""
        rows = self.reader.rows("SELECT id, state, epoch FROM batch")
        batches = {row[0]: row[1] for row in rows}
        epochs = {row[0]: row[2] for row in rows}
        documents = {row[0]: row[1] for row in self.reader.rows("SELECT id, state FROM document")}
        _expect_moves("batch", self._batches, batches, BATCH_MOVES, {"planned", "stored"})
        _expect_moves("document", self._documents, documents, DOCUMENT_MOVES, {"discovered"})
        changed = {one for one, state in documents.items() if self._documents.get(one) != state}
        younger = [one for one, epoch in self._epochs.items() if epochs[one] < epoch]
        assert not younger, f"FENCED: the epoch of batch {younger} went back"
        self._batches, self._documents, self._epochs = batches, documents, epochs
        self._expect_each_carried_once()
        self._expect_new_files_true()
        self._expect_journal(changed)
        if self.jobs_in_flight is not None:
            crowded = [row for row in self.reader.rows(IN_FLIGHT) if row[1] > self.jobs_in_flight]
            assert not crowded, f"BOUNDED: more than {self.jobs_in_flight} jobs in flight: {crowded}"

    def restored(self) -> None:
        """Somebody put an older database in place: what is in it now is where everything goes on from."""
        rows = self.reader.rows("SELECT id, state, epoch FROM batch")
        self._batches = {row[0]: row[1] for row in rows}
        self._epochs = {row[0]: row[2] for row in rows}
        self._documents = {row[0]: row[1] for row in self.reader.rows("SELECT id, state FROM document")}
        files = self.reader.rows("SELECT id, document_id, type, name, sha256 FROM file")
        self._files = {row[0]: (row[1], row[2], bytes(row[3]), row[4]) for row in files}
        self._copies = {(row[1], row[2], row[4]) for row in files}
        self._moves.clear()
        self._whole.clear()
        self._last_event = int(self.reader.rows("SELECT max(id) FROM event")[0][0] or 0)

    def look_again(self) -> None:
        """The disk may have changed: check everything again."""
        self._whole.clear()
        rows = self.reader.rows("SELECT id, document_id, type, name, sha256 FROM file")
        now = {row[0]: (row[1], row[2], bytes(row[3]), row[4]) for row in rows}
        changed = [one for one, before in self._files.items() if now.get(one) != before]
        assert not changed, f"NO-OVERWRITE: files {changed} are gone or others"

    def rot(self) -> None:
        """Damage the oldest stored file whose document is not acknowledged yet."""
        for doc_id, sha256 in self.reader.rows(
            "SELECT d.doc_id, f.sha256 FROM document d JOIN file f ON f.document_id = d.id "
            "WHERE d.state = 'stored' ORDER BY d.id, f.id"
        ):
            if doc_id not in self.told:
                self.reader.rot(sha256)
                self._whole.discard(sha256)
                self.rotten.add(sha256)
                return

    def home(self, account: str) -> dict[int, set[Held]]:
        """The archive's files of each document: type, name and hash, each read back now."""
        self.look_again()
        found: dict[int, set[Held]] = {}
        for doc_id, kind, name, sha256 in self.reader.rows(
            "SELECT d.doc_id, f.type, f.name, f.sha256 FROM file f JOIN document d ON d.id = f.document_id "
            "JOIN account a ON a.id = d.account_id WHERE a.username = ?",
            (account,),
        ):
            held = (kind, bytes(name).decode(), sha256)
            if sha256 in self.rotten and not self._can_come_again(doc_id, held):
                continue
            assert self._is_whole(sha256), f"BYTE-IDENTITY: {doc_id} {kind} cannot be read"
            found.setdefault(doc_id, set()).add(held)
        return found

    def expect_causes(self, *, by_hand: bool, cut_short: bool) -> None:
        """At the end: only an operator accepts documents; only truncated parcels leave a type missing."""
        for doc_id, state, missing in self.reader.rows("SELECT doc_id, state, missing_types FROM document"):
            assert by_hand or state != "accepted", f"NO-LOSS: {doc_id} is accepted, and by nobody"
            assert cut_short or not missing, f"NO-LOSS: {doc_id} is home without {missing}, which always came"

    def truth(self, doc_id: int) -> frozenset[Held]:
        """The service's current files of a document, without the type that was not requested."""
        files = self.simulator.true_document(doc_id).files
        return frozenset((file.type, file.name, file.sha256) for file in files if file.type != "FI")

    def _can_come_again(self, doc_id: int, held: Held) -> bool:
        return held in self.truth(doc_id) and not self.simulator.true_document(doc_id).withdrawn

    def expect_durable(self, doc_id: int, account: str) -> None:
        """At the moment the service is told: committed, readable, and the service's own bytes.

        A host that was frozen may say again what another has said meanwhile, of a version that was whole then.
        """
        rows = self.reader.rows(FILES_OF if self.alone else ALL_FILES_OF, (account, doc_id))
        assert rows, f"NO-ACK-BEFORE-DURABLE: nothing of {doc_id} is committed"
        states = {row[0] for row in rows}
        assert states == {"stored"} or not self.alone, f"NO-ACK-BEFORE-DURABLE: {doc_id} is {states}"
        held = {(row[2], bytes(row[3]).decode(), row[4]) for row in rows}
        for kind, _, sha256 in held:
            assert self._is_whole(sha256), f"NO-ACK-BEFORE-DURABLE: {doc_id} {kind} cannot be read"
        missing = set(rows[0][1].split(",")) - {""}
        assert "FA" not in missing, f"NO-ACK-BEFORE-DURABLE: {doc_id} without its original"
        versions = [{file for file in version if file[0] not in missing} for version in self._versions[doc_id]]
        assert any(version <= held for version in versions), f"NO-ACK-BEFORE-DURABLE: {doc_id} is not the service's"

    def _is_whole(self, sha256: str) -> bool:
        if sha256 in self._whole:
            return True
        whole = self.reader.is_whole(sha256)
        if whole:
            self._whole.add(sha256)
        return whole

    def _expect_each_carried_once(self) -> None:
        """A document being fetched is in exactly one live batch, and a live batch has no others."""
        carried: Counter[int] = Counter()
        sizes: Counter[int] = Counter()
        for batch_id, batch_state, document_id, document_state in self.reader.rows(CARRIED):
            carried[document_id] += 1
            sizes[batch_id] += 1
            expected = "batched" if batch_state in LOADING else "stored"
            assert document_state == expected, f"MONOTONE-STATE: {document_state} in a batch that is {batch_state}"
        assert set(carried.values()) <= {1}, "NO-LOSS: a document is carried twice"
        on_their_way = {one for one, state in self._documents.items() if state in {"batched", "stored"}}
        assert on_their_way == set(carried), "NO-LOSS: a document on its way is carried by no batch"
        live = "SELECT id, size FROM batch WHERE state IN ('planned', 'reserved', 'fetched', 'stored')"
        assert {row[0]: row[1] for row in self.reader.rows(live)} == sizes, (
            "MONOTONE-STATE: a batch's size is not what it carries"
        )

    def _expect_new_files_true(self) -> None:
        for file_id, account, doc_id, kind, name, sha256, document_id in self.reader.rows(
            NEW_FILES, (max(self._files, default=0),)
        ):
            assert self.simulator.document(doc_id).account == account, f"NO-CROSS-ACCOUNT: {doc_id} in {account}"
            held = (kind, bytes(name).decode(), sha256)
            known = self._versions.get(doc_id, [])
            assert any(held in version for version in known), f"BYTE-IDENTITY: {doc_id} {kind} is not the service's"
            copy = (document_id, kind, sha256)
            assert copy not in self._copies, f"SINGLE-COPY: {doc_id} {kind} twice"
            self._copies.add(copy)
            self._files[file_id] = (document_id, kind, bytes(name), sha256)

    def _expect_journal(self, changed: Collection[int]) -> None:
        """Sequence numbers without gaps, a row for each change of a document's state, one move of a batch an epoch.

        Whoever moves a batch holds it; a second move under one epoch would be a stale holder's.
        """
        told: set[int] = set()
        for event_id, batch_id, document_id, detail in self.reader.rows(
            "SELECT id, batch_id, document_id, detail FROM event WHERE id > ? ORDER BY id", (self._last_event,)
        ):
            assert event_id == self._last_event + 1, f"NO-SILENT-DEATH: the journal skips from {self._last_event}"
            self._last_event = event_id
            if document_id is not None:
                told.add(document_id)
                continue
            if batch_id is None:
                continue
            epoch = json.loads(detail).get("epoch")
            if epoch is not None:
                assert (batch_id, epoch) not in self._moves, f"FENCED: batch {batch_id} moved twice in epoch {epoch}"
                self._moves.add((batch_id, epoch))
        untold = set(changed) - told
        assert not untold, f"MONOTONE-STATE: documents {sorted(untold)} changed without a row in the journal"


def expect_no_secrets(notes: Collection[object], secrets: Collection[str]) -> None:
    """NO-SECRET-LEAK."""
    said = repr(notes)
    assert not [secret for secret in secrets if secret in said], "NO-SECRET-LEAK: a password was noted"


def bearer(request: httpx.Request) -> str:
    """The account that the token names."""
    claims = request.headers["Authorization"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def _expect_moves(
    what: str, before: Mapping[int, str], after: Mapping[int, str], moves: Mapping[str, frozenset[str]], new: set[str]
) -> None:
    assert before.keys() <= after.keys(), f"NO-LOSS: a {what} is gone"
    for row_id, state in after.items():
        was = before.get(row_id)
        if was is None:
            assert state in new, f"MONOTONE-STATE: a new {what} is {state}"
        elif state != was:
            allowed = moves.get(was, frozenset())
            assert state in allowed, f"MONOTONE-STATE: {what} {row_id} went from {was} to {state}"
