"""The catch-up: fetches every document the service has, then ends."""

from easytracking_sync.app.catch_up.one_shot import catch_up
from easytracking_sync.app.catch_up.outcome import AccountCount, CatchUpOutcome, CatchUpRequest, Progress

__all__ = ["AccountCount", "CatchUpOutcome", "CatchUpRequest", "Progress", "catch_up"]
