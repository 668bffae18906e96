"""What a fault makes of an answer once the service has written it."""

from __future__ import annotations

import random
from dataclasses import replace

from easytracking_simulator.faults import Fault, Kind, Struck
from easytracking_simulator.http_messages import Reply, Tear, TearKind

MAINTENANCE = (
    b"<!DOCTYPE html><html><head><title>Manutenzione</title></head>"
    b"<body><h1>Servizio momentaneamente non disponibile</h1></body></html>"
)
TEARS = {kind: TearKind(kind.value) for kind in Kind if kind.value in set(TearKind)}


def spoil(reply: Reply, struck: Struck) -> Reply:
    """The answer as the client gets it."""
    fault, dice = struck.fault, struck.dice
    if fault.kind is Kind.STATUS:
        return _status(fault)
    if fault.kind is Kind.HTML:
        return Reply(200, (("Content-Type", "text/html; charset=utf-8"),), MAINTENANCE)
    if fault.kind in TEARS:
        return replace(reply, fault=Tear(TEARS[fault.kind], _place(fault, reply.body, dice), fault.seconds))
    return replace(reply, body=_body(fault, reply.body, dice))


def _body(fault: Fault, body: bytes, dice: random.Random) -> bytes:
    match fault.kind:
        case Kind.EMPTY:
            return b""
        case Kind.BODY:
            return fault.body
        case Kind.GARBAGE:
            return dice.randbytes(max(64, min(len(body), 100_000)))
        case Kind.TRUNCATED:
            return body[: _place(fault, body, dice)]
        case _:
            return body


def _status(fault: Fault) -> Reply:
    after = () if fault.retry_after is None else (("Retry-After", fault.retry_after),)
    kind = (("Content-Type", fault.content_type),) if fault.body else ()
    return Reply(fault.status, (*kind, *after), fault.body)


def _place(fault: Fault, body: bytes, dice: random.Random) -> int:
    if fault.at is None:
        return dice.randrange(len(body)) if body else 0
    return max(0, len(body) + fault.at) if fault.at < 0 else min(fault.at, len(body))
