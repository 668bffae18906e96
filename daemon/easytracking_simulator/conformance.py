"""Finds deviations from the vendor's document that the service does not refuse, to reveal a client's misreadings."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

from easytracking_simulator.calls import CHOICES, BadInputError, ReceivedCall, object_of
from easytracking_simulator.faults import Call
from easytracking_simulator.listing import FIELDS

TOKEN_FIELDS = frozenset({"apiName", "clientName", "clientSecret", "username", "password"})
BODY_FIELDS = {Call.TOKEN: TOKEN_FIELDS, Call.JOBS_SELECT_TYPE: frozenset({"docIds", *CHOICES})}
WITHOUT_BODY = frozenset({Call.LIST, Call.FETCH})


def of(received: ReceivedCall) -> Iterator[str]:
    """Each deviation of the call, like `list: no Accept: application/json`."""
    for name in ("Accept", "Content-Type"):
        if "application/json" not in received.request.header(name):
            yield f"{received.call}: no {name}: application/json"
    if received.call is Call.LIST:
        for name, _ in parse_qsl(received.request.query, keep_blank_values=True):
            if name not in FIELDS:
                yield f"list: unknown field {name}"
    if received.call not in WITHOUT_BODY:
        yield from _of_body(received)


def _of_body(received: ReceivedCall) -> Iterator[str]:
    try:
        payload = object_of(received.request)
    except BadInputError:
        return
    wanted = BODY_FIELDS.get(received.call, frozenset({"docIds"}))
    for name in sorted(wanted ^ payload.keys()):
        yield f"{received.call}: {'no' if name in wanted else 'unknown'} field {name}"
