"""Sorts effects by kind and preceding call: the rows of the crash enumeration's report."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.fault_injection import Effect, Kind

CALLS = (
    (re.compile(r"POST .*AccessToken"), "log in"),
    (re.compile(r"GET .*passive-invoices"), "list"),
    (re.compile(r"GET .*/jobs/"), "fetch"),
    (re.compile(r"POST .*/jobs"), "reserve"),
    (re.compile(r"POST .*set-fase-1"), "acknowledge"),
)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A kind of effect, and the call after which it comes: "start" before the first."""

    kind: Kind
    what: str
    after: str


def cells_of(effects: Sequence[Effect], begin: int) -> dict[Cell, list[int]]:
    """The effects from `begin` on, by what they are; the beginning of the next incarnation counts as start."""
    found: dict[Cell, list[int]] = defaultdict(list)
    after = "start"
    for number, effect in enumerate(effects):
        if effect.kind is Kind.SEND:
            what = call = next(name for pattern, name in CALLS if pattern.match(effect.what))
            after, before = (after, after) if call == "log in" else (call, after)
            place = before
        else:
            what, place = _plain(effect), after
        if number >= begin:
            found[Cell(effect.kind, what, place)].append(number)
    return dict(found)


def _plain(effect: Effect) -> str:
    """What it does, without the names and numbers of this one."""
    if effect.kind in (Kind.COMMIT, Kind.READ):
        return "a transaction" if effect.kind is Kind.COMMIT else "a query"
    if effect.kind is Kind.WRITE:
        return "bytes"
    if effect.kind is Kind.SYNC:
        return effect.what
    return effect.what.split()[0]
