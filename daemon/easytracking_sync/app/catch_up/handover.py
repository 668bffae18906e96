"""A catch-up while the service runs: the command requests it, the service does it, the command shows its progress."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

from easytracking_sync.app.catch_up.outcome import (
    NO_PROGRESS_SECONDS,
    CatchUpOutcome,
    CatchUpRequest,
    Progress,
    count_of,
)
from easytracking_sync.app.composition import Instance, chosen_accounts, existing_archive
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.service_requests import ServiceRequest
from easytracking_sync.effects import Clock, Effects
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.corrections import try_now
from easytracking_sync.machine.listing import Scope
from easytracking_sync.machine.listing.threads import ListingThreads
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState, PauseReason

KIND = "catch-up"
LOOK_SECONDS = 0.5
WAIT_SECONDS = 5.0
"""How often the command checks whether the service still runs."""


class HandoverClient:
    """The command's side: one request to the running service. `wait` may be called repeatedly; it requests once."""

    def __init__(
        self, settings: Settings, request: CatchUpRequest, effects: Effects, progress: Progress | None
    ) -> None:
        self._settings = settings
        self._request = request
        self._clock = effects.clock
        self._effects = effects
        self._progress = progress
        self._begun = effects.clock.monotonic()
        self._requested_at: datetime | None = None
        self._request_id = 0
        self._stored_before = 0

    def wait(self) -> CatchUpOutcome | None:
        """Show the progress for some seconds. The outcome, once the request has ended or the deadline passed."""
        labels = chosen_accounts(self._settings, self._request.accounts)
        never = threading.Event()
        with existing_archive(self._settings, self._effects) as archive:
            if self._requested_at is None:
                self._send(archive, labels)
            until = self._clock.monotonic() + WAIT_SECONDS
            while self._clock.monotonic() < until:
                result = archive.service_requests.find(self._request_id).outcome
                if result is None and self._is_late():
                    result = {"why_unfinished": "the deadline passed; the service continues"}
                if result is not None:
                    return self._outcome(archive, labels, result)
                self._show(archive, labels)
                self._clock.wait(never, LOOK_SECONDS)
        return None

    def _send(self, archive: Archive, labels: tuple[str, ...]) -> None:
        self._requested_at = self._clock.now()
        self._stored_before = sum(map(_stored, archive.account_statuses.overviews(labels)))
        self._request_id = archive.service_requests.ask(KIND, _parameters(self._request), self._requested_at)

    def _is_late(self) -> bool:
        seconds = self._request.deadline_seconds
        return seconds is not None and self._clock.monotonic() - self._begun >= seconds

    def _show(self, archive: Archive, labels: tuple[str, ...]) -> None:
        if self._progress is None:
            return
        overviews = archive.account_statuses.overviews(labels)
        archived = sum(map(_stored, overviews)) - self._stored_before
        waiting = sum(count_of(overview).waiting for overview in overviews)
        doing = "the running service is working"
        self._progress.show(listed=archived + waiting, archived=archived, waiting=waiting, doing=doing)

    def _outcome(self, archive: Archive, labels: tuple[str, ...], result: Mapping[str, Any]) -> CatchUpOutcome:
        assert self._requested_at is not None
        stored = archive.document_search.stored_since(labels, self._requested_at)
        overviews = archive.account_statuses.overviews(labels)
        why = str(result.get("why_unfinished", ""))
        return CatchUpOutcome(
            counts=tuple(count_of(overview) for overview in overviews),
            documents=stored.documents,
            files=stored.files,
            bytes=stored.bytes,
            seconds=self._clock.monotonic() - self._begun,
            refused_accounts=tuple(s.account for s in overviews if s.pause_reason is PauseReason.CREDENTIALS),
            unreadable=int(result.get("unreadable", 0)),
            storage_failure=result.get("storage_failure"),
            finished=not why,
            why_unfinished=why,
        )


@dataclass(slots=True)
class _TakenRequest:
    """A request that the service works on."""

    request: ServiceRequest
    accounts: tuple[Account, ...]
    moved_at: float  # monotonic
    listing: set[int]  # accounts whose cycle has not ended
    records: list[CycleRecord | None] = field(default_factory=list)
    seen: tuple[object, ...] = ()  # the situation at `moved_at`

    @property
    def account_ids(self) -> list[int]:
        return [account.id for account in self.accounts]


