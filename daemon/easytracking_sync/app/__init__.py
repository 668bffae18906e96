"""Use cases: what the commands and the service do."""

from easytracking_sync.app.catch_up import AccountCount, CatchUpOutcome, CatchUpRequest, Progress, catch_up
from easytracking_sync.app.composition import Instance, archive_of, client_of, existing_archive, open_instance
from easytracking_sync.app.service import serve

__all__ = [
    "AccountCount",
    "CatchUpOutcome",
    "CatchUpRequest",
    "Instance",
    "Progress",
    "archive_of",
    "catch_up",
    "client_of",
    "existing_archive",
    "open_instance",
    "serve",
]
