"""Addresses that do not answer: for how long a list is tried, and when an account's address counts as dead."""

from __future__ import annotations

import threading
from datetime import datetime

from easytracking_sync.effects import Clock
from easytracking_sync.errors import Transient, Unreachable
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.pauses import Pauses
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import PauseReason


class Reach:
    """Which accounts' addresses are dead. Those are paused, each for itself, and tried ever more seldom.

    One that answers again ends the pauses of all: as a rule it was this machine's own line that was down.
    """

    def __init__(self, accounts: Pauses, clock: Clock, observer: Observer, policy: Policy) -> None:
        self._accounts = accounts
        self._clock = clock
        self._observer = observer
        self._policy = policy
        self._lock = threading.Lock()
        self._dead: set[int] = set()

    def gives_up(self, account: Account, trouble: Transient, failing_since: float) -> bool:
        """A list has failed since that monotonic moment: whether it is left alone for now. A dead account pauses."""
        with self._lock:
            was_dead = account.id in self._dead
        failing_seconds = self._clock.monotonic() - failing_since
        if not isinstance(trouble, Unreachable):
            return failing_seconds >= self._policy.list_patience_seconds
        if not was_dead and failing_seconds < self._policy.list_patience_seconds:
            return False
        until = self._pause(account, trouble)
        with self._lock:
            self._dead.add(account.id)
        self._observer.note(
            "account.unreachable", level="error", account=account.label, reason=str(trouble), until=until
        )
        return True

    def answered(self, account: Account) -> None:
        """The account's list came."""
        with self._lock:
            if account.id not in self._dead:
                return
            dead, self._dead = self._dead, set()
        self._accounts.resume(dead, PauseReason.UNREACHABLE)
        self._observer.note("account.reachable", account=account.label)

    def forget(self, account_id: int) -> None:
        """The account is tried anew, by another way perhaps: as patiently as at first."""
        with self._lock:
            self._dead.discard(account_id)

    def _pause(self, account: Account, trouble: Unreachable) -> datetime:
        return self._accounts.pause_slowly(account.id, PauseReason.UNREACHABLE, str(trouble), self._clock.now())
