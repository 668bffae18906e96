"""A catch-up while the service runs: the service does it, the command shows how far it is."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from easytracking_sync.app.composition import Station
from easytracking_sync.app.listers import NO_PROGRESS_SECONDS, Listers
from easytracking_sync.app.span import span_of
from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.requests import Request
from easytracking_sync.effects import Clock
from easytracking_sync.machine.account import Account

KIND = "catch-up"


@dataclass(frozen=True, slots=True)
class Handed:
    """What a catch-up wants, as it stands in a request's row."""

    accounts: tuple[str, ...]
    start: date | None
    end: date | None
    new_only: bool

    def parameters(self) -> dict[str, Any]:
        """For the row."""
        return {
            "accounts": list(self.accounts),
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
            "new_only": self.new_only,
        }

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Handed:
        """From the row."""
        start, end = (date.fromisoformat(day) if (day := parameters[key]) else None for key in ("start", "end"))
        return cls(tuple(parameters["accounts"]), start, end, bool(parameters["new_only"]))


@dataclass(slots=True)
class _Work:
    request: Request
    accounts: tuple[Account, ...]
    moved_at: float  # monotonic
    listing: set[int]
    records: list[CycleRecord | None] = field(default_factory=list)
    seen: tuple[object, ...] = ()  # what stood when something moved last

    @property
    def account_ids(self) -> list[int]:
        return [account.id for account in self.accounts]


class Desk:
    """The service's side: takes requests, lists what they want, and ends them when nothing of theirs can move."""

    def __init__(self, at_work: Station, listers: Listers, clock: Clock) -> None:
        self._station = at_work
        self._listers = listers
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: Request | None = None
        self._works: list[_Work] = []

    def beat(self, accounts: Sequence[Account]) -> None:
        """Once a second or so, with the accounts as they are configured now.

        What a database that was busy did not take is done a beat later.
        """
        self._taken = self._taken or self._station.archive.requests.take(self._clock.now())
        if self._taken is not None:
            self._begin(self._taken, accounts)
            self._taken = None
        for work in list(self._works):
            outcome = self._outcome(work)
            if outcome is not None:
                self._station.archive.requests.end(work.request.id, outcome, self._clock.now())
                self._works.remove(work)

    def _begin(self, request: Request, accounts: Sequence[Account]) -> None:
        wanted = Handed.of(request.parameters)
        chosen = tuple(account for account in accounts if not wanted.accounts or account.label in wanted.accounts)
        unknown = set(wanted.accounts) - {account.label for account in chosen}
        if unknown:
            why = f"the running service does not know {', '.join(sorted(unknown))}; restart it"
            self._station.archive.requests.end(request.id, {"why_unfinished": why}, self._clock.now())
            return
        self._station.archive.accounts.resume([account.id for account in chosen])
        work = _Work(request, chosen, self._clock.monotonic(), {account.id for account in chosen})
        for account in chosen:
            self._station.engine.gate.forget(account.id)
            self._listers.try_now(account.id)
            span = span_of(account, self._clock.now(), wanted.start, wanted.end, new_only=wanted.new_only)
            self._listers.ask(account, span, partial(self._note_end, work, account.id))
        self._works.append(work)

    def _note_end(self, work: _Work, account_id: int, record: CycleRecord | None) -> None:
        with self._lock:
            work.records.append(record)
            work.listing.discard(account_id)

    def _outcome(self, work: _Work) -> dict[str, Any] | None:
        """What the command is told; None as long as something may move."""
        with self._lock:
            open_ids = set(work.listing)
        waiting = self._station.archive.pool.waiting(work.account_ids)
        pauses = self._station.archive.accounts.pauses(self._clock.now())
        reasons = self._left_over(work, open_ids, pauses)
        told: dict[str, Any] = {"unreadable": _unreadable(work)}
        shortage = self._station.engine.storage_failure
        if shortage is not None and any(waiting.values()):
            told["storage_failure"] = shortage
        elif open_ids or any(count and account_id not in pauses for account_id, count in waiting.items()):
            if not self._is_stuck(work, open_ids, waiting):
                return None
            reasons.insert(0, f"nothing moved for {NO_PROGRESS_SECONDS / 60:g} minutes; the service goes on")
        return {**told, "why_unfinished": "; ".join(reasons)}

    def _is_stuck(self, work: _Work, open_ids: set[int], waiting: Mapping[int, int]) -> bool:
        now = self._clock.monotonic()
        windows = self._listers.listed.windows
        stands = (sorted(open_ids), dict(waiting), [windows.get(account_id, 0) for account_id in work.account_ids])
        if stands != work.seen:
            work.seen, work.moved_at = stands, now
        return now - work.moved_at >= NO_PROGRESS_SECONDS

    def _left_over(self, work: _Work, open_ids: set[int], pauses: Collection[int]) -> list[str]:
        outcomes = {record.outcome if record else "a list that did not come" for record in work.records}
        troubles = {self._listers.listed.troubles.get(account_id, "") for account_id in open_ids}
        paused = [account.label for account in work.accounts if account.id in pauses]
        reasons = sorted((outcomes | troubles) - {"complete", ""})
        return [*reasons, f"{', '.join(paused)} paused"] if paused else reasons


def _unreadable(work: _Work) -> int:
    return sum(record.unreadable for record in work.records if record is not None)