class HandoverServer:
    """The service's side: takes requests, lists their accounts, and ends them when nothing can continue."""

    def __init__(self, instance: Instance, listing: ListingThreads, clock: Clock) -> None:
        self._archive = instance.archive
        self._engine = instance.engine
        self._listing = listing
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: ServiceRequest | None = None
        self._open: list[_TakenRequest] = []

    def beat(self, accounts: Sequence[Account]) -> None:
        """Take and end requests; called about once a second with the accounts as configured now.

        What fails because the database is busy is repeated by the next call.
        """
        self._taken = self._taken or self._archive.service_requests.take(self._clock.now())
        if self._taken is not None:
            self._begin(self._taken, accounts)
            self._taken = None
        for taken in list(self._open):
            result = self._result(taken)
            if result is not None:
                self._archive.service_requests.end(taken.request.id, result, self._clock.now())
                self._open.remove(taken)

    def _begin(self, request: ServiceRequest, accounts: Sequence[Account]) -> None:
        wanted = _request_of(request.parameters)
        chosen = tuple(account for account in accounts if not wanted.accounts or account.label in wanted.accounts)
        unknown = set(wanted.accounts) - {account.label for account in chosen}
        if unknown:
            why = f"the running service does not know {', '.join(sorted(unknown))}; restart it"
            self._archive.service_requests.end(request.id, {"why_unfinished": why}, self._clock.now())
            return
        try_now(self._archive, [account.id for account in chosen], self._clock.now())
        taken = _TakenRequest(request, chosen, self._clock.monotonic(), {account.id for account in chosen})
        for account in chosen:
            self._engine.circuit_breaker.forget(account.id)
            self._listing.retry_now(account.id)
            now = self._clock.now()
            scope = Scope.of_days(account, now, wanted.start, wanted.end, marked_too=not wanted.new_only)
            self._listing.request(account, scope, partial(self._note_end, taken, account.id))
        self._open.append(taken)

    def _note_end(self, taken: _TakenRequest, account_id: int, record: CycleRecord | None) -> None:
        with self._lock:
            taken.records.append(record)
            taken.listing.discard(account_id)

    def _result(self, taken: _TakenRequest) -> dict[str, Any] | None:
        """What to tell the command; None while something can continue."""
        with self._lock:
            listing = set(taken.listing)
        waiting = self._archive.documents.waiting(taken.account_ids)
        pauses = self._archive.accounts.pauses(self._clock.now())
        reasons = self._reasons(taken, listing, pauses)
        result: dict[str, Any] = {
            "unreadable": sum(record.unreadable for record in taken.records if record is not None)
        }
        shortage = self._engine.storage_failure
        if shortage is not None and any(waiting.values()):
            result["storage_failure"] = shortage
        elif listing or any(count and account_id not in pauses for account_id, count in waiting.items()):
            if not self._is_stuck(taken, listing, waiting):
                return None
            reasons.insert(0, f"no progress for {NO_PROGRESS_SECONDS / 60:g} minutes; the service continues")
        return {**result, "why_unfinished": "; ".join(reasons)}

    def _is_stuck(self, taken: _TakenRequest, listing: set[int], waiting: Mapping[int, int]) -> bool:
        now = self._clock.monotonic()
        windows = self._listing.state.windows
        seen = (sorted(listing), dict(waiting), [windows.get(account_id, 0) for account_id in taken.account_ids])
        if seen != taken.seen:
            taken.seen, taken.moved_at = seen, now
        return now - taken.moved_at >= NO_PROGRESS_SECONDS

    def _reasons(self, taken: _TakenRequest, listing: set[int], pauses: Collection[int]) -> list[str]:
        outcomes = {record.outcome if record else "an account could not be listed" for record in taken.records}
        troubles = {self._listing.state.troubles.get(account_id, "") for account_id in listing}
        paused = [account.label for account in taken.accounts if account.id in pauses]
        reasons = sorted((outcomes | troubles) - {"complete", ""})
        return [*reasons, f"{', '.join(paused)} paused"] if paused else reasons


def _parameters(request: CatchUpRequest) -> dict[str, Any]:
    """The request as its row stores it."""
    return {
        "accounts": list(request.accounts),
        "start": request.start.isoformat() if request.start else None,
        "end": request.end.isoformat() if request.end else None,
        "new_only": request.new_only,
    }


def _request_of(parameters: Mapping[str, Any]) -> CatchUpRequest:
    start, end = (date.fromisoformat(day) if (day := parameters[key]) else None for key in ("start", "end"))
    return CatchUpRequest(tuple(parameters["accounts"]), start, end, bool(parameters["new_only"]))


def _stored(overview: AccountOverview) -> int:
    return overview.count(DocumentState.STORED, DocumentState.ACKNOWLEDGED)
