"""The dry run: counts the documents that a catch-up would fetch. Changes nothing here or at the service."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from easytracking_sync.app.catch_up.outcome import CatchUpOutcome, CatchUpRequest
from easytracking_sync.app.composition import archive_of, chosen_accounts, client_of, machine_account, policy_of
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.schema import require_current, revision
from easytracking_sync.effects import Effects
from easytracking_sync.machine.intake import IntakeCounts, ReceivedList
from easytracking_sync.machine.listing import Scope, list_read_only
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings
from easytracking_sync.terms import ListedWindow

UNKNOWN_ACCOUNT = 0
"""The row id of an account that the archive does not know."""

PATIENCE_SECONDS = 60.0
"""Without a deadline: how long an account that does not answer is retried. The accounts after it are tried once."""


def dry_run(settings: Settings, request: CatchUpRequest, effects: Effects, observer: Observer) -> CatchUpOutcome:
    """List the chosen accounts and count the documents that the archive does not have."""
    clock = effects.clock
    begun = clock.monotonic()
    until = math.inf if request.deadline_seconds is None else begun + request.deadline_seconds
    patience_seconds = PATIENCE_SECONDS if request.deadline_seconds is None else math.inf
    would_fetch, refused, problems, unreadable = dict[str, int](), list[str](), list[str](), 0
    archive = archive_of(settings, effects)
    try:
        exists = revision(archive.database) is not None
        if exists:
            require_current(archive.database)
        for label in chosen_accounts(settings, request.accounts):
            account_id = archive.accounts.find(*settings.accounts[label].identity) if exists else None
            counter = _Counter(archive if account_id else None)
            policy = replace(policy_of(settings), list_patience_seconds=patience_seconds)
            with client_of(settings, label, effects) as client:
                account = machine_account(account_id or UNKNOWN_ACCOUNT, label, settings, client)
                scope = Scope.of_days(
                    account, clock.now(), request.start, request.end, marked_too=not request.new_only
                )
                listing = list_read_only(counter, account, scope, policy, effects, observer, until=until)
            would_fetch[label] = len(counter.unknown)
            refused += [label] if listing.credentials_refused else []
            problems += listing.problems
            unreadable += listing.unreadable
            if listing.given_up:
                patience_seconds = 0.0
    finally:
        archive.close()
    return CatchUpOutcome(
        seconds=clock.monotonic() - begun,
        would_fetch=would_fetch,
        refused_accounts=tuple(refused),
        unreadable=unreadable,
        finished=not problems,
        why_unfinished="; ".join(problems),
    )


class _Counter:
    """Takes in listings; keeps only the ids that the archive does not have."""

    def __init__(self, archive: Archive | None) -> None:
        self._archive = archive
        self.unknown: set[int] = set()

    def take_in(self, listed: ReceivedList, now: datetime) -> IntakeCounts:
        del now
        ids = {element.doc_id for element in listed.documents}
        known = {} if self._archive is None else self._archive.documents.known(listed.account_id, ids)
        self.unknown |= ids - known.keys()
        return IntakeCounts(listed=len(listed.documents))

    def withdraw(self, listed: ListedWindow) -> int:
        del listed
        return 0
