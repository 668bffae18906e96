"""Pure translation between the service's JSON and our values (skeleton; signatures are final)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

from easytracking_sync.terms import MOST_LISTED, ListedDocument, Window

ROME = ZoneInfo("Europe/Rome")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What to list (section 4). ValueError for what the service would refuse."""

    window: Window
    receiver_piva: str | None = None
    receiver_cf: str | None = None
    phase1: bool | None = None
    phase2: bool | None = None
    top: int = MOST_LISTED

    @property
    def parameters(self) -> dict[str, str]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of the list; each docId once, in the order of its last appearance."""

    documents: tuple[ListedDocument, ...]
    total: int | None
    unreadable: tuple[bytes, ...]  # elements without a usable id, as they came


def read_listing(body: bytes | bytearray, *, zone: tzinfo = ROME) -> Listing:
    raise NotImplementedError
