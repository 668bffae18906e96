"""An account, as the engine and the listing use it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from easytracking_sync.remote import EasyTracking
from easytracking_sync.terms import AcknowledgeWith, FileType, OnRelist


@dataclass(frozen=True, slots=True)
class Account:
    """One account: its row id, its client and its settings."""

    id: int
    label: str
    service: EasyTracking
    file_types: frozenset[FileType]
    original: FileType  # a document without it counts as missing
    acknowledge: AcknowledgeWith
    on_relist: OnRelist
    history_from: date
    timezone: ZoneInfo
    receiver_piva: str | None = None
    receiver_cf: str | None = None

    @property
    def required_types(self) -> frozenset[FileType]:
        """The types to request again if they are missing. FI, the intermediary's copy, is optional."""
        return self.file_types - {FileType.FI}
