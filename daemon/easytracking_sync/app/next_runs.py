"""When each account is to be listed next, kept in the archive for whoever asks there (`status`)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from datetime import datetime

from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.effects import Clock
from easytracking_sync.errors import SyncError

FORGET_SECONDS = 1.0
"""An end is not held up by a database that does not answer."""


class NextRuns:
    """Used by the service's own loop alone."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock
        self._noted: dict[int, datetime] = {}

    def keep(self, runs: Mapping[int, datetime]) -> None:
        """Account → when it is to be listed; written only where that is news. DatabaseUnavailable, StorageFault."""
        news = {account_id: at for account_id, at in runs.items() if self._noted.get(account_id) != at}
        if news:
            self._accounts.note_next_runs(news)
            self._noted |= news

    def forget(self) -> None:
        """The service ends: it means to list nothing more. What another instance noted since stays."""
        ended = threading.Event()

        def work() -> None:
            with contextlib.suppress(SyncError):
                self._accounts.forget_next_runs(self._noted)
            ended.set()

        threading.Thread(target=work, name="next-runs", daemon=True).start()
        self._clock.wait(ended, FORGET_SECONDS)
