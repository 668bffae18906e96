"""What the running service reports about itself to its supervisors: systemd and the health check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.machine.account import Account
from easytracking_sync.settings import Settings

COUNT_EVERY_SECONDS = 10.0
"""Counting a large backlog is expensive, so the counts in the status line may be this old."""

MOST_NAMES = 5


class Supervisor(Protocol):
    """Told by the service's loop alone. Must neither block nor raise."""

    def started(self) -> None:
        """The archive is open and the engine runs; also after each reload."""
        ...

    def alive(self, status: str) -> None:
        """About once a second, while the loop runs and no thread hangs; `status` is the status line."""
        ...

    def reloading(self) -> None:
        """The configuration is being reloaded."""
        ...

    def stopping(self) -> None:
        """Once, when the service begins to stop."""
        ...


class Supervisors:
    """Tells several supervisors."""

    def __init__(self, *supervisors: Supervisor) -> None:
        self._supervisors = supervisors

    def started(self) -> None:
        for supervisor in self._supervisors:
            supervisor.started()

    def alive(self, status: str) -> None:
        for supervisor in self._supervisors:
            supervisor.alive(status)

    def reloading(self) -> None:
        for supervisor in self._supervisors:
            supervisor.reloading()

    def stopping(self) -> None:
        for supervisor in self._supervisors:
            supervisor.stopping()


UNSUPERVISED = Supervisors()


class Liveness:
    """A supervisor that remembers when the service was last alive. Any thread may ask it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alive_at = clock.monotonic()
        self._is_running = False

    def started(self) -> None:
        self._alive_at = self._clock.monotonic()
        self._is_running = True

    def alive(self, status: str) -> None:
        del status
        self._alive_at = self._clock.monotonic()

    def reloading(self) -> None:
        self._alive_at = self._clock.monotonic()

    def stopping(self) -> None:
        self._is_running = False

    @property
    def is_running(self) -> bool:
        """Whether the service has started and not begun to stop."""
        return self._is_running

    @property
    def age_seconds(self) -> float:
        """The time since the service was last alive, or since this object was made."""
        return max(0.0, self._clock.monotonic() - self._alive_at)


class StatusLine:
    """The service's state in one line. Never raises."""

    def __init__(self, archive: Archive, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock
        self._last_cycle = ""
        self._counts = ""
        self._counted_at: float | None = None

    def cycle_ended(self, label: str, record: CycleRecord | None, settings: Settings) -> None:
        """Remember the last cycle; called by the thread that listed."""
        if record is None:  # another instance lists this account, or it could not be listed
            return
        at = self._clock.now().astimezone(settings.timezone)
        self._last_cycle = f"last cycle at {at:%H:%M} ({label}: {record.outcome})"
        self._counted_at = None

    def text(self, accounts: Mapping[str, Account], *, doing: str) -> str:
        """What the service is `doing`, its accounts and waiting documents, what is paused, the last cycle."""
        now = self._clock.monotonic()
        if self._counted_at is None or now - self._counted_at >= COUNT_EVERY_SECONDS:
            self._counted_at = now
            self._counts = self._count(accounts)
        return "; ".join(part for part in (doing, self._counts, self._last_cycle) if part)

    def _count(self, accounts: Mapping[str, Account]) -> str:
        labels = {account.id: label for label, account in accounts.items()}
        try:
            waiting = sum(self._archive.documents.waiting(labels).values())
            pauses = self._archive.accounts.pauses(self._clock.now())
        except DatabaseUnavailable:
            return f"{_number(len(labels), 'account')}, waiting for the database"
        paused = [f"{labels[id_]} ({reason})" for id_, reason in pauses.items() if id_ in labels]
        shown = paused[:MOST_NAMES] + ([f"{len(paused) - MOST_NAMES} more"] if len(paused) > MOST_NAMES else [])
        counts = f"{_number(len(labels), 'account')}, {_number(waiting, 'document')} waiting"
        return counts + (f", paused: {', '.join(shown)}" if shown else "")


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
