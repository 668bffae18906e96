"""The append-only record of what changed: one row a change, never one a poll."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import tables

Scalar = str | int | float | bool | None
Detail = Mapping[str, Scalar | list[str]]

_APPEND = sa.insert(tables.event).inline()


def record(
    connection: Connection,
    name: str,
    at: datetime,
    *,
    account_id: int | None = None,
    batch_id: int | None = None,
    document_id: int | None = None,
    detail: Detail | None = None,
) -> None:
    """Append one event within the caller's transaction. `name` is `noun.past`."""
    connection.execute(
        _APPEND,
        {
            "name": name,
            "at": at,
            "account_id": account_id,
            "batch_id": batch_id,
            "document_id": document_id,
            "detail": json.dumps(dict(detail or {})),
        },
    )
