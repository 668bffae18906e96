"""The kinds of alarm, and the facts that the archive knows for deciding on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from easytracking_sync.terms import PauseReason


class AlarmKind(StrEnum):
    """What may be wrong. The value is the alarm's key in the archive and in the texts."""

    CREDENTIALS = "credentials"  # the login is refused
    PERMISSION = "permission"  # every document is refused
    UNREACHABLE = "unreachable"  # no connection to the account's address
    SILENT = "silent"  # no listing succeeded for some intervals
    BACKLOG = "backlog"  # documents have waited too long
    QUARANTINE = "quarantine"  # documents used up their attempts
    UNACKNOWLEDGEABLE = "unacknowledgeable"  # the service refuses to mark stored documents
    GAP = "gap"  # the service does not list some seconds, whatever is in them
    INCOMPLETE = "incomplete"  # documents lack a requested file
    CHANGED = "changed"  # other bytes or list fields came for a known id
    ROTTEN = "rotten"  # stored bytes are damaged
    DISK = "disk"  # nearly full


@dataclass(frozen=True, slots=True)
class AccountCondition:
    """What may be wrong with one account. `counts` are the documents of the kinds that count documents."""

    account_id: int
    label: str
    created_at: datetime
    last_success_at: datetime | None = None
    pause_reason: PauseReason | None = None
    refused_in_row: int = 0
    trouble: str = ""  # why the last listing failed
    waiting: int = 0  # not stored yet, or stored and not acknowledged; without those in quarantine
    waiting_since: datetime | None = None
    counts: Mapping[AlarmKind, int] = field(default_factory=dict)

    def count(self, kind: AlarmKind) -> int:
        """Documents of this kind; in QUARANTINE those that are being retried as well."""
        return self.counts.get(kind, 0)


@dataclass(frozen=True, slots=True)
class KnownAlarm:
    """An alarm that was reported, or that is being reported, or whose end is."""

    key: str
    kind: str
    account_id: int | None
    amount: int
    begun_at: datetime
    taken_at: datetime
    told_at: datetime | None
    ended_at: datetime | None
