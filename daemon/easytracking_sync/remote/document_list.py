"""The list call: its query and its answer (vendor's document, section 4). Pure."""

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
    """What to list. The window's kind selects one of the two ranges, so a query never has both.

    ValueError for what the service would refuse: more than 31 days without a phase or 365 with one, `top` outside
    1 to 100000, moments with a zone or a fraction of a second.
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
                raise ValueError(f"a window starts and ends at naive whole seconds, not {moment.isoformat()}")
        no_phase = self.phase1 is None and self.phase2 is None
        most = MOST_DAYS if no_phase else MOST_DAYS_WITH_A_PHASE
        if self.window.end - self.window.start > timedelta(days=most):
            raise ValueError(f"a list spans at most {most} days {'without' if no_phase else 'with'} a phase")
        if not 1 <= self.top <= MOST_LISTED:
            raise ValueError(f"top is 1 to {MOST_LISTED}, not {self.top}")

    @property
    def parameters(self) -> dict[str, str]:
        """The fields of the query string; `top` is always included."""
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
class DocumentList:
    """The service's answer: each docId once. If a docId is listed twice, its last element counts."""

    documents: tuple[ListedDocument, ...]
    total: int | None  # as counted by the service; None if it gives no number
    unreadable: tuple[bytes, ...]  # raw elements without a usable id
    count: int  # elements in the answer, readable or not


class _Envelope(msgspec.Struct):
    invoices: list[msgspec.Raw]
    total: msgspec.Raw = msgspec.Raw(b"null")


def read_document_list(body: bytes | bytearray, *, zone: tzinfo = ROME) -> DocumentList:
    """Parse the answer element by element: an invalid element or field affects only itself.

    `zone` is the service's local time. A `dataRicezione` that carries a zone is converted to it.
    ServiceUnavailable unless the body is a complete JSON object with `invoices`.
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
    return DocumentList(tuple(documents.values()), integer_or_none(total), tuple(unreadable), count)


def _split_slowly(body: bytes | bytearray) -> tuple[Iterator[bytes], object]:
    """Split a body that msgspec refuses as a whole because of one element; slower."""
    text = body.decode("latin-1")  # one character per byte keeps slices exact; JSON's syntax is ASCII
    try:
        elements, rest = split_object(text, "invoices")
    except ValueError as error:
        hint = "an HTML page" if text.lstrip()[:1] == "<" else "not a complete list"
        raise ServiceUnavailable(f"the answer is {hint} ({len(body)} bytes)") from error
    if elements is None and ("invoices" not in rest or rest["invoices"] is not None or rest.get("total") != 0):
        raise ServiceUnavailable(f"the answer holds no invoices ({len(body)} bytes)")
    return (element.encode("latin-1") for element in elements or ()), rest.get("total")
