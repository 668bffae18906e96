"""What a failed call means to its batch: to wait, or to be split in search of the document the service fails over."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta

from easytracking_sync.effects import Clock
from easytracking_sync.errors import CallFailed, Permanent, Transient
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.machine.batch_effects import BatchEffects, Performed, marked_query
from easytracking_sync.machine.circuit_breaker import CircuitBreaker
from easytracking_sync.machine.decision import Outcome
from easytracking_sync.machine.policy import local_now
from easytracking_sync.machine.suspicion import Suspicion
from easytracking_sync.terms import Claim, Window, WindowKind

PROOFS = frozenset({BatchHappened.JOB_CREATED, BatchHappened.PARCEL_SPOOLED, BatchHappened.REFUSED})
"""Events that show that the batch's call works at the service; so does an acceptance that the service gave."""


@dataclass(frozen=True, slots=True)
class FailedCalls:
    """Judges failed calls. Any thread may call it."""

    circuit_breaker: CircuitBreaker
    clock: Clock
    effects: BatchEffects
    suspicion: Suspicion

    def came_through(self, claim: Claim, outcome: Outcome) -> None:
        """The effect came back with this, and no call failed."""
        happened = outcome.event.happened
        accepted = happened is BatchHappened.ACCEPTED and outcome.told
        self.suspicion.came_through(claim.batch, proves=accepted or happened in PROOFS)

    def judge(self, claim: Claim, account: Account, trouble: Transient) -> Performed:
        """The batch's event. A batch that failed before may cost one more call, which shows whether others work."""
        if isinstance(trouble, CallFailed):
            batch = claim.batch
            if self.suspicion.needs_probe(batch, self.clock.monotonic()):
                self._probe(account)
            if self.suspicion.failed(batch, self.clock.monotonic()):
                return self.effects.single_out(claim, account, f"{trouble}; the account's other calls work")
        event = BatchEvent(BatchHappened.UNAVAILABLE, str(trouble), retry_after=trouble.retry_after)
        return Performed(Outcome(event))

    def _probe(self, account: Account) -> None:
        """List one second: any answer counts, whatever it says, and the circuit breaker notes it."""
        now = local_now(self.clock.now(), account.timezone)
        window = Window(WindowKind.RECEIVED, now - timedelta(seconds=1), now)
        with (
            contextlib.suppress(Transient, Permanent),
            self.circuit_breaker.calling(account) as service,
        ):
            service.list_documents(replace(marked_query(account, window, marked=False), top=1))
