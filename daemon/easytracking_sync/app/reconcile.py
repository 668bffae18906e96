"""The completeness proof: service, database and stored bytes compared over the whole history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import httpx

from easytracking_sync.app.listing import Lister
from easytracking_sync.app.span import span_of
from easytracking_sync.app.station import machine_account, policy_of, service_of
from easytracking_sync.archive.integrity import Rotten
from easytracking_sync.archive.pool import Absorbed, Listed
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import CredentialsRefused, SyncError, Transient
from easytracking_sync.machine.account import Gate
from easytracking_sync.machine.discovery import Cycle
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState, PauseReason, Window, WindowKind

HOME = (DocumentState.STORED, DocumentState.ACKNOWLEDGED, DocumentState.ACCEPTED)
PATIENCE_SECONDS = 300.0
"""How long a service that does not answer is waited for."""


@dataclass(slots=True)
class Proof:
    """What the comparison of one account found. It `holds` where every document the service lists is home, whole,
    and told so."""

    account: str
    listed: int = 0  # documents the service has, in both phases
    home: int = 0
    missing: list[int] = field(default_factory=list)  # listed, not home
    unmarked: list[int] = field(default_factory=list)  # home and told so, listed as unmarked all the same
    unlisted: list[int] = field(default_factory=list)  # here, not listed any more: the service has let go of them
    files: int = 0
    bytes: int = 0
    rotten: list[Rotten] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # why the comparison itself is not complete
    credentials_refused: bool = False

    @property
    def holds(self) -> bool:
        """Whether nothing was found; what the service no longer lists is no fault."""
        return not (self.missing or self.unmarked or self.rotten or self.problems or self.credentials_refused)


def compare(
    settings: Settings,
    archive: Archive,
    labels: Sequence[str],
    start: date | None,
    end: date | None,
    *,
    effects: Effects,
    observer: Observer,
    transport: httpx.BaseTransport | None = None,
    on_step: Callable[[Proof], object] = lambda _: None,
) -> list[Proof]:
    """List both phases of every account, hash every stored file of theirs, and compare. Changes nothing anywhere.

    It may run beside a service; what arrives meanwhile may show as missing, and does not the next time.
    """
    proofs = []
    for label in labels:
        proof = Proof(label)
        account_id = archive.accounts.find(*settings.accounts[label].identity)
        with service_of(settings, label, effects, transport) as service:
            account = machine_account(account_id or 0, label, settings, service)
            comparing = _Comparing(archive, account_id, proof)
            gate = Gate(comparing, effects.clock, observer, policy_of(settings))
            span = span_of(account, effects.clock.now(), start, end, new_only=False)
            cycle = Cycle(comparing, gate, effects.clock, observer, account, span)
            _list(cycle, proof, settings, effects, observer, on_step)
        proof.listed = len(comparing.seen)
        proof.problems += cycle.problems
        if cycle.unreadable:
            proof.problems.append(f"{cycle.unreadable} list elements without an id")
        if cycle.truncated:
            proof.problems.append("a second holds more documents than a list may")
        if account_id is not None:
            for page in archive.integrity.scrub([account_id]):
                proof.files += page.files
                proof.bytes += page.bytes
                proof.rotten += page.rotten
                on_step(proof)
        proofs.append(proof)
    return proofs


def _list(
    cycle: Cycle,
    proof: Proof,
    settings: Settings,
    effects: Effects,
    observer: Observer,
    on_step: Callable[[Proof], object],
) -> None:
    stop = threading.Event()
    until = effects.clock.monotonic() + PATIENCE_SECONDS

    def give_up(_: Cycle, trouble: Transient) -> None:
        if effects.clock.monotonic() >= until:
            stop.set()
            proof.problems.append(str(trouble))

    try:
        lister = Lister(effects, policy_of(settings), observer, stop)
        lister.list_through(cycle, lambda _: on_step(proof), give_up)
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
        self.seen: set[int] = set()

    def absorb(self, listed: Listed, now: datetime) -> Absorbed:
        del now
        ids = {element.doc_id for element in listed.documents}
        known = self._archive.pool.states(self._account_id, ids) if self._account_id is not None else {}
        for doc_id in sorted(ids - self.seen):
            here = known.get(doc_id)
            if here is None or here.state not in HOME:
                self._proof.missing.append(doc_id)
                continue
            self._proof.home += 1
            told = here.state is DocumentState.ACKNOWLEDGED and listed.acknowledges and not here.held
            if listed.unmarked and told:
                self._proof.unmarked.append(doc_id)
        self.seen |= ids
        return Absorbed(listed=len(listed.documents))

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
        self._proof.unlisted += gone
        return len(gone)

    def refuse_login(self, account_id: int, pauses: Sequence[float], message: str, now: datetime) -> datetime:
        del account_id, pauses, message
        return now

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        pass
