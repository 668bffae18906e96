"""Pauses accounts, longer each time, while their login is refused or their address is unreachable; resumes them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.machine.intake import retry_while_outdated
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import pause_slowly
from easytracking_sync.terms import PauseReason


class Pauses:
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
