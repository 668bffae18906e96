"""What is going on, in one line of words, for whoever watches the service."""

from __future__ import annotations

from collections.abc import Mapping

from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.account import Account
from easytracking_sync.settings import Settings

COUNT_EVERY_SECONDS = 10.0
"""Counting a large backlog costs something; the words may be so old."""

MOST_NAMES = 5


class Situation:
    """Counts now and then, and remembers the last cycle. Never raises; never waits for the service."""

    def __init__(self, archive: Archive, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock
        self._last_cycle = ""
        self._counted = ""
        self._counted_at: float | None = None

    def cycle_ended(self, label: str, record: CycleRecord | None, settings: Settings) -> None:
        """From the thread that listed."""
        if record is None:  # another instance lists this account, or the list did not come
            return
        at = self._clock.now().astimezone(settings.timezone)
        self._last_cycle = f"last cycle at {at:%H:%M} ({label}: {record.outcome})"
        self._counted_at = None

    def words(self, accounts: Mapping[str, Account], *, doing: str) -> str:
        """`doing` first, then how many accounts and documents, who is paused, the last cycle."""
        now = self._clock.monotonic()
        if self._counted_at is None or now - self._counted_at >= COUNT_EVERY_SECONDS:
            self._counted_at = now
            self._counted = self._count(accounts)
        return "; ".join(part for part in (doing, self._counted, self._last_cycle) if part)

    def _count(self, accounts: Mapping[str, Account]) -> str:
        labels = {account.id: label for label, account in accounts.items()}
        try:
            waiting = sum(self._archive.documents.waiting(labels).values())
            pauses = self._archive.accounts.pauses(self._clock.now())
        except DatabaseUnavailable:
            return f"{_count(len(labels), 'account')}, waiting for the database"
        paused = [f"{labels[id_]} ({reason})" for id_, reason in pauses.items() if id_ in labels]
        shown = paused[:MOST_NAMES] + ([f"{len(paused) - MOST_NAMES} more"] if len(paused) > MOST_NAMES else [])
        told = f"{_count(len(labels), 'account')}, {_count(waiting, 'document')} waiting"
        return told + (f", paused: {', '.join(shown)}" if shown else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
