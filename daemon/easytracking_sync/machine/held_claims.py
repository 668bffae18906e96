"""The claims this instance holds, and whether it still holds them: a lease counts as lost before it expires."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from easytracking_sync.archive.batches import Batches
from easytracking_sync.effects import Clock
from easytracking_sync.terms import BatchState, Claim


@dataclass(frozen=True, slots=True)
class _Hold:
    """The epoch of a claim, and the last monotonic time at which it was known to be held."""

    epoch: int
    sure_at: float
    account_id: int
    state: BatchState


class HeldClaims:
    """The claims under way. Any thread may call any method."""

    def __init__(self, batches: Batches, clock: Clock) -> None:
        self._batches = batches
        self._clock = clock
        self._lock = threading.Lock()
        self._holds: dict[int, _Hold] = {}  # by batch

    @property
    def batch_ids(self) -> frozenset[int]:
        """The batches of these claims."""
        with self._lock:
            return frozenset(self._holds)

    def accounts_with(self, most: int, states: Collection[BatchState]) -> frozenset[int]:
        """The accounts with at least `most` claims on batches in these states."""
        with self._lock:
            counts = Counter(hold.account_id for hold in self._holds.values() if hold.state in states)
        return frozenset(account_id for account_id, count in counts.items() if count >= most)

    def add(self, claim: Claim, asked_at: float) -> None:
        """Hold a claim; `asked_at` is the monotonic time before it was requested."""
        with self._lock:
            batch = claim.batch
            self._holds[batch.id] = _Hold(batch.epoch, asked_at, batch.account_id, batch.state)

    @contextlib.contextmanager
    def performing(self, claim: Claim) -> Iterator[None]:
        """Forget the claim when the block ends."""
        try:
            yield
        finally:
            with self._lock:
                hold = self._holds.get(claim.batch.id)
                if hold is not None and hold.epoch == claim.batch.epoch:  # it may have been claimed again
                    del self._holds[claim.batch.id]

    def renew(self) -> None:
        """Renew the leases of all claims. Raises what the database raises; safe to repeat."""
        asked_at = self._clock.monotonic()
        renewed = self._batches.renew(self._clock.now())
        with self._lock:
            for batch_id, hold in self._holds.items():
                if renewed.get(batch_id) == hold.epoch:
                    self._holds[batch_id] = replace(hold, sure_at=asked_at)

    def are_sure(self, claim: Claim) -> bool:
        """Whether no other instance can have taken the batch; asks the database if the lease may have expired."""
        if self._is_fresh(claim):
            return True
        self.renew()
        return self._is_fresh(claim)

    def _is_fresh(self, claim: Claim) -> bool:
        with self._lock:
            hold = self._holds.get(claim.batch.id)
        if hold is None or hold.epoch != claim.batch.epoch:
            return False
        return self._clock.monotonic() - hold.sure_at < self._batches.sure_seconds
