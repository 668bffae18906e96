"""Requests from commands to the running service, as rows: it takes them, does the work, and records the outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from easytracking_sync.archive.database import ArchivePart
from easytracking_sync.archive.tables import request

_OPEN = request.c.ended_at.is_(None)


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One request; `outcome` is set when it has ended."""

    id: int
    kind: str
    parameters: Mapping[str, Any]
    taken_at: datetime | None
    outcome: Mapping[str, Any] | None


class ServiceRequests(ArchivePart):
    def ask(self, kind: str, parameters: Mapping[str, Any], now: datetime) -> int:
        """Add a request; returns its id."""
        row = {"kind": kind, "parameters": json.dumps(dict(parameters)), "created_at": now}
        with self._database.write() as connection:
            return int(connection.execute(sa.insert(request).returning(request.c.id), row).scalar_one())

    def find(self, request_id: int) -> ServiceRequest:
        with self._database.read() as connection:
            return _as_request(connection.execute(sa.select(request).where(request.c.id == request_id)).one())

    def take(self, now: datetime) -> ServiceRequest | None:
        """Take the oldest request that nobody has taken; None if there is none."""
        waiting = sa.select(request.c.id).where(request.c.taken_at.is_(None), _OPEN)
        oldest = waiting.order_by(request.c.id).limit(1)
        with self._database.read() as connection:
            if connection.execute(oldest).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(
                sa.update(request)
                .where(request.c.id == oldest.scalar_subquery(), request.c.taken_at.is_(None))
                .values(taken_at=now)
                .returning(request)
            ).one_or_none()
        return None if row is None else _as_request(row)

    def end(self, request_id: int, outcome: Mapping[str, Any], now: datetime) -> None:
        """Record the outcome of a request."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(request)
                .where(request.c.id == request_id)
                .values(ended_at=now, outcome=json.dumps(dict(outcome)))
            )

    def drop(self, now: datetime) -> None:
        """End all open requests, because another command has exclusive use and does the work."""
        with self._database.read() as connection:
            if connection.execute(sa.select(request.c.id).where(_OPEN).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            dropped = json.dumps({"why_unfinished": "the service ended before it"})
            connection.execute(sa.update(request).where(_OPEN).values(ended_at=now, outcome=dropped))

    def reopen(self) -> None:
        """When a service starts: make the requests that a dead service took and did not end available again."""
        with self._database.write() as connection:
            connection.execute(sa.update(request).where(_OPEN).values(taken_at=None))


def _as_request(row: sa.Row[*tuple[Any, ...]]) -> ServiceRequest:
    outcome = None if row.outcome is None else json.loads(row.outcome)
    return ServiceRequest(row.id, row.kind, json.loads(row.parameters), row.taken_at, outcome)
