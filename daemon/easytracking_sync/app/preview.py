"""The dry run: what would be fetched. Nothing is written here, and nothing is changed at the service."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import httpx

from easytracking_sync.app.listing import Lister
from easytracking_sync.app.span import span_of
from easytracking_sync.app.station import archive_of, chosen_accounts, machine_account, policy_of, service_of
from easytracking_sync.archive.intake import Absorbed, Listed
from easytracking_sync.archive.schema import require_current, revision
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import CredentialsRefused, SyncError, Transient
from easytracking_sync.machine.account import Gate
from easytracking_sync.machine.discovery import Cycle
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings
from easytracking_sync.terms import PauseReason, Window

NOBODY = 0
"""The row id of an account that the archive has not heard of."""

PATIENCE_SECONDS = 60.0
"""Without a deadline, a dry run waits this long for a service that does not answer."""


@dataclass(slots=True)
class Preview:
    """What a dry run saw."""

    would_fetch: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    unreadable: int = 0
    problems: list[str] = field(default_factory=list)


def look(
    settings: Settings,
    labels: tuple[str, ...],
    start: date | None,
    end: date | None,
    *,
    new_only: bool,
    deadline_seconds: float | None,
    effects: Effects,
    transport: httpx.BaseTransport | None,
    observer: Observer,
) -> Preview:
    """List what the accounts have and count what the archive has not; for each account that answers."""
    seen = Preview()
    until = effects.clock.monotonic() + (PATIENCE_SECONDS if deadline_seconds is None else deadline_seconds)
    archive = archive_of(settings, effects)
    try:
        known = revision(archive.database) is not None
        if known:
            require_current(archive.database)
        for label in chosen_accounts(settings, labels):
            account_id = archive.accounts.find(*settings.accounts[label].identity) if known else None
            with service_of(settings, label, effects, transport) as service:
                account = machine_account(account_id or NOBODY, label, settings, service)
                counting = _Counting(archive if account_id else None)
                span = span_of(account, effects.clock.now(), start, end, new_only=new_only)
                gate = Gate(counting, effects.clock, observer, policy_of(settings))
                cycle = Cycle(counting, gate, effects.clock, observer, account, span)
                stop = threading.Event()

                def give_up(_: Cycle, trouble: Transient, stop: threading.Event = stop) -> None:
                    if effects.clock.monotonic() >= until:
                        stop.set()
                        seen.problems.append(str(trouble))

                def watch_deadline(_: Cycle, stop: threading.Event = stop) -> None:
                    if deadline_seconds is not None and effects.clock.monotonic() >= until:
                        stop.set()
                        seen.problems.append("the deadline passed; the list is not complete")

                try:
                    lister = Lister(effects, policy_of(settings), observer, stop)
                    lister.list_through(cycle, watch_deadline, give_up)
                except CredentialsRefused:
                    seen.refused += (label,)
                except SyncError as trouble:
                    seen.problems.append(str(trouble))
                seen.would_fetch[label] = len(counting.unknown)
                seen.unreadable += cycle.unreadable
                seen.problems += cycle.problems
    finally:
        archive.close()
    return seen


class _Counting:
    """An intake, and a memory of pauses, that keeps nothing but the ids nobody knows here."""

    def __init__(self, archive: Archive | None) -> None:
        self._archive = archive
        self.unknown: set[int] = set()

    def absorb(self, listed: Listed, now: datetime) -> Absorbed:
        del now
        ids = {element.doc_id for element in listed.documents}
        known = {} if self._archive is None else self._archive.pool.states(listed.account_id, ids)
        self.unknown |= ids - known.keys()
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
        del account_id, window, present, begun_at, receiver_piva, receiver_cf
        return 0

    def pause_slowly(
        self, account_id: int, reason: PauseReason, pauses: Sequence[float], message: str, now: datetime
    ) -> datetime:
        del account_id, reason, pauses, message
        return now

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        pass
