"""The service's faults as values: a `Fault` affects one call, `Faults` are the standing ones.

A call's fault comes from the first of: the script (one-shot), `always`, `spoilt` (documents that spoil every parcel
that holds them), `poison` (documents that spoil every call that names or would list them), `rates` (random, seeded).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Call(StrEnum):
    """The nine calls of the vendor's document: two reserve, four set or clear a phase."""

    TOKEN = "token"  # noqa: S105  the name of a call
    LIST = "list"
    JOBS = "jobs"
    JOBS_SELECT_TYPE = "jobs-select-type"
    FETCH = "fetch"
    SET_1 = "set-fase-1"
    CLEAR_1 = "clear-fase-1"
    SET_2 = "set-fase-2"
    CLEAR_2 = "clear-fase-2"


GROUPS: Mapping[str, tuple[Call, ...]] = {
    "any": tuple(call for call in Call if call is not Call.TOKEN),
    "reserve": (Call.JOBS, Call.JOBS_SELECT_TYPE),
    "acknowledge": (Call.SET_1, Call.SET_2),
    "phase": (Call.SET_1, Call.CLEAR_1, Call.SET_2, Call.CLEAR_2),
    **{call.value: (call,) for call in Call},
}


class Kind(StrEnum):
    """What a fault does. The comments name the values of a fault it uses besides `applied`."""

    # any call: the answer is another one
    STATUS = "status"  # status, retry_after, body, content_type: this instead of the answer
    HTML = "html"  # a maintenance page with 200
    EMPTY = "empty"  # the right status and type, and nothing
    BODY = "body"  # body: the right status and type, this body
    GARBAGE = "garbage"  # the right status and type, random bytes
    TRUNCATED = "truncated"  # at: the body ends early, and the framing says so too
    # any call: the answer is torn on its way
    UNREACHABLE = "unreachable"  # no connection
    TIMEOUT = "timeout"  # seconds
    LOST = "lost"  # applied, and the connection is reset before the answer
    CUT = "cut"  # at: reset in mid-body
    SHORT = "short"  # at: close-delimited and ended early
    CLOSE_DELIMITED = "close-delimited"  # whole, but without Content-Length
    SLOW = "slow"  # seconds
    # list
    ODD_ELEMENT = "odd-element"  # variety (see `listing.ELEMENT_FAULTS`), ids: whose element, or one by chance
    TOTAL_ABOVE = "total-above"  # size: total says so many more than came
    EMPTY_LIST = "empty-list"  # as if there were no documents
    # fetch
    PENDING = "pending"  # 202; the job is left as it is
    EXPIRED = "expired"  # 403; the job is gone
    ZIP = "zip"  # variety (see `zip_faults.ZIP_FAULTS`), ids: whose files, or one document by chance; size


