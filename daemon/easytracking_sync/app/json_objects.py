"""What scripts read: one JSON object a line, in ASCII, whatever a supplier wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from easytracking_sync.archive.entries import DocumentEntry
from easytracking_sync.terms import LIST_FIELDS


def line(fields: Mapping[str, object]) -> str:
    """The object on one line; ASCII escapes keep lone surrogates, NUL and control characters valid and harmless."""
    return json.dumps(fields, ensure_ascii=True, allow_nan=False)


def document_fields(entry: DocumentEntry, zone: ZoneInfo) -> dict[str, Any]:
    """A document with exactly the contract's keys, in its order; reception times get the offset of `zone`."""
    return {
        "account": entry.account,
        "doc_id": entry.doc_id,
        "state": entry.state.value,
        **{field.json: _shown(getattr(entry, field.name), zone) for field in LIST_FIELDS if field.json},
        "discovered_at": instant(entry.discovered_at),
        "stored_at": instant(entry.stored_at),
        "acknowledged_at": instant(entry.acknowledged_at),
        "missing_types": list(entry.missing_types),
        "files": [
            {"type": part.type, "name": part.name, "size": part.size, "sha256": part.sha256} for part in entry.files
        ],
    }


def _shown(value: object, zone: ZoneInfo) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=zone).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def instant(at: datetime | None) -> str | None:
    """An instant as ISO 8601 in UTC, to the second."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
