"""The one-shot: `catch-up` archives every document the service has, then ends."""

from easytracking_sync.app.catch_up.one_shot import catch_up
from easytracking_sync.app.catch_up.outcome import AccountCount, CatchUp, Outcome, Progress

__all__ = ["AccountCount", "CatchUp", "Outcome", "Progress", "catch_up"]
