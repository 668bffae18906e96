"""What this instance is performing, and whether it is still its to perform: a lease counts as lost before it ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from easytracking_sync.archive.batches import Batches
from easytracking_sync.effects import Clock
from easytracking_sync.terms import Claim


@dataclass(frozen=True, slots=True)
class _Hold:
    """The epoch of a claim, and the last monotonic moment at which it was surely ours."""

    epoch: int
    sure_at: float


class Holds:
    """The claims that threads are at. All methods may be called from any thread."""

    def __init__(self, batches: Batches, clock: Clock) -> None:
        self._batches = batches
        self._clock = clock
        self._lock = threading.Lock()
        self._holds: dict[int, _Hold] = {}  # by batch

    @property
    def batch_ids(self) -> frozenset[int]:
        """The batches that are being performed."""
        with self._lock:
            return frozenset(self._holds)

    def add(self, claim: Claim, asked_at: float) -> None:
        """A claim to be performed; `asked_at` is the monotonic moment before it was asked for."""
        with self._lock:
            self._holds[claim.batch.id] = _Hold(claim.batch.epoch, asked_at)

    @contextlib.contextmanager
    def performing(self, claim: Claim) -> Iterator[None]:
        """Forget the claim when the block ends."""
        try:
            yield
        finally:
            with self._lock:
                hold = self._holds.get(claim.batch.id)
                if hold is not None and hold.epoch == claim.batch.epoch:  # it may have been claimed anew
                    del self._holds[claim.batch.id]

    def renew(self) -> None:
        """Hold on to everything for a lease's length more. Raises what the database raises; repeating is safe."""
        asked_at = self._clock.monotonic()
        renewed = self._batches.renew(self._clock.now())
        with self._lock:
            for batch_id, hold in self._holds.items():
                if renewed.get(batch_id) == hold.epoch:
                    self._holds[batch_id] = replace(hold, sure_at=asked_at)

    def are_sure(self, claim: Claim) -> bool:
        """Whether nobody else can have taken the batch meanwhile; where somebody can, the database is asked."""
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
