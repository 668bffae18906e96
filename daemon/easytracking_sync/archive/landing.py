"""What one parcel means to its documents: rows for every file that came, and where each document goes next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from easytracking_sync.archive import journal, versions
from easytracking_sync.archive.tables import Instant, batch_document, document, file
from easytracking_sync.terms import Claim, DocumentState, Landed, Landing

HOME = (Landing.WHOLE, Landing.INCOMPLETE)

_KEEP = (
    sa.update(document)
    .where(document.c.id == sa.bindparam("own_id"))
    .values(
        state=DocumentState.STORED,
        stored_at=sa.bindparam("now", type_=Instant),
        next_attempt_at=None,
        missing_types=sa.bindparam("missing"),
        attempts=0,
        asks=0,
        suspect=False,
        alone=False,
        reason=None,
    )
)

Setback = Callable[[int], tuple[DocumentState, datetime]]
"""From the number of attempts so far to the state a failed document goes to, and when it may travel again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How the machine wants documents treated that do not go on."""

    setback: Setback
    ask_again_at: datetime


def land(connection: Connection, claim: Claim, landed: Sequence[Landed], terms: Terms, now: datetime) -> None:
    """Write file rows and document states for a stored parcel, within the caller's transaction."""
    _write_files(connection, claim, landed, now)
    _keep(connection, [one for one in landed if one.landing in HOME], now)
    for one in landed:
        _place(connection, claim, one, terms, now)


def set_back(
    connection: Connection,
    claim: Claim,
    document_id: int,
    setback: Setback,
    reason: str,
    now: datetime,
    *,
    counts: bool = True,
    not_before: datetime | None = None,
) -> None:
    """Send one document back to the pool, or to quarantine, with an attempt more where it `counts`."""
    attempts = connection.execute(sa.select(document.c.attempts).where(document.c.id == document_id)).scalar_one()
    attempts += 1 if counts else 0
    state, again_at = setback(attempts)
    _send_back(
        connection,
        claim,
        document_id,
        state=state,
        attempts=attempts,
        next_attempt_at=max(again_at, not_before or again_at),
        suspect=True,
        reason=reason,
        failed_at=now,
    )
    name = "document.quarantined" if state is DocumentState.QUARANTINED else "document.set_back"
    _record(connection, claim, name, document_id, now, {"attempts": attempts, "reason": reason})


def _keep(connection: Connection, home: Sequence[Landed], now: datetime) -> None:
    rows = [{"own_id": one.document.document_id, "now": now, "missing": ",".join(one.missing)} for one in home]
    if rows:
        connection.execute(_KEEP, rows)


def _place(connection: Connection, claim: Claim, one: Landed, terms: Terms, now: datetime) -> None:
    document_id = one.document.document_id
    match one.landing:
        case Landing.WHOLE | Landing.INCOMPLETE:
            if one.missing:
                missing = {"missing": ",".join(one.missing)}
                _record(connection, claim, "document.incomplete", document_id, now, missing)
        case Landing.ASK_AGAIN:
            asks = document.c.asks + 1
            _send_back(
                connection,
                claim,
                document_id,
                state=DocumentState.DISCOVERED,
                asks=asks,
                next_attempt_at=terms.ask_again_at,
                reason=one.reason,
            )
        case Landing.APART:
            _send_back(
                connection,
                claim,
                document_id,
                state=DocumentState.DISCOVERED,
                alone=True,
                next_attempt_at=now,
                reason=one.reason,
            )
            _record(connection, claim, "document.set_apart", document_id, now, {"reason": one.reason})
        case Landing.FAILED:
            set_back(connection, claim, document_id, terms.setback, one.reason, now)


def _write_files(connection: Connection, claim: Claim, landed: Sequence[Landed], now: datetime) -> None:
    """Rows for bytes not seen before; the same bytes again only renew `seen_at` (SINGLE-COPY, NO-OVERWRITE)."""
    ids = [one.document.document_id for one in landed]
    rows = connection.execute(
        sa.select(file.c.id, file.c.document_id, file.c.type, file.c.sha256).where(file.c.document_id.in_(ids))
    ).all()
    known = {(row.document_id, row.type, row.sha256): row.id for row in rows}
    types = {(row.document_id, row.type) for row in rows}
    ordinals = {document_id: sum(row.document_id == document_id for row in rows) for document_id in ids}
    fresh: dict[tuple[int, str, str], dict[str, Any]] = {}
    seen: dict[datetime, list[int]] = defaultdict(list)
    seen_at = versions.seen_at(connection, ids, now)
    for one in landed:
        document_id = one.document.document_id
        for part in one.files:
            key = (document_id, part.type, part.sha256)
            if key in known:
                seen[seen_at[document_id]].append(known[key])
            elif key not in fresh:
                fresh[key] = {
                    "document_id": document_id,
                    "ordinal": ordinals[document_id],
                    "type": part.type,
                    "name": part.name,
                    "size": part.size,
                    "sha256": part.sha256,
                    "fetched_at": now,
                    "seen_at": seen_at[document_id],
                }
                ordinals[document_id] += 1
                if (document_id, part.type) in types:
                    detail = {"type": part.type, "sha256": part.sha256}
                    _record(connection, claim, "document.bytes_changed", document_id, now, detail)
    if fresh:
        connection.execute(sa.insert(file), list(fresh.values()))
    for at, file_ids in seen.items():
        connection.execute(sa.update(file).where(file.c.id.in_(file_ids)).values(seen_at=at))


def _send_back(connection: Connection, claim: Claim, document_id: int, **values: Any) -> None:
    _update(connection, document_id, **values)
    connection.execute(
        sa.update(batch_document)
        .where(batch_document.c.batch_id == claim.batch.id, batch_document.c.document_id == document_id)
        .values(carried=False)
    )


def _update(connection: Connection, document_id: int, **values: Any) -> None:
    connection.execute(sa.update(document).where(document.c.id == document_id).values(**values))


def _record(
    connection: Connection, claim: Claim, name: str, document_id: int, now: datetime, detail: journal.Detail
) -> None:
    journal.record(
        connection,
        name,
        now,
        account_id=claim.batch.account_id,
        batch_id=claim.batch.id,
        document_id=document_id,
        detail=detail,
    )
