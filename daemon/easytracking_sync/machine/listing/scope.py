"""What a cycle lists: which windows of an account's history, and whether marked documents too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

from easytracking_sync.machine import policy
from easytracking_sync.machine.account import Account
from easytracking_sync.terms import Window


@dataclass(frozen=True, slots=True)
class Scope:
    """These windows, listed for unmarked documents and, if `marked_too`, for marked documents."""

    windows: tuple[Window, ...]
    marked_too: bool
    is_whole: bool = False  # the account's whole history

    @classmethod
    def whole_history(cls, account: Account, now: datetime, *, marked_too: bool) -> Scope:
        """All reception windows, then all document dates, which alone find documents without a reception time."""
        local = policy.local_now(now, account.timezone)
        received = policy.history_windows(account.settings.history_from, local)
        last = (local + policy.NEWEST_WINDOW_AHEAD).date()
        dated = policy.date_windows(min(account.settings.history_from, last), last)
        return cls((*received, *dated), marked_too, is_whole=True)

    @classmethod
    def scheduled(cls, account: Account, now: datetime, turn: int) -> Scope:
        """The newest window and one older window; `turn` rotates through the older ones."""
        newest, *older = cls.whole_history(account, now, marked_too=False).windows
        return cls((newest, *older[turn % len(older) :][:1]) if older else (newest,), marked_too=False)

    @classmethod
    def of_days(
        cls, account: Account, now: datetime, start: date | None, end: date | None, *, marked_too: bool
    ) -> Scope:
        """The whole history, or only what was received from the day `start` to the day `end`, both included."""
        if start is None and end is None:
            return cls.whole_history(account, now, marked_too=marked_too)
        return cls.between(*reception_times(account, now, start, end), marked_too=marked_too)

    @classmethod
    def between(cls, start: datetime, end: datetime, *, marked_too: bool) -> Scope:
        """Reception times from `start` to `end`, naive and local."""
        return cls(policy.received_windows(start, end), marked_too)


def reception_times(
    account: Account, now: datetime, start: date | None, end: date | None
) -> tuple[datetime, datetime]:
    """The first and last reception time of these days, naive and local.

    By default from the start of the account's history to a little after now.
    """
    local = policy.local_now(now, account.timezone)
    first = datetime.combine(start or min(account.settings.history_from, end or local.date()), time.min)
    last = local + policy.NEWEST_WINDOW_AHEAD
    if end is not None:
        last = min(last, datetime.combine(end, time(23, 59, 59)))
    return first, max(first, last)
