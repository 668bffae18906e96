"""The completeness proof: service, database and stored bytes compared over the whole history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from easytracking_sync.app.composition import machine_account, policy_of, service_of
from easytracking_sync.app.listing import Lister
from easytracking_sync.app.span import days_of, span_of
from easytracking_sync.archive.intake import Absorbed, Listed
from easytracking_sync.archive.integrity import Rotten
from easytracking_sync.archive.pool import Known
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import CredentialsRefused, SyncError, Transient
from easytracking_sync.machine.account import Account, Gate, NoPauses
from easytracking_sync.machine.listing.cycle import Cycle
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState, Window, WindowKind

STORED = (DocumentState.STORED, DocumentState.ACKNOWLEDGED)
PATIENCE_SECONDS = 300.0
"""How long a service that does not answer is waited for."""


@dataclass(slots=True)
class Proof:
    """What the comparison of one account found. It `holds` where every document the service lists is home, whole,
    and the service knows it."""

    account: str
    listed: int = 0  # documents the service has, in both phases
    home: int = 0
    accepted: int = 0  # closed by the operator, with a reason
    missing: list[int] = field(default_factory=list)  # listed, not home
    bare: list[int] = field(default_factory=list)  # of them, those that count as home and have no file
    unmarked: list[int] = field(default_factory=list)  # home, and the service does not know it
    unlisted: set[int] = field(default_factory=set)  # here, not listed any more: the service has let go of them
    files: int = 0
    bytes: int = 0
    rotten: list[Rotten] = field(default_factory=list)
    unreadable: int = 0  # list elements without an id: whatever is behind them
    problems: list[str] = field(default_factory=list)  # why the comparison itself is not complete
    credentials_refused: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether everything that was to be compared was compared."""
        return not (self.problems or self.credentials_refused)

    @property
    def has_findings(self) -> bool:
        """Whether something is not as it should be; what the service no longer lists is no fault."""
        return bool(self.missing or self.unmarked or self.rotten or self.unreadable)

    @property
    def holds(self) -> bool:
        """Whether all was compared and nothing was found."""
        return self.is_complete and not self.has_findings


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
    """List both phases of every account, hash every stored file of theirs, and compare. Changes nothing anywhere.

    With days given, only documents received on them count; those without a reception time show in the whole history
    alone. It may run beside a service; what arrives meanwhile may show as missing, and does not the next time.
    """
    proofs = []
    for label in labels:
        proof = Proof(label)
        account_id = archive.accounts.find(*settings.accounts[label].identity)
        with service_of(settings, label, effects) as service:
            account = machine_account(account_id or 0, label, settings, service)
            comparing = _Comparing(archive, account_id, proof)
            gate = Gate(NoPauses(), effects.clock, observer, policy_of(settings))
            span = span_of(account, effects.clock.now(), start, end, new_only=False)
            cycle = Cycle(comparing, gate, effects.clock, observer, account, span)
            _list(cycle, proof, settings, effects, observer, on_step)
        proof.problems += cycle.problems
        proof.unreadable = cycle.unreadable
        if cycle.truncated:
            proof.problems.append("a second holds more documents than a list may")
        if account_id is not None:
            _hash(archive, account, proof, effects.clock.now(), start, end, on_step)
        proofs.append(proof)
    return proofs


def _hash(
    archive: Archive,
    account: Account,
    proof: Proof,
    now: datetime,
    start: date | None,
    end: date | None,
    on_step: Callable[[Proof], object],
) -> None:
    between = None if start is None and end is None else days_of(account, now, start, end)
    for page in archive.integrity.scrub([account.id], between):
        proof.files += page.files
        proof.bytes += page.bytes
        proof.rotten += page.rotten
        on_step(proof)


def _list(
    cycle: Cycle,
    proof: Proof,
    settings: Settings,
    effects: Effects,
    observer: Observer,
    on_step: Callable[[Proof], object],
) -> None:
    stop = threading.Event()
    answered_at = effects.clock.monotonic()

    def go_on(_: Cycle) -> None:
        nonlocal answered_at
        answered_at = effects.clock.monotonic()
        on_step(proof)

    def give_up(_: Cycle, trouble: Transient) -> None:
        if effects.clock.monotonic() - answered_at >= PATIENCE_SECONDS:
            stop.set()
            proof.problems.append(str(trouble))

    try:
        Lister(effects, policy_of(settings), observer, stop).list_through(cycle, go_on, give_up)
    except CredentialsRefused:
        proof.credentials_refused = True
    except SyncError as trouble:
        proof.problems.append(str(trouble))


class _Comparing:
    """An intake that compares what is listed with what is here, and keeps nothing."""

    def __init__(self, archive: Archive, account_id: int | None, proof: Proof) -> None:
        self._archive = archive
        self._account_id = account_id
        self._proof = proof
        self._seen: set[int] = set()

    def absorb(self, listed: Listed, now: datetime) -> Absorbed:
        del now
        fresh = {element.doc_id for element in listed.documents} - self._seen
        known: Mapping[int, Known] = {}
        filed = frozenset[int]()
        if self._account_id is not None:
            known = self._archive.pool.states(self._account_id, fresh)
            filed = self._archive.integrity.filed(self._account_id, fresh)
        for doc_id in sorted(fresh):
            self._judge(doc_id, known.get(doc_id), listed, has_files=doc_id in filed)
        self._seen |= fresh
        self._proof.listed = len(self._seen)
        return Absorbed(listed=len(listed.documents))

    def _judge(self, doc_id: int, here: Known | None, listed: Listed, *, has_files: bool) -> None:
        proof = self._proof
        if here is not None and here.state is DocumentState.ACCEPTED:
            proof.accepted += 1
        elif here is None or here.state not in STORED:
            proof.missing.append(doc_id)
        elif not has_files:
            proof.missing.append(doc_id)
            proof.bare.append(doc_id)
        else:
            proof.home += 1
            if listed.unmarked and listed.acknowledges and not here.held and _is_old_enough(here, listed):
                proof.unmarked.append(doc_id)

    def withdraw(
        self,
        account_id: int,
        window: Window,
        present: Collection[int],
        begun_at: datetime,
        *,
        receiver_piva: str | None = None,
        receiver_cf: str | None = None,
    ) -> int:
        if self._account_id is None or receiver_piva or receiver_cf or window.kind is not WindowKind.RECEIVED:
            return 0
        gone = self._archive.pool.unlisted(account_id, window, present, begun_at)
        self._proof.unlisted.update(gone)
        return len(gone)


def _is_old_enough(here: Known, listed: Listed) -> bool:
    """Whether the service should have known by this listing: what was told while it was made does not count."""
    return here.acknowledged_at is None or here.acknowledged_at < listed.begun_at
