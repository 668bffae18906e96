"""How long a failing list is retried: the one rule, and the cycles that are run by it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from easytracking_sync.effects import Effects
from easytracking_sync.errors import CredentialsRefused, SyncError, Transient, Unreachable
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.circuit_breaker import CircuitBreaker, NoPauses, Pauses
from easytracking_sync.machine.listing.cycle import Cycle, Intake
from easytracking_sync.machine.listing.scope import Scope
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import PauseReason

LEAST_PAUSE_SECONDS = 0.1
"""Before the last try at a deadline."""


class Patience:
    """The rule for lists that fail; shared by all accounts and threads.

    1. Retry a failed call after the policy's backoff, or later if the service asks for it (Retry-After).
    2. Give up a cycle whose calls have failed for `list_patience_seconds` without an answer in between.
    3. If the last call found no connection, the account's address is unreachable: pause the account (1 h, 6 h, then
       24 h). While its address is unreachable, a single failed call gives up its cycle.
    4. When an unreachable account answers, resume all unreachable accounts: usually our own network was down.
    """

    def __init__(self, accounts: Pauses, policy: Policy, effects: Effects, observer: Observer) -> None:
        self.effects = effects
        self.observer = observer
        self._accounts = accounts
        self._policy = policy
        self._lock = threading.Lock()
        self._unreachable: set[int] = set()

    def pause_seconds(self, failures: int, trouble: Transient) -> float:
        """How long to wait after this many failures in a row."""
        policy = replace(self._policy, jitter=self.effects.dice.random())
        return policy.backoff(failures, trouble.retry_after)

    def gives_up(self, account: Account, trouble: Transient, failing_seconds: float) -> bool:
        """Whether to give up a cycle that has failed for so long. Pauses an unreachable account."""
        is_late = failing_seconds >= self._policy.list_patience_seconds
        if not isinstance(trouble, Unreachable):
            return is_late
        with self._lock:
            was_unreachable = account.id in self._unreachable
        if not (is_late or was_unreachable):
            return False
        until = self._accounts.pause_slowly(
            account.id,
            PauseReason.UNREACHABLE,
            str(trouble),
            self.effects.clock.now(),
        )
        with self._lock:
            self._unreachable.add(account.id)
        self.observer.note(EventName.ACCOUNT_UNREACHABLE, account=account.label, reason=str(trouble), until=until)
        return True

    def answered(self, account: Account) -> None:
        """The service answered a call for this account."""
        with self._lock:
            if account.id not in self._unreachable:
                return
            resumed, self._unreachable = self._unreachable, set()
        self._accounts.resume(resumed, PauseReason.UNREACHABLE)
        self.observer.note(EventName.ACCOUNT_REACHABLE, account=account.label)

    def forget(self, account_id: int) -> None:
        """The account may have another address now: retry it as patiently as at first."""
        with self._lock:
            self._unreachable.discard(account_id)


class PatientCycle:
    """A cycle and its failures. One thread at a time may use it.

    `given_up` is the failure after which the cycle was given up; `is_late` tells that it was cut short at the
    monotonic time `until`. `on_answer` is called after each step and `on_failure` after each failure.
    """

    def __init__(
        self,
        cycle: Cycle,
        patience: Patience,
        stop: threading.Event,
        *,
        until: float = math.inf,
        on_answer: Callable[[Cycle], object] = lambda _: None,
        on_failure: Callable[[Account, Transient], object] = lambda *_: None,
    ) -> None:
        self.cycle = cycle
        self.given_up: Transient | None = None
        self.is_late = False
        self._patience = patience
        self._clock = patience.effects.clock
        self._stop = stop
        self._until = until
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._failures = 0
        self._failing_since = 0.0  # monotonic

    def run(self) -> None:
        """List until the cycle ends, is given up or is stopped. CredentialsRefused and Fatal escape."""
        while (pause := self.proceed()) is not None:
            self._clock.wait(self._stop, pause)

    def proceed(self) -> float | None:
        """List until the cycle has to wait: after how many seconds to call this again; None at the end. As `run`."""
        more = True
        while more and not self.is_late and not self._stop.is_set():
            try:
                more = self.cycle.step()
            except Transient as trouble:
                return None if self._stop.is_set() else self._fail(trouble)  # a stop breaks off calls
            if not self._stop.is_set():
                self._failures = 0
                self._patience.answered(self.cycle.account)
                self._on_answer(self.cycle)
            self.is_late = more and self._clock.monotonic() >= self._until
        return None

    def retry_patiently(self) -> None:
        """Count no failure so far."""
        self._failures = 0

    def _fail(self, trouble: Transient) -> float | None:
        account, now = self.cycle.account, self._clock.monotonic()
        self._patience.observer.note(EventName.LIST_FAILED, account=account.label, reason=str(trouble))
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        self._on_failure(account, trouble)
        if now >= self._until or self._patience.gives_up(account, trouble, now - self._failing_since):
            self.given_up = trouble
            return None
        return min(self._patience.pause_seconds(self._failures, trouble), max(self._until - now, LEAST_PAUSE_SECONDS))


@dataclass(frozen=True, slots=True)
class ReadOnlyListing:
    """How a read-only listing ended; it is complete if there are no `problems` and no refused credentials."""

    problems: tuple[str, ...]
    unreadable: int  # list elements without an id
    given_up: bool  # the service did not answer for too long
    is_truncated: bool  # one second has more documents than a list may return
    credentials_refused: bool


def list_read_only(
    intake: Intake,
    account: Account,
    scope: Scope,
    policy: Policy,
    effects: Effects,
    observer: Observer,
    *,
    until: float = math.inf,
    on_answer: Callable[[Cycle], object] = lambda _: None,
) -> ReadOnlyListing:
    """List the scope for an `intake` that stores nothing. Pauses no account, whatever happens."""
    cycle = Cycle(
        intake, CircuitBreaker(NoPauses(), effects.clock, observer, policy), effects.clock, observer, account, scope
    )
    patience = Patience(NoPauses(), policy, effects, observer)
    run = PatientCycle(cycle, patience, threading.Event(), until=until, on_answer=on_answer)
    problems, credentials_refused = list[str](), False
    try:
        run.run()
    except CredentialsRefused:
        credentials_refused = True
    except SyncError as trouble:
        problems.append(str(trouble))
    if run.given_up is not None:
        problems.append(str(run.given_up))
    if run.is_late:
        problems.append("the deadline passed; the list is not complete")
    return ReadOnlyListing(
        problems=(*problems, *cycle.problems),
        unreadable=cycle.unreadable,
        given_up=run.given_up is not None,
        is_truncated=bool(cycle.truncated),
        credentials_refused=credentials_refused,
    )
