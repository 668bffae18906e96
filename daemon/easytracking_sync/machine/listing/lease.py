"""Where several instances share an archive, one at a time lists an account. On SQLite there is but one instance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from easytracking_sync.archive.leases import Leases
from easytracking_sync.effects import Clock
from easytracking_sync.errors import DatabaseUnavailable

LEASE_SECONDS = 120.0
"""From one step of a cycle to the next. Should a step take longer, two may list: work done twice, and no harm."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The right to list an account, held by this instance while a block runs."""

    leases: Leases
    clock: Clock

    @contextmanager
    def of(self, account_id: int) -> Iterator[bool]:
        """Whether this instance has it; if so, it is given back when the block ends."""
        has = self.keep(account_id)
        try:
            yield has
        finally:
            if has and self.leases.are_shared:
                with suppress(DatabaseUnavailable):  # it runs out by itself
                    self.leases.give_back(_name(account_id))

    def keep(self, account_id: int) -> bool:
        """Take it, or hold it for longer; False while another instance has it."""
        if not self.leases.are_shared:
            return True
        return self.leases.take(_name(account_id), LEASE_SECONDS, self.clock.now())


def _name(account_id: int) -> str:
    return f"cycle:{account_id}"
