"""The circuit breaker: pauses an account after a refused login, longer each time, and honours Retry-After."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Protocol

from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.effects import Clock
from easytracking_sync.errors import CredentialsRefused, ServiceUnavailable
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.intake import retry_while_outdated
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import pause_slowly
from easytracking_sync.remote import EasyTracking
from easytracking_sync.terms import PauseReason

REFUSED_LATELY_SECONDS = 60.0
"""For this long after a refused login, other threads do not try to log in."""

LEAST_WAIT_SECONDS = 0.05
"""Ignore a remaining wait that is shorter."""


class Pauses(Protocol):
    """Pauses and resumes accounts."""

    def pause_slowly(self, account_id: int, reason: PauseReason, message: str, now: datetime) -> datetime: ...
    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None: ...


class ArchivePauses:
    """Reads and writes the pauses in the archive."""

    def __init__(self, accounts: Accounts, policy: Policy) -> None:
        self._accounts = accounts
        self._policy = policy

    def pause_slowly(self, account_id: int, reason: PauseReason, message: str, now: datetime) -> datetime:
        """Pause an account for the next of `Policy.slow_pauses`; until when."""

        def pause() -> datetime:
            move = pause_slowly(self._accounts.pause_status(account_id), reason, message, now, self._policy)
            self._accounts.change(move, now)
            return move.after.paused_until or now

        return retry_while_outdated(pause)

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        """End these accounts' pauses (of that reason only, if one is given)."""
        self._accounts.resume(account_ids, reason)


class NoPauses:
    """Pauses nothing; for callers that change nothing in the archive."""

    def pause_slowly(self, account_id: int, reason: PauseReason, message: str, now: datetime) -> datetime:
        del account_id, reason, message
        return now

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        del account_ids, reason


class CircuitBreaker:
    """Every call to the service goes through it.

    A refused login pauses its account at once. A Retry-After applies to the user, so all calls of the account wait.
    `on_answer` is told the account of each call that was answered.
    """

    def __init__(
        self,
        accounts: Pauses,
        clock: Clock,
        observer: Observer,
        policy: Policy,
        on_answer: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._observer = observer
        self._policy = policy
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._refused_at: dict[int, float] = {}
        self._wait_until: dict[int, float] = {}

    @property
    def refused(self) -> frozenset[int]:
        """The accounts whose login was refused and has not succeeded since."""
        with self._lock:
            return frozenset(self._refused_at)

    def forget(self, account_id: int) -> None:
        """The account's secret may have changed: its next call may log in."""
        with self._lock:
            self._refused_at.pop(account_id, None)

    @contextlib.contextmanager
    def calling(self, account: Account) -> Iterator[EasyTracking]:
        """The account's client. CredentialsRefused escapes after the account was paused.

        ServiceUnavailable while the service has asked the account to wait.
        """
        self._require_no_wait(account)
        with self._lock:
            refused_at = self._refused_at.get(account.id)
        if refused_at is not None and self._clock.monotonic() - refused_at < REFUSED_LATELY_SECONDS:
            raise CredentialsRefused(f"{account.label}: the login was refused a moment ago")
        try:
            yield account.service
        except ServiceUnavailable as trouble:
            self._wait_as_asked(account, trouble.retry_after)
            raise
        except CredentialsRefused as refusal:
            with self._lock:
                now = self._clock.monotonic()
                before = self._refused_at.get(account.id)
                first = before is None or now - before >= REFUSED_LATELY_SECONDS
                self._refused_at[account.id] = now
            if first:
                until = self._accounts.pause_slowly(
                    account.id, PauseReason.CREDENTIALS, str(refusal), self._clock.now()
                )
                self._observer.note(
                    EventName.CREDENTIALS_REFUSED, account=account.label, reason=str(refusal), until=until
                )
            raise
        self._on_answer(account.id)
        if refused_at is not None:
            self.forget(account.id)
            self._accounts.resume((account.id,), PauseReason.CREDENTIALS)

    def _wait_as_asked(self, account: Account, retry_after: float | None) -> None:
        if retry_after is None:
            return
        until = self._clock.monotonic() + self._policy.respected(retry_after)
        with self._lock:
            self._wait_until[account.id] = max(until, self._wait_until.get(account.id, until))

    def _require_no_wait(self, account: Account) -> None:
        with self._lock:
            ahead = self._wait_until.get(account.id, 0.0) - self._clock.monotonic()
        if ahead > LEAST_WAIT_SECONDS:
            raise ServiceUnavailable(
                f"{account.label}: the service asked to wait {ahead:.0f} seconds more", retry_after=ahead
            )
