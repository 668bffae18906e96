"""Reconcile: compares the service's lists, the archive and the stored bytes; repairs what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from easytracking_sync.app.catch_up import CatchUpOutcome, CatchUpRequest, Progress, catch_up
from easytracking_sync.app.composition import client_of, machine_account, policy_of
from easytracking_sync.app.scrub import is_suspicious
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.scrub import RottenFile
from easytracking_sync.effects import Effects
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.machine.intake import IntakeCounts, ReceivedList
from easytracking_sync.machine.listing import Scope, list_read_only, reception_times
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings
from easytracking_sync.terms import STORED_STATES, DocumentState, KnownDocument, ListedWindow, WindowKind

PATIENCE_SECONDS = 300.0
"""How long to retry an account whose service does not answer."""


@dataclass(slots=True)
class Proof:
    """What the comparison of one account found.

    The proof holds if each document the service lists is stored, undamaged and marked at the service.
    """

    account: str
    listed: int = 0  # documents of the service, marked or not
    home: int = 0  # of them, stored here
    accepted: int = 0  # of them, closed by the operator
    missing: list[int] = field(default_factory=list)  # listed, not stored
    bare: list[int] = field(default_factory=list)  # of the missing: recorded as stored, but without a file
    unmarked: list[int] = field(default_factory=list)  # stored, but not marked at the service
    unlisted: set[int] = field(default_factory=set)  # stored, but no longer listed
    files: int = 0
    bytes: int = 0
    rotten: list[RottenFile] = field(default_factory=list)  # damaged files
    unreadable: int = 0  # list elements without an id
    problems: list[str] = field(default_factory=list)  # why the comparison is incomplete
    credentials_refused: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether everything was compared."""
        return not (self.problems or self.credentials_refused)

    @property
    def has_findings(self) -> bool:
        """Whether something is wrong. A document that the service no longer lists is not a finding."""
        return bool(self.missing or self.unmarked or self.rotten or self.unreadable)

    @property
    def holds(self) -> bool:
        """Whether everything was compared and nothing is wrong."""
        return self.is_complete and not self.has_findings


@dataclass(frozen=True, slots=True)
class Repaired:
    """What the repair did."""

    outcome: CatchUpOutcome
    left_alone: tuple[str, ...] = ()  # accounts with more damaged than intact files: is the disk mounted?


def compare(
    settings: Settings,
    archive: Archive,
    labels: Sequence[str],
    start: date | None,
    end: date | None,
    *,
    effects: Effects,
    observer: Observer,
    on_step: Callable[[Proof], object] = lambda _: None,
) -> list[Proof]:
    """List both phases of each account, hash each stored file, and compare. Changes nothing here or at the service.

    With `start` or `end`, only documents received on these days count; documents without a reception time are part of
    the whole history only. Safe beside a running service: a document that arrives meanwhile may count as missing, and
    will not the next time.
    """
    return [_compare(settings, archive, label, start, end, effects, observer, on_step) for label in labels]


def repair(
    settings: Settings,
    archive: Archive,
    proofs: Sequence[Proof],
    start: date | None,
    end: date | None,
    *,
    effects: Effects,
    observer: Observer,
    progress: Progress | None = None,
) -> Repaired:
    """Fetch what is missing or damaged and mark what is unmarked, by a catch-up of these accounts and days.

    Safe to repeat and to interrupt. Raises what `catch_up` raises.
    """
    known = {entry.identity: entry for entry in archive.accounts.entries()}
    now = effects.clock.now()
    corrections = Corrections(archive)
    left_alone = []
    for proof in proofs:
        entry = known.get(settings.accounts[proof.account].identity)
        if entry is None:
            continue
        if is_suspicious(len(proof.rotten), proof.files):
            left_alone.append(proof.account)
        else:
            corrections.fetch_rotten(proof.rotten, now)
        corrections.fetch_bare(entry.id, proof.bare, now)
        wanted = {*proof.missing, *proof.unmarked}
        troubled = [
            one for one in archive.document_search.troubled() if one.account == entry.label and one.doc_id in wanted
        ]
        corrections.retry(troubled, now)
    outcome = catch_up(
        settings,
        CatchUpRequest(tuple(proof.account for proof in proofs), start, end),
        effects=effects,
        progress=progress,
        observer=observer,
    )
    return Repaired(outcome, tuple(left_alone))


