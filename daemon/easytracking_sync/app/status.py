"""Where each account stands, and what keeps it from going on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from easytracking_sync.archive.entries import Standing
from easytracking_sync.archive.room import Shortage
from easytracking_sync.archive.schema import require_current, revision, shown
from easytracking_sync.archive.store import Archive
from easytracking_sync.errors import StorageFault
from easytracking_sync.settings import Settings
from easytracking_sync.terms import PauseReason

OVERDUE = timedelta(minutes=1)
"""A run that is later than this does not start by itself any more."""

NOT_LISTED = (PauseReason.CREDENTIALS, PauseReason.UNREACHABLE)
"""Pauses in which the account is not even listed."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account: what the archive counts, and what the service is going to do."""

    standing: Standing
    configured_as: str | None  # its label in the configuration; None where it is not there
    is_paused: bool
    next_run_at: datetime | None  # when the running service lists it again; None where none does
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The archive as a whole. Configured accounts that never ran are there too, with nothing."""

    at: datetime
    archive: str  # the database's address without its password
    exists: bool  # False: there is no archive at this address yet
    accounts: tuple[AccountStatus, ...]
    shortage: Shortage | None  # the disk that is too full for anything new to be fetched


def status_of(archive: Archive, settings: Settings, now: datetime) -> Status:
    """The status now. It only reads, and is safe beside a running service; UsageError for another schema."""
    exists = revision(archive.database) is not None
    if exists:
        require_current(archive.database)
    known = archive.catalogue.standings() if exists else ()
    identities = {standing.identity for standing in known}
    new = [
        Standing(label, identity=identity)
        for identity, label in settings.labels.items()
        if identity not in identities
    ]
    standings = sorted([*known, *new], key=lambda standing: standing.account)
    return Status(
        at=now,
        archive=shown(archive.database),
        exists=exists,
        accounts=tuple(_account(standing, settings, now) for standing in standings),
        shortage=shortage_of(archive) if exists else None,
    )


def shortage_of(archive: Archive) -> Shortage | None:
    """The disk that is too full for anything new to be fetched; None where there is none, or none that says so."""
    with suppress(StorageFault):
        return archive.spool.room.shortage()
    return None


def _account(standing: Standing, settings: Settings, now: datetime) -> AccountStatus:
    configured_as = settings.labels.get(standing.identity)
    at = standing.next_run_at if configured_as is not None else None
    if at is not None and standing.paused_until is not None and standing.pause_reason in NOT_LISTED:
        at = max(at, standing.paused_until)
    return AccountStatus(
        standing=standing,
        configured_as=configured_as,
        is_paused=standing.paused_until is not None and standing.paused_until > now,
        next_run_at=at,
        is_overdue=at is not None and now - at > OVERDUE,
    )
