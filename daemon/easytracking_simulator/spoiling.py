"""What a fault makes of an answer once the service has written it."""

from __future__ import annotations

import random

from easytracking_simulator.faults import Fault, Kind, Struck
from easytracking_simulator.wire import Reply, Tear, TearKind

MAINTENANCE = (
    b"<!DOCTYPE html><html><head><title>Manutenzione</title></head>"
    b"<body><h1>Servizio momentaneamente non disponibile</h1></body></html>"
)
TEARS = {kind: TearKind(kind.value) for kind in Kind if kind.value in set(TearKind)}


def spoil(reply: Reply, struck: Struck) -> Reply:
    """The answer as the client gets it."""
    fault, dice = struck.fault, struck.dice
    match fault.kind:
        case Kind.STATUS:
            return _status(fault)
        case Kind.HTML:
            return Reply(200, (("Content-Type", "text/html; charset=utf-8"),), MAINTENANCE)
        case Kind.EMPTY:
            return Reply(200, reply.headers)
        case Kind.BODY:
            return Reply(reply.status, reply.headers, fault.body)
        case Kind.GARBAGE:
            return Reply(reply.status, reply.headers, dice.randbytes(max(64, min(len(reply.body), 100_000))))
        case Kind.TRUNCATED:
            return Reply(reply.status, reply.headers, reply.body[: _place(fault, reply.body, dice)])
        case kind if kind in TEARS:
            tear = Tear(TEARS[kind], _place(fault, reply.body, dice), fault.seconds)
            return Reply(reply.status, reply.headers, reply.body, tear)
        case _:
            return reply


def _status(fault: Fault) -> Reply:
    after = () if fault.retry_after is None else (("Retry-After", fault.retry_after),)
    kind = (("Content-Type", fault.content_type),) if fault.body else ()
    return Reply(fault.status, (*kind, *after), fault.body)


def _place(fault: Fault, body: bytes, dice: random.Random) -> int:
    if fault.at is None:
        return dice.randrange(len(body)) if body else 0
    return max(0, len(body) + fault.at) if fault.at < 0 else min(fault.at, len(body))
