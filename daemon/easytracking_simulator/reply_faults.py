"""Applies a fault to a finished reply."""

from __future__ import annotations

import random
from dataclasses import replace

from easytracking_simulator.faults import ActiveFault, Fault, Kind
from easytracking_simulator.http_messages import Reply, Tear, TearKind

MAINTENANCE = (
    b"<!DOCTYPE html><html><head><title>Manutenzione</title></head>"
    b"<body><h1>Servizio momentaneamente non disponibile</h1></body></html>"
)
TEARS = {kind: TearKind(kind.value) for kind in Kind if kind.value in set(TearKind)}


def spoil(reply: Reply, active: ActiveFault) -> Reply:
    """The reply as the client receives it."""
    fault, rng = active.fault, active.rng
    if fault.kind is Kind.STATUS:
        return _status(fault)
    if fault.kind is Kind.HTML:
        return Reply(200, (("Content-Type", "text/html; charset=utf-8"),), MAINTENANCE)
    if fault.kind in TEARS:
        return replace(reply, fault=Tear(TEARS[fault.kind], _place(fault, reply.body, rng), fault.seconds))
    return replace(reply, body=_body(fault, reply.body, rng))


def _body(fault: Fault, body: bytes, rng: random.Random) -> bytes:
    match fault.kind:
        case Kind.EMPTY:
            return b""
        case Kind.BODY:
            return fault.body
        case Kind.GARBAGE:
            return rng.randbytes(max(64, min(len(body), 100_000)))
        case Kind.TRUNCATED:
            return body[: _place(fault, body, rng)]
        case _:
            return body


def _status(fault: Fault) -> Reply:
    after = () if fault.retry_after is None else (("Retry-After", fault.retry_after),)
    kind = (("Content-Type", fault.content_type),) if fault.body else ()
    return Reply(fault.status, (*kind, *after), fault.body)


def _place(fault: Fault, body: bytes, rng: random.Random) -> int:
    if fault.at is None:
        return rng.randrange(len(body)) if body else 0
    return max(0, len(body) + fault.at) if fault.at < 0 else min(fault.at, len(body))
