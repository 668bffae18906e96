"""The list of passive invoices: checks its query and builds its answer (section 4)."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from easytracking_simulator.documents import Document
from easytracking_simulator.faults import ActiveFault, Fault, Kind
from easytracking_simulator.http_messages import JSON, Reply

Day = TypeVar("Day", date, datetime)
TOP_CAP = 100_000
DAYS, DAYS_WITH_PHASE = 31, 365
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
FIELDS = frozenset(
    {"invoiceDateFrom", "invoiceDateTo", "invoiceReceivedDateTimeFrom", "invoiceReceivedDateTimeTo",
     "receiverPIVA", "receiverCF", "fase1", "fase2", "top"}
)  # fmt: skip


class BadQueryError(Exception):
    """Answered by a 400 with this message."""


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query. Ranges include both ends."""

    dates: tuple[date, date] | None
    received: tuple[datetime, datetime] | None
    piva: str
    cf: str
    phases: tuple[bool | None, bool | None]
    top: int | None

    def wants(self, document: Document, marked: tuple[bool, bool]) -> bool:
        if self.received and not (document.received and self.received[0] <= document.received <= self.received[1]):
            return False
        if self.dates and not (document.date and self.dates[0] <= document.date <= self.dates[1]):
            return False
        if (self.piva and document.receiver.piva != self.piva) or (self.cf and document.receiver.cf != self.cf):
            return False
        return all(wanted in {None, actual} for wanted, actual in zip(self.phases, marked, strict=True))


def read(pairs: Iterable[tuple[str, str]], *, range_required: bool, inclusive: bool) -> Query:
    """Check the query's fields; an empty field counts as absent. BadQueryError names the fault."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise BadQueryError(f"il parametro {name} è ripetuto")
        if value:
            given[name] = value
    phases = (_flag(given, "fase1"), _flag(given, "fase2"))
    dates = _ends(given, "invoiceDateFrom", "invoiceDateTo", _date)
    received = _ends(given, "invoiceReceivedDateTimeFrom", "invoiceReceivedDateTimeTo", _moment)
    if dates and received:
        raise BadQueryError("è possibile valorizzare solo un tipo di range: data documento o data ricezione")
    if range_required and not (dates or received):
        raise BadQueryError("è necessario valorizzare un range di date")
    limit = DAYS if phases == (None, None) else DAYS_WITH_PHASE
    for ends in filter(None, (dates, received)):
        _within(ends, limit, inclusive=inclusive)
    return Query(dates, received, given.get("receiverPIVA", ""), given.get("receiverCF", ""), phases, _top(given))


def _flag(given: Mapping[str, str], name: str) -> bool | None:
    text = given.get(name)
    if text not in {None, "true", "false"}:
        raise BadQueryError(f"{name} deve essere true o false")
    return None if text is None else text == "true"


def _date(text: str) -> date:
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _moment(text: str) -> datetime:
    if not MOMENT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _ends(given: Mapping[str, str], first: str, last: str, parse: Callable[[str], Day]) -> tuple[Day, Day] | None:
    if first not in given and last not in given:
        return None
    ends = []
    for name in (first, last):
        try:
            ends.append(parse(given[name]))
        except KeyError:
            raise BadQueryError(f"il range è incompleto: manca {name}") from None
        except ValueError:
            raise BadQueryError(f"{name} non è nel formato previsto") from None
    return ends[0], ends[1]


def _within(ends: tuple[date, date], limit: int, *, inclusive: bool) -> None:
    first, last = ends
    if first > last:
        raise BadQueryError("l'inizio del range è dopo la fine")
    span = last - first
    if inclusive:
        span = timedelta(days=last.toordinal() - first.toordinal() + 1)
    if span > timedelta(days=limit):
        raise BadQueryError(f"il range di date non può essere maggiore di {limit} giorni")


def _top(given: Mapping[str, str]) -> int | None:
    text = given.get("top")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) > TOP_CAP:
        raise BadQueryError(f"top deve essere un intero non maggiore di {TOP_CAP}")
    return int(text)


def answer(documents: Sequence[Document], total: int, active: ActiveFault | None, *, compress: bool) -> Reply:
    """200 with the elements and the total."""
    elements = [document.json() for document in documents]
    if active:
        elements, total = _spoilt(elements, documents, total, active)
    body = b'{"invoices":[%s],"total":%d}' % (b",".join(elements), total)
    if not compress:
        return Reply(200, JSON, body)
    return Reply(200, (*JSON, ("Content-Encoding", "gzip")), gzip.compress(body, 1, mtime=0))


def _spoilt(
    elements: list[bytes], documents: Sequence[Document], total: int, active: ActiveFault
) -> tuple[list[bytes], int]:
    fault = active.fault
    if fault.kind is Kind.EMPTY_LIST:
        return [], 0
    if fault.kind is Kind.TOTAL_ABOVE:
        return elements, total + (fault.size or 1)
    if fault.kind is Kind.ODD_ELEMENT and elements:
        place = _whose(documents, fault, active.rng)
        if place is not None:
            elements[place] = ELEMENT_FAULTS[fault.variety](documents[place].element())
    return elements, total


def _whose(documents: Sequence[Document], fault: Fault, rng: random.Random) -> int | None:
    if not fault.ids:
        return rng.randrange(len(documents))
    return next((place for place, document in enumerate(documents) if document.id in fault.ids), None)


def _with(**odd: Any) -> Callable[[dict[str, Any]], bytes]:
    """The element with other values, as escaped JSON, so that lone surrogates are possible."""
    return lambda element: json.dumps(element | odd).encode()


def _without(*names: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda element: json.dumps({name: value for name, value in element.items() if name not in names}).encode()


HUGE = 10**40
ELEMENT_FAULTS: Mapping[str, Callable[[dict[str, Any]], bytes]] = {
    "null-id": _with(id=None),
    "word-id": _with(id="fattura"),
    "text-id": lambda element: json.dumps(element | {"id": str(element["id"])}).encode(),
    "float-id": lambda element: json.dumps(element | {"id": element["id"] + 0.5}).encode(),
    "huge-id": _with(id=HUGE),
    "negative-id": _with(id=-1),
    "true-id": _with(id=True),
    "no-id": _without("id"),
    "only-id": lambda element: json.dumps({"id": element["id"]}).encode(),
    "nulls": lambda element: json.dumps(dict.fromkeys(element) | {"id": element["id"]}).encode(),
    "other-types": _with(number=77, data={"y": 2012}, sdiId=1204005, senderPIVA=["1"], countryChannel="0"),
    "huge-numbers": _with(progressivoAnnualeCaricamento=HUGE, countryChannel=-HUGE),
    "nul": _with(number="77\x00/C", fileName="a\x00b.xml"),
    "surrogate": _with(number="77\ud800/C"),
    "odd-dates": _with(data="ieri", dataRicezione="2012-02-30 25:61:00"),
    "no-reception": _without("dataRicezione"),
    "long": _with(number="7" * 100_000),
    "more-fields": _with(fase1=False, nuovoCampo={"a": [1, 2]}),
    "not-an-object": lambda _: b"42",
    "null": lambda _: b"null",
    "twice": lambda element: json.dumps(element).encode() + b"," + json.dumps(element).encode(),
}
