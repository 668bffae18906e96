"""Composition: everything is built from Settings here, and what works for long starts here."""

from easytracking_sync.app.catch_up import catch_up
from easytracking_sync.app.catch_up.outcome import AccountCount, CatchUp, Outcome, Progress
from easytracking_sync.app.composition import Station, archive_of, existing_archive, service_of, station
from easytracking_sync.app.service import serve

__all__ = [
    "AccountCount",
    "CatchUp",
    "Outcome",
    "Progress",
    "Station",
    "archive_of",
    "catch_up",
    "existing_archive",
    "serve",
    "service_of",
    "station",
]
