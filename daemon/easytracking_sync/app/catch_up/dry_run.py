"""The dry run: what would be fetched. Nothing is written here, and nothing is changed at the service."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime

from easytracking_sync.app.composition import archive_of, chosen_accounts, machine_account, policy_of, service_of
from easytracking_sync.app.listing import Lister
from easytracking_sync.app.span import span_of
from easytracking_sync.archive.intake import Absorbed, Listed
from easytracking_sync.archive.schema import require_current, revision
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Clock, Effects
from easytracking_sync.errors import CredentialsRefused, SyncError
from easytracking_sync.machine.account import Gate, NoPauses
from easytracking_sync.machine.listing.cycle import Cycle
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.settings import Settings
from easytracking_sync.terms import Window

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
    observer: Observer,
) -> Preview:
    """List what the accounts have and count what the archive has not; for each account that answers."""
    seen = Preview()
    patience = _Patience(effects.clock, deadline_seconds, seen.problems)
    archive = archive_of(settings, effects)
    try:
        known = revision(archive.database) is not None
        if known:
            require_current(archive.database)
        for label in chosen_accounts(settings, labels):
            account_id = archive.accounts.find(*settings.accounts[label].identity) if known else None
            counting = _Counting(archive if account_id else None)
            with service_of(settings, label, effects) as service:
                account = machine_account(account_id or NOBODY, label, settings, service)
                span = span_of(account, effects.clock.now(), start, end, new_only=new_only)
                gate = Gate(NoPauses(), effects.clock, observer, policy_of(settings))
                cycle = Cycle(counting, gate, effects.clock, observer, account, span)
                try:
                    patience.list_through(cycle, effects, policy_of(settings), observer)
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


class _Patience:
    """How long all accounts together may take; what it cuts short is among the `problems`."""

    def __init__(self, clock: Clock, deadline_seconds: float | None, problems: list[str]) -> None:
        self._clock = clock
        self._has_deadline = deadline_seconds is not None
        self._until = clock.monotonic() + (PATIENCE_SECONDS if deadline_seconds is None else deadline_seconds)
        self._problems = problems

    def list_through(self, cycle: Cycle, effects: Effects, policy: Policy, observer: Observer) -> None:
        """Until the cycle's end or the patience's; CredentialsRefused and what is permanent escape."""
        stop = threading.Event()

        def end_if_late(problem: str) -> None:
            if self._clock.monotonic() >= self._until:
                stop.set()
                self._problems.append(problem)

        def go_on(_: Cycle) -> None:
            if self._has_deadline:
                end_if_late("the deadline passed; the list is not complete")

        lister = Lister(effects, policy, observer, stop)
        lister.list_through(cycle, go_on, lambda _, trouble: end_if_late(str(trouble)))


class _Counting:
    """An intake that keeps nothing but the ids nobody knows here."""

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
