"""The list of documents: what is asked for, and how the answer is read (vendor's document, section 4). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Final

import msgspec

from easytracking_sync.errors import ServiceUnavailable
from easytracking_sync.lenient_json import BOM, integer_or_none, read_value, split_object
from easytracking_sync.list_element import ROME, read_element
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.terms import MOST_LISTED, Window, WindowKind

MOST_DAYS: Final = 31
MOST_DAYS_WITH_A_PHASE: Final = 365


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What to list (section 4). The window's kind says which of the two ranges is meant, so both is impossible.

    ValueError for what the service would refuse: more than 31 days without a phase, 365 with one; `top` outside
    1 to 100000; moments with a zone or a fraction of a second.
    """

    window: Window
    receiver_piva: str | None = None
    receiver_cf: str | None = None
    phase1: bool | None = None
    phase2: bool | None = None
    top: int = MOST_LISTED

    def __post_init__(self) -> None:
        for moment in (self.window.start, self.window.end):
            if moment.tzinfo is not None or moment.microsecond:
                raise ValueError(f"a window's ends are naive and whole seconds, not {moment.isoformat()}")
        no_phase = self.phase1 is None and self.phase2 is None
        most = MOST_DAYS if no_phase else MOST_DAYS_WITH_A_PHASE
        if self.window.end - self.window.start > timedelta(days=most):
            raise ValueError(f"a list spans at most {most} days {'without' if no_phase else 'with'} a phase")
        if not 1 <= self.top <= MOST_LISTED:
            raise ValueError(f"top is 1 to {MOST_LISTED}, not {self.top}")

    @property
    def parameters(self) -> dict[str, str]:
        """The query string's fields; `top` is always among them."""
        names, layout = _RANGES[self.window.kind]
        fields = {names[0]: self.window.start.strftime(layout), names[1]: self.window.end.strftime(layout)}
        codes = {"receiverPIVA": self.receiver_piva, "receiverCF": self.receiver_cf}
        phases = {"fase1": self.phase1, "fase2": self.phase2}
        fields |= {name: code for name, code in codes.items() if code}
        fields |= {name: str(phase).lower() for name, phase in phases.items() if phase is not None}
        return fields | {"top": str(self.top)}


_RANGES: Final = {
    WindowKind.DOCUMENT_DATE: (("invoiceDateFrom", "invoiceDateTo"), "%Y-%m-%d"),
    WindowKind.RECEIVED: (("invoiceReceivedDateTimeFrom", "invoiceReceivedDateTimeTo"), "%Y-%m-%d %H:%M:%S"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer of the list: each docId once (where one comes twice, its last element counts)."""

    documents: tuple[ListedDocument, ...]
    total: int | None  # as the service counts; None where it does not say
    unreadable: tuple[bytes, ...]  # the elements without a usable id, as they came
    count: int  # elements in the answer, whatever they are


class _Envelope(msgspec.Struct):
    invoices: list[msgspec.Raw]
    total: msgspec.Raw = msgspec.Raw(b"null")


def read_listing(body: bytes | bytearray, *, zone: tzinfo = ROME) -> Listing:
    """The list's answer, element by element: an odd element or field spoils only itself.

    `zone` is the service's local time, used only where `dataRicezione` carries a zone of its own: such a moment is
    an instant, and is turned into local time. ServiceUnavailable for what is not a whole JSON object with `invoices`.
    """
    body = body.removeprefix(BOM)
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        elements: Iterator[bytes] = map(bytes, envelope.invoices)
        total = read_value(bytes(envelope.total))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        elements, total = _split_slowly(body)
    documents: dict[int, ListedDocument] = {}
    unreadable: list[bytes] = []
    count = 0
    for raw in elements:
        count += 1
        document = read_element(raw, zone)
        if document is None:
            unreadable.append(raw)
        else:
            documents[document.doc_id] = document
    return Listing(tuple(documents.values()), integer_or_none(total), tuple(unreadable), count)


def _split_slowly(body: bytes | bytearray) -> tuple[Iterator[bytes], object]:
    """The same as the fast way, for bodies in which one element holds what msgspec refuses for all."""
    text = body.decode("latin-1")  # one character a byte: slices are exact, and JSON's own signs are ASCII
    try:
        elements, rest = split_object(text, "invoices")
    except ValueError as error:
        hint = "an HTML page" if text.lstrip()[:1] == "<" else "no list, or a part of one"
        raise ServiceUnavailable(f"the answer is {hint} ({len(body)} bytes)") from error
    if elements is None and ("invoices" not in rest or rest["invoices"] is not None or rest.get("total") != 0):
        raise ServiceUnavailable(f"the answer holds no invoices ({len(body)} bytes)")
    return (element.encode("latin-1") for element in elements or ()), rest.get("total")
