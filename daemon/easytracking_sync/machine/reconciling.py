"""After a restore or a promotion: what an account lists first, and when that is done."""

from __future__ import annotations

import contextlib
from datetime import datetime

from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.generation import MARGIN
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import Transient
from easytracking_sync.events import EventName
from easytracking_sync.machine import policy
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.listing.scope import Scope
from easytracking_sync.machine.observer import Observer


def notice_restore(archive: Archive, observer: Observer) -> bool:
    """Whether the database is not the one that was used last; if so, every account is to be reconciled."""
    restored = archive.generation.look()
    if restored is None:
        return False
    archive.generation.begin(restored)
    observer.note(EventName.ARCHIVE_RESTORED, reason=restored.reason, since=restored.since)
    return True


def scope_due(archive: Archive, account: Account, now: datetime) -> Scope | None:
    """The whole history, marked documents too, if the account is to be reconciled; None otherwise.

    What was acknowledged after the copy was made is marked at the service, whenever it was received.
    """
    if archive.accounts.reconcile_since(account.id) is None:
        return None
    return Scope.whole_history(account, now, marked_too=True)


def scope_since_last_run(archive: Archive, account: Account, now: datetime) -> Scope:
    """What was received since the database last counted, marked documents too: one or two lists.

    A machine that was restored as a whole, with its marker, shows no other trace of it.
    """
    local = policy.local_now(now, account.timezone)
    counted_at = min(archive.generation.last_counted_at or now, now)
    start = policy.local_now(counted_at - MARGIN, account.timezone)
    return Scope.between(start, local + policy.NEWEST_WINDOW_AHEAD, marked_too=True)


def note_reconciled(
    archive: Archive, account: Account, scope: Scope, record: CycleRecord | None, observer: Observer
) -> None:
    """The account is reconciled if its whole history was listed to the end, marked documents too.

    Where the archive does not answer, the account stays due.
    """
    if record is None or not record.is_success or not scope.is_whole or not scope.marked_too:
        return
    with contextlib.suppress(Transient):
        since = archive.accounts.reconcile_since(account.id)
        if since is not None:
            archive.accounts.note_reconciled(account.id, since, record.begun_at)
            observer.note(EventName.ACCOUNT_RECONCILED, account=account.label, discovered=record.discovered)
