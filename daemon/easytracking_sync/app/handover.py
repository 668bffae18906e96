"""A catch-up while the service runs: the service does it, the command shows how far it is."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from easytracking_sync.app.listers import Listers
from easytracking_sync.app.span import span_of
from easytracking_sync.app.station import Station
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
    wanted: Handed
    to_list: list[Account]
    accounts: tuple[Account, ...]
    listing: set[int] = field(default_factory=set)
    records: list[CycleRecord | None] = field(default_factory=list)


class Desk:
    """The service's side: takes requests, lists what they want, and ends them when nothing of theirs can move."""

    def __init__(self, at_work: Station, listers: Listers, clock: Clock) -> None:
        self._station = at_work
        self._listers = listers
        self._clock = clock
        self._lock = threading.Lock()
        self._works: list[_Work] = []

    def beat(self, accounts: Sequence[Account]) -> None:
        """Once a second or so, with the accounts as they are configured now."""
        request = self._station.archive.requests.take(self._clock.now())
        if request is not None:
            self._begin(request, accounts)
        for work in list(self._works):
            self._go_on(work)
            if self._is_done(work):
                outcome = {"why_unfinished": self._left_over(work), "unreadable": _unreadable(work)}
                self._station.archive.requests.end(work.request.id, outcome, self._clock.now())
                self._works.remove(work)  # not before: a database that was busy is told a beat later

    def _begin(self, request: Request, accounts: Sequence[Account]) -> None:
        wanted = Handed.of(request.parameters)
        chosen = tuple(account for account in accounts if not wanted.accounts or account.label in wanted.accounts)
        unknown = set(wanted.accounts) - {account.label for account in chosen}
        if unknown:
            why = f"the running service does not know {', '.join(sorted(unknown))}; restart it"
            self._station.archive.requests.end(
                request.id, {"why_unfinished": why, "unreadable": 0}, self._clock.now()
            )
            return
        self._station.archive.accounts.resume([account.id for account in chosen])
        for account in chosen:
            self._station.engine.gate.forget(account.id)
        self._works.append(_Work(request, wanted, list(chosen), chosen))

    def _go_on(self, work: _Work) -> None:
        for account in list(work.to_list):
            now = self._clock.now()
            span = span_of(account, now, work.wanted.start, work.wanted.end, new_only=work.wanted.new_only)

            def ended(record: CycleRecord | None, account: Account = account) -> None:
                with self._lock:
                    work.records.append(record)
                    work.listing.discard(account.id)

            with self._lock:
                work.listing.add(account.id)
            if self._listers.ask(account, span, ended):
                work.to_list.remove(account)
            else:  # its regular cycle is under way: once more a beat later
                with self._lock:
                    work.listing.discard(account.id)

    def _is_done(self, work: _Work) -> bool:
        with self._lock:
            if work.to_list or work.listing:
                return False
        waiting = self._station.archive.pool.waiting([account.id for account in work.accounts])
        now = self._clock.now()
        return not any(
            count and self._station.archive.accounts.paused(account_id, now) is None
            for account_id, count in waiting.items()
        )

    def _left_over(self, work: _Work) -> str:
        outcomes = {record.outcome if record else "a list that did not come" for record in work.records}
        now: datetime = self._clock.now()
        paused = [a.label for a in work.accounts if self._station.archive.accounts.paused(a.id, now)]
        reasons = sorted(outcomes - {"complete"})
        if paused:
            reasons.append(f"{', '.join(paused)} paused")
        return "; ".join(reasons)


def _unreadable(work: _Work) -> int:
    return sum(record.unreadable for record in work.records if record is not None)
