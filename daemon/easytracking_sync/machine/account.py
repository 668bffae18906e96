"""An account, as the engine and the listing use it."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from easytracking_sync.remote import EasyTracking
from easytracking_sync.settings import AccountSettings
from easytracking_sync.terms import FileType


@dataclass(frozen=True, slots=True)
class Account:
    """One account: its row id, its client and its settings."""

    id: int
    label: str
    service: EasyTracking
    settings: AccountSettings
    timezone: ZoneInfo

    @property
    def file_types(self) -> frozenset[FileType]:
        """The types to fetch."""
        return frozenset(self.settings.file_types)

    @property
    def original(self) -> FileType:
        """The type without which a document counts as missing: FA, or the first type if FA is not fetched."""
        return FileType.FA if FileType.FA in self.file_types else self.settings.file_types[0]

    @property
    def required_types(self) -> frozenset[FileType]:
        """The types to request again if they are missing. FI, the intermediary's copy, is optional."""
        return self.file_types - {FileType.FI}
