"""Pure translation between the service's JSON and our values (vendor's document, sections 3 to 5)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from easytracking_sync.errors import ServiceUnavailable
from easytracking_sync.remote.lenient_json import (
    BOM,
    doc_id_or_none,
    integer_or_none,
    read_value,
    split_object,
    text_or_none,
)
from easytracking_sync.terms import MOST_LISTED, ListedDocument, Window, WindowKind

ROME: Final = ZoneInfo("Europe/Rome")

MOST_DAYS: Final = 31
MOST_DAYS_WITH_A_PHASE: Final = 365

MOST_FIELD_TEXT: Final = 500
"""Longer text is cut in the field (an index of a database takes no more); `raw` keeps all of it."""

FIELDS: Final = (
    "id",
    "senderPIVA",
    "senderCF",
    "receiverPIVA",
    "receiverCF",
    "data",
    "number",
    "documentType",
    "sdiId",
    "dataRicezione",
    "fileName",
    "progressivoAnnualeCaricamento",
    "countryChannel",
)
"""The thirteen of section 4; their order is part of every stored fingerprint."""


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
        document = read_document(raw, zone)
        if document is None:
            unreadable.append(raw)
        else:
            documents[document.doc_id] = document
    return Listing(tuple(documents.values()), integer_or_none(total), tuple(unreadable), count)


def read_document(raw: bytes, zone: tzinfo) -> ListedDocument | None:
    """One element of the list; None where it has no usable id."""
    try:
        fields = read_value(raw)
    except ValueError:
        return None
    doc_id = doc_id_or_none(fields.get("id")) if isinstance(fields, dict) else None
    if doc_id is None:
        return None

    def text(name: str) -> str | None:
        return text_or_none(fields.get(name), most=MOST_FIELD_TEXT)

    def digits(name: str) -> str | None:
        value = fields.get(name)
        return str(value) if type(value) is int and integer_or_none(value) is not None else text(name)

    return ListedDocument(
        doc_id=doc_id,
        raw=raw,
        fingerprint=_fingerprint(fields, raw),
        sender_piva=text("senderPIVA"),
        sender_cf=text("senderCF"),
        receiver_piva=text("receiverPIVA"),
        receiver_cf=text("receiverCF"),
        document_date=_read_date(fields.get("data")),
        number=digits("number"),
        document_type=text("documentType"),
        sdi_id=digits("sdiId"),
        received=_read_moment(fields.get("dataRicezione"), zone),
        received_text=text("dataRicezione"),
        file_name=text("fileName"),
        annual_progressive=integer_or_none(fields.get("progressivoAnnualeCaricamento")),
        country_channel=integer_or_none(fields.get("countryChannel")),
    )


_CANONICAL: Final = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def _fingerprint(fields: dict[str, Any], raw: bytes) -> str:
    """sha256 over the thirteen values in their fixed order; a missing field and a null one are the same."""
    values = [fields.get(name) for name in FIELDS]
    try:
        canonical = _CANONICAL.encode(values).encode("ascii")
    except RecursionError:
        canonical = raw
    return hashlib.sha256(canonical).hexdigest()


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=$|[T ])", re.ASCII)
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,][0-9]+)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII | re.IGNORECASE,
)


def _read_date(value: object) -> date | None:
    found = _DATE.match(value.strip()) if isinstance(value, str) else None
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None


def _read_moment(value: object, zone: tzinfo) -> datetime | None:
    """Local time to the second; fractions are dropped, since the list's own ranges know none."""
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    day, hour, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}{(offset or '').upper()}")
        return moment if moment.tzinfo is None else moment.astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


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


_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}", re.ASCII)
_JOB_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def read_token(body: bytes) -> str | None:
    """The token of section 3, with or without its double quotes; None where this is none."""
    text = body.removeprefix(BOM).decode("latin-1").strip()
    if text[:1] == '"':
        try:
            text = str(read_value(text.encode("latin-1"))).strip()
        except ValueError:
            return None
    return text if _TOKEN.fullmatch(text) else None


def read_expiry(token: str) -> float | None:
    """The `exp` of a readable JWT in seconds since 1970, unverified; None where there is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = read_value(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return float(expiry) if abs(expiry) < 1e12 else None


def is_job_id(text: object) -> bool:
    """Whether this is a GUID of 36 characters (section 5)."""
    return isinstance(text, str) and _JOB_ID.fullmatch(text) is not None


def read_job_id(body: bytes) -> str | None:
    """The jobId of a reservation's answer; None where there is no GUID."""
    try:
        answer = read_value(body.removeprefix(BOM))
    except ValueError:
        return None
    job_id = answer.get("jobId") if isinstance(answer, dict) else None
    return job_id if is_job_id(job_id) else None