AFTERWARDS = frozenset(
    {
        Kind.EMPTY,
        Kind.BODY,
        Kind.GARBAGE,
        Kind.TRUNCATED,
        Kind.LOST,
        Kind.CUT,
        Kind.SHORT,
        Kind.CLOSE_DELIMITED,
        Kind.SLOW,
    }
)
ONLY_FOR: Mapping[Kind, Call] = {
    Kind.ODD_ELEMENT: Call.LIST,
    Kind.TOTAL_ABOVE: Call.LIST,
    Kind.EMPTY_LIST: Call.LIST,
    Kind.PENDING: Call.FETCH,
    Kind.EXPIRED: Call.FETCH,
    Kind.ZIP: Call.FETCH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of one call. Values that its kind does not use are ignored."""

    kind: Kind
    applied: bool | None = None  # whether the service does what was asked; None: as the kind usually goes
    status: int = 503
    retry_after: str | None = None
    body: bytes = b""
    content_type: str = "text/plain"
    at: int | None = None  # bytes of the body; negative from its end; None: anywhere, by chance
    seconds: float = 30.0
    ids: tuple[int, ...] = ()
    variety: str = ""
    size: int = 0  # of a bomb: 0 for a gibibyte; of TOTAL_ABOVE: 0 for one

    @property
    def is_applied(self) -> bool:
        """Whether the call takes effect at the service despite the fault."""
        return self.kind in AFTERWARDS if self.applied is None else self.applied


def status(code: int, *, retry_after: str | None = None, body: bytes = b"", applied: bool = False) -> Fault:
    """This status instead of the answer; Retry-After is sent as given."""
    return Fault(kind=Kind.STATUS, status=code, retry_after=retry_after, body=body, applied=applied)


def torn(at: int | None = None, *, framed: bool = True) -> Fault:
    """A body that ends after `at` bytes: with Content-Length and a reset, or close-delimited without an error."""
    return Fault(kind=Kind.CUT if framed else Kind.SHORT, at=at)


def lost() -> Fault:
    """The call takes effect, but its answer never arrives."""
    return Fault(kind=Kind.LOST)


def odd_element(variety: str, *ids: int) -> Fault:
    """One element of the list is invalid or unusual; varieties are in `listing.ELEMENT_FAULTS`."""
    return Fault(kind=Kind.ODD_ELEMENT, variety=variety, ids=ids)


def bad_zip(variety: str, *ids: int, size: int = 0) -> Fault:
    """A faulty parcel; varieties are in `zip_faults.ZIP_FAULTS`."""
    return Fault(kind=Kind.ZIP, variety=variety, ids=ids, size=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A fault that random calls of a group meet (see GROUPS)."""

    call: str
    chance: float
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The standing faults, replaced as a whole: `simulator.faults = Faults(…)`."""

    always: Mapping[str, Fault] = field(default_factory=dict)  # by call or group
    rates: tuple[Rate, ...] = ()
    spoilt: Mapping[int, Fault] = field(default_factory=dict)  # fetches of jobs that hold the id
    poison: Mapping[str, Mapping[int, Fault]] = field(default_factory=dict)  # by call or group: calls about the id
    refused: frozenset[int] = frozenset()  # 403 when reserved
    unmarkable: frozenset[int] = frozenset()  # 403 when a phase is set or cleared
    still_listed: frozenset[int] = frozenset()  # listed as unmarked although marked
    list_cap: int | None = None  # instead of the options' cap

    def __post_init__(self) -> None:
        poison = ((call, fault) for call, faults in self.poison.items() for fault in faults.values())
        for call, fault in (*self.always.items(), *poison, *((rate.call, rate.fault) for rate in self.rates)):
            check(call, fault)

    def all(self) -> tuple[Fault, ...]:
        """All faults among them."""
        poison = (fault for faults in self.poison.values() for fault in faults.values())
        return (*self.always.values(), *self.spoilt.values(), *poison, *(rate.fault for rate in self.rates))

    def poisons(self, call: Call) -> Mapping[int, Fault]:
        """The documents for which this call meets a fault, with the faults."""
        return {
            doc_id: fault
            for name, faults in self.poison.items()
            if call in GROUPS[name]
            for doc_id, fault in faults.items()
        }


def check(call: str, fault: Fault | None) -> None:
    """Raise ValueError for an unknown call or group, or a fault that cannot affect it."""
    if call not in GROUPS:
        raise ValueError(f"no such call: {call!r}; there are {', '.join(GROUPS)}")
    only = ONLY_FOR.get(fault.kind) if fault else None
    if fault and only and only not in GROUPS[call]:
        raise ValueError(f"{fault.kind} can come to {only} only, not to {call}")


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """The fault of one call, with a random generator of its own, so that its details depend on the seed alone."""

    fault: Fault
    rng: random.Random


@dataclass(slots=True)
class _ScriptedFault:
    call: str
    fault: Fault | None
    left: int
    account: str | None


class FaultSchedule:
    """Decides which fault affects which call. Not thread-safe: the simulator holds its lock."""

    def __init__(self, seed: int, standing: Faults) -> None:
        self.standing = standing
        self._seed = seed
        self._rng = random.Random(f"{seed}/weather")
        self._activated = 0
        self._script: list[_ScriptedFault] = []

    def script(self, call: str, fault: Fault | None, times: int, account: str | None) -> None:
        check(call, fault)
        self._script.append(_ScriptedFault(call, fault, times, account))

    def clear(self) -> None:
        self._script.clear()

    def left(self) -> int:
        """How many scripted faults were not applied yet."""
        return sum(line.left for line in self._script)

    def next_fault(self, call: Call, account: str, ids: Collection[int], *, parcel: bool) -> ActiveFault | None:
        """The fault of this call, if any. `parcel`: the call is a fetch that returns a zip."""

        def fits(fault: Fault | None) -> bool:
            if fault is None:
                return True
            waits = call is Call.FETCH and not parcel and (fault.kind in AFTERWARDS or fault.kind is Kind.ZIP)
            return not waits and ONLY_FOR.get(fault.kind, call) is call

        for line in self._script:
            if call in GROUPS[line.call] and line.account in {None, account} and fits(line.fault):
                line.left -= 1
                if not line.left:
                    self._script.remove(line)
                return self._activate(line.fault)
        standing = self.standing
        always = [fault for name, fault in standing.always.items() if call in GROUPS[name]]
        spoilt = (
            [standing.spoilt[doc_id] for doc_id in ids if doc_id in standing.spoilt] if call is Call.FETCH else []
        )
        poison = [fault for doc_id, fault in standing.poisons(call).items() if doc_id in ids]
        found = next((fault for fault in (*always, *spoilt, *poison) if fits(fault)), None)
        return self._activate(found or self._by_chance(call, fits))

    def _by_chance(self, call: Call, fits: Callable[[Fault], bool]) -> Fault | None:
        for rate in self.standing.rates:
            if call in GROUPS[rate.call] and fits(rate.fault) and self._rng.random() < rate.chance:
                return rate.fault
        return None

    def _activate(self, fault: Fault | None) -> ActiveFault | None:
        if fault is None:
            return None
        self._activated += 1
        return ActiveFault(fault, random.Random(f"{self._seed}/struck/{self._activated}"))