def _compare(
    settings: Settings,
    archive: Archive,
    label: str,
    start: date | None,
    end: date | None,
    effects: Effects,
    observer: Observer,
    on_step: Callable[[Proof], object],
) -> Proof:
    proof = Proof(label)
    account_id = archive.accounts.find(*settings.accounts[label].identity)
    comparison = _Comparison(archive, account_id, proof)
    policy = replace(policy_of(settings), list_patience_seconds=PATIENCE_SECONDS)
    with client_of(settings, label, effects) as client:
        account = machine_account(account_id or 0, label, settings, client)
        scope = Scope.of_days(account, effects.clock.now(), start, end, marked_too=True)
        listing = list_read_only(
            comparison, account, scope, policy, effects, observer, on_answer=lambda _: on_step(proof)
        )
    proof.problems += listing.problems
    proof.unreadable = listing.unreadable
    proof.credentials_refused = listing.credentials_refused
    if listing.is_truncated:
        proof.problems.append("one second has more documents than a list may return")
    if account_id is not None:
        received = (
            None if start is None and end is None else reception_times(account, effects.clock.now(), start, end)
        )
        for page in archive.scrubber.scrub([account_id], received):
            proof.files += page.files
            proof.bytes += page.bytes
            proof.rotten += page.rotten
            on_step(proof)
    return proof


class _Comparison:
    """Takes in listings; compares them with the archive and stores nothing."""

    def __init__(self, archive: Archive, account_id: int | None, proof: Proof) -> None:
        self._archive = archive
        self._account_id = account_id
        self._proof = proof
        self._seen: set[int] = set()

    def take_in(self, listed: ReceivedList, now: datetime) -> IntakeCounts:
        del now
        fresh = {element.doc_id for element in listed.documents} - self._seen
        known: Mapping[int, KnownDocument] = {}
        filed = frozenset[int]()
        if self._account_id is not None:
            known = self._archive.documents.known(self._account_id, fresh)
            filed = self._archive.scrubber.filed(self._account_id, fresh)
        for doc_id in sorted(fresh):
            self._judge(doc_id, known.get(doc_id), listed, has_files=doc_id in filed)
        self._seen |= fresh
        self._proof.listed = len(self._seen)
        return IntakeCounts(listed=len(listed.documents))

    def _judge(self, doc_id: int, here: KnownDocument | None, listed: ReceivedList, *, has_files: bool) -> None:
        proof = self._proof
        if here is not None and here.state is DocumentState.ACCEPTED:
            proof.accepted += 1
        elif here is None or here.state not in STORED_STATES:
            proof.missing.append(doc_id)
        elif not has_files:
            proof.missing.append(doc_id)
            proof.bare.append(doc_id)
        else:
            proof.home += 1
            if listed.unmarked and listed.acknowledges and not here.held and _should_be_marked(here, listed):
                proof.unmarked.append(doc_id)

    def withdraw(self, listed: ListedWindow) -> int:
        filtered = listed.receiver_piva or listed.receiver_cf
        if self._account_id is None or filtered or listed.window.kind is not WindowKind.RECEIVED:
            return 0
        gone = self._archive.documents.not_listed(listed)
        self._proof.unlisted.update(gone)
        return len(gone)


def _should_be_marked(here: KnownDocument, listed: ReceivedList) -> bool:
    """Whether the document was marked before the listing began, so that the list should have shown it."""
    return here.acknowledged_at is None or here.acknowledged_at < listed.begun_at
