"""Where a request departs from the document without being refused: noted, so that a client's misreading shows."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

from easytracking_simulator.calls import CHOICES, Asked, BadInputError, object_of
from easytracking_simulator.faults import Call
from easytracking_simulator.listing import FIELDS

TOKEN_FIELDS = frozenset({"apiName", "clientName", "clientSecret", "username", "password"})
BODY_FIELDS = {Call.TOKEN: TOKEN_FIELDS, Call.JOBS_SELECT_TYPE: frozenset({"docIds", *CHOICES})}
WITHOUT_BODY = frozenset({Call.LIST, Call.FETCH})


def of(asked: Asked) -> Iterator[str]:
    """Each lapse of the call, like `list: no Accept: application/json`."""
    for name in ("Accept", "Content-Type"):
        if "application/json" not in asked.request.header(name):
            yield f"{asked.call}: no {name}: application/json"
    if asked.call is Call.LIST:
        for name, _ in parse_qsl(asked.request.query, keep_blank_values=True):
            if name not in FIELDS:
                yield f"list: unknown field {name}"
    if asked.call not in WITHOUT_BODY:
        yield from _of_body(asked)


def _of_body(asked: Asked) -> Iterator[str]:
    try:
        payload = object_of(asked.request)
    except BadInputError:
        return
    wanted = BODY_FIELDS.get(asked.call, frozenset({"docIds"}))
    for name in sorted(wanted ^ payload.keys()):
        yield f"{asked.call}: {'no' if name in wanted else 'unknown'} field {name}"
