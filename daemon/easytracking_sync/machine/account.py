"""An account as the machine sees it, and the gate before its service."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from easytracking_sync.effects import Clock
from easytracking_sync.errors import CredentialsRefused, ServiceUnavailable
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.remote import EasyTracking
from easytracking_sync.terms import AcknowledgeWith, FileType, OnRelist, PauseReason

REFUSED_LATELY_SECONDS = 60.0
"""Threads that were already on their way when a login was refused do not try it again within this time."""

LEAST_QUIET_SECONDS = 0.05
"""A rest of a pause that is not worth another one."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account: its row, its service, and what is wanted of it."""

    id: int
    label: str
    service: EasyTracking
    file_types: frozenset[FileType]
    original: FileType  # a document without it is not home
    acknowledge: AcknowledgeWith
    on_relist: OnRelist
    history_from: date
    timezone: ZoneInfo
    receiver_piva: str | None = None
    receiver_cf: str | None = None

    @property
    def required_types(self) -> frozenset[FileType]:
        """What a document is asked for again without; the intermediary's copy may be absent silently."""
        return self.file_types - {FileType.FI}


class Pauses(Protocol):
    """Whoever remembers that a login was refused."""

    def pause_slowly(self, account_id: int, reason: PauseReason, message: str, now: datetime) -> datetime: ...
    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None: ...


class NoPauses:
    """For whoever only looks: nothing is remembered, and each account is tried once."""

    def pause_slowly(self, account_id: int, reason: PauseReason, message: str, now: datetime) -> datetime:
        del account_id, reason, message
        return now

    def resume(self, account_ids: Collection[int], reason: PauseReason | None = None) -> None:
        del account_ids, reason


class Gate:
    """Every call to a service goes through here: a refused login pauses its account at once, and no other.

    So does a Retry-After: it speaks to the user, not to one batch, and all of the account's calls wait it out.
    """

    def __init__(self, accounts: Pauses, clock: Clock, observer: Observer, policy: Policy) -> None:
        self._accounts = accounts
        self._clock = clock
        self._observer = observer
        self._policy = policy
        self._lock = threading.Lock()
        self._refused_at: dict[int, float] = {}
        self._quiet_until: dict[int, float] = {}

    @property
    def refused(self) -> frozenset[int]:
        """The accounts whose login was refused while this gate stood."""
        with self._lock:
            return frozenset(self._refused_at)

    def forget(self, account_id: int) -> None:
        """The account's secret has changed: its next call may log in."""
        with self._lock:
            self._refused_at.pop(account_id, None)

    @contextlib.contextmanager
    def calling(self, account: Account) -> Iterator[EasyTracking]:
        """Give the account's service. CredentialsRefused escapes, after the account was paused.

        ServiceUnavailable where the service asked the account to wait, and for how long still.
        """
        self._expect_no_quiet(account)
        with self._lock:
            refused_at = self._refused_at.get(account.id)
        if refused_at is not None and self._clock.monotonic() - refused_at < REFUSED_LATELY_SECONDS:
            raise CredentialsRefused(f"{account.label}: the login was refused a moment ago")
        try:
            yield account.service
        except ServiceUnavailable as trouble:
            self._keep_quiet(account, trouble.retry_after)
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
                    "credentials.refused", level="error", account=account.label, reason=str(refusal), until=until
                )
            raise
        if refused_at is not None:
            self.forget(account.id)
            self._accounts.resume((account.id,), PauseReason.CREDENTIALS)

    def _keep_quiet(self, account: Account, retry_after: float | None) -> None:
        if retry_after is None:
            return
        until = self._clock.monotonic() + self._policy.respected(retry_after)
        with self._lock:
            self._quiet_until[account.id] = max(until, self._quiet_until.get(account.id, until))

    def _expect_no_quiet(self, account: Account) -> None:
        with self._lock:
            ahead = self._quiet_until.get(account.id, 0.0) - self._clock.monotonic()
        if ahead > LEAST_QUIET_SECONDS:
            raise ServiceUnavailable(
                f"{account.label}: the service asked to be left alone for {ahead:.0f} seconds more", retry_after=ahead
            )
