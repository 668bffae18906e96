"""What an effect is, wherever it comes: the rows of the table that a crash enumeration fills."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.simulation.fate import Blow, Effect, Kind, applicable

CALLS = (
    (re.compile(r"POST .*AccessToken"), "log in"),
    (re.compile(r"GET .*passive-invoices"), "list"),
    (re.compile(r"GET .*/jobs/"), "fetch"),
    (re.compile(r"POST .*/jobs"), "reserve"),
    (re.compile(r"POST .*set-fase-1"), "acknowledge"),
)
DEALT = (*Blow,)


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


def blows_for(effect: Effect) -> list[Blow]:
    """Everything that may befall it. What was killed before it and what was killed after the one before are the same
    moment for the program, and yet both are dealt: between the two another may have been answered."""
    return applicable(effect)


def _plain(effect: Effect) -> str:
    """What it does, without the names and numbers of this one."""
    if effect.kind in (Kind.COMMIT, Kind.READ):
        return "a transaction" if effect.kind is Kind.COMMIT else "a query"
    if effect.kind is Kind.WRITE:
        return "bytes"
    if effect.kind is Kind.SYNC:
        return effect.what
    return effect.what.split()[0]
