"""The lease to list an account: of several instances on one archive, one at a time lists each account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from easytracking_sync.archive.leases import Leases
from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable

LEASE_SECONDS = 120.0
"""Time for one step of a cycle. If a step takes longer, two instances may list: redundant work, but no harm."""


@dataclass(frozen=True, slots=True)
class ListingLease:
    """The leases of this instance. On SQLite there is only one instance, so every lease is free."""

    leases: Leases
    clock: Clock

    @contextmanager
    def held(self, account_id: int) -> Iterator[bool]:
        """Hold the account's lease until the block ends; False if another instance holds it."""
        has = self.renew(account_id)
        try:
            yield has
        finally:
            if has and self.leases.are_shared:
                with suppress(DatabaseUnavailable):  # the lease expires by itself
                    self.leases.release(_name(account_id))

    def renew(self, account_id: int) -> bool:
        """Take or extend the account's lease; False if another instance holds it."""
        if not self.leases.are_shared:
            return True
        return self.leases.take(_name(account_id), LEASE_SECONDS, self.clock.now())


def _name(account_id: int) -> str:
    return f"cycle:{account_id}"
