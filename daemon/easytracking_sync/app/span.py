"""From the days a person names to what is listed."""

from __future__ import annotations

from datetime import date, datetime, time

from easytracking_sync.machine import policy
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.listing.cycle import Span


def span_of(account: Account, now: datetime, start: date | None, end: date | None, *, new_only: bool) -> Span:
    """The whole history, unless reception days are given; both days included."""
    if start is None and end is None:
        return Span.whole_history(account, now, marked_too=not new_only)
    return Span.between(*days_of(account, now, start, end), marked_too=not new_only)


def days_of(account: Account, now: datetime, start: date | None, end: date | None) -> tuple[datetime, datetime]:
    """The first and the last reception time of these days; from the history's beginning, to a little after now."""
    local = policy.local_now(now, account.timezone)
    first = datetime.combine(start or min(account.history_from, end or local.date()), time.min)
    last = local + policy.NEWEST_WINDOW_AHEAD
    if end is not None:
        last = min(last, datetime.combine(end, time(23, 59, 59)))
    return first, max(first, last)
