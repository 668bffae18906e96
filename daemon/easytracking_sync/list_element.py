"""One element of the service's list (section 4): read leniently, and compared with an earlier one by meaning.

Pure. `remote` reads lists with it; `machine.intake` compares them with the stored elements.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from easytracking_sync.lenient_json import doc_id_or_none, integer_or_none, read_value, text_or_none
from easytracking_sync.list_fields import LIST_FIELDS, ListedDocument

ROME: Final = ZoneInfo("Europe/Rome")

MOST_FIELD_TEXT: Final = 500
"""Longer text is cut in the field (a database index accepts no more); `raw` keeps all of it."""


def read_element(raw: bytes, zone: tzinfo = ROME) -> ListedDocument | None:
    """One element of the list. An unreadable field is None; the result is None if the element has no usable id.

    `zone` is the service's local time: a time with its own offset is converted to local time.
    """
    try:
        members = read_value(raw)
    except ValueError:
        return None
    doc_id = doc_id_or_none(members.get("id")) if isinstance(members, dict) else None
    if doc_id is None:
        return None
    values: dict[str, Any] = {}
    for name, wire, read in _FIELDS:
        given = members.get(wire)
        if given is not None:
            values[name] = read(given, zone)
    return ListedDocument(doc_id, raw, _fingerprint(doc_id, values), **values)


def means_the_same(before: bytes, now: ListedDocument, zone: tzinfo = ROME) -> bool:
    """Whether a stored element means the same as `now`, in whatever notation.

    The same code reads both. A field with a value in only one of them is ignored: the service or this program may
    have added it since. False if `before` is not an element of this document.
    """
    earlier = read_element(before, zone)
    if earlier is None or earlier.doc_id != now.doc_id:
        return False
    one, other = _meanings(earlier), _meanings(now)
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def says_no_less(before: bytes, now: ListedDocument, zone: tzinfo = ROME) -> bool:
    """Whether `now` has a value in every field in which the stored element has one, and so may replace it."""
    earlier = read_element(before, zone)
    return earlier is not None and _meanings(earlier).keys() <= _meanings(now).keys()


def _meanings(element: ListedDocument) -> dict[str, object]:
    """Field → the meaning of its value; without empty fields."""
    return _meant({name: getattr(element, name) for name, _, _ in _FIELDS})


def _meant(values: Mapping[str, Any]) -> dict[str, object]:
    meant = ((name, _meaning(value)) for name, value in values.items() if name not in _VERBATIM)
    return {name: meaning for name, meaning in meant if meaning is not None}


def _meaning(value: object) -> object:
    """Without blanks and leading zeros, which are lost when a text is sent as a number; None for empty text."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    return text.lstrip("0") or text[:1] or None


def _fingerprint(doc_id: int, values: Mapping[str, Any]) -> str:
    """sha256 over the fields with values, by name, so that a new empty field changes nothing."""
    meant = {"doc_id": doc_id, **_meant(values)}
    return hashlib.sha256(msgspec.json.encode(meant, order="deterministic")).hexdigest()


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=$|[T ])", re.ASCII)
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,][0-9]+)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII | re.IGNORECASE,
)


def _read_text(value: object, _zone: tzinfo) -> str | None:
    """A number is read as its digits."""
    if isinstance(value, str):
        return text_or_none(value, most=MOST_FIELD_TEXT)
    number = integer_or_none(value)
    return None if number is None else str(number)


def _read_date(value: object, _zone: tzinfo) -> date | None:
    found = _DATE.match(value.strip()) if isinstance(value, str) else None
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None


def _read_moment(value: object, zone: tzinfo) -> datetime | None:
    """Local time to the second, as in the list's ranges; fractions are dropped."""
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    day, hour, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}{(offset or '').upper()}")
        return moment if moment.tzinfo is None else moment.astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


_READERS: Final[Mapping[type, Callable[[object, tzinfo], object]]] = {
    str: _read_text,
    int: lambda value, _: integer_or_none(value),
    date: _read_date,
    datetime: _read_moment,
}
_FIELDS: Final = tuple((field.name, field.wire, _READERS[field.type]) for field in LIST_FIELDS)
_VERBATIM: Final = frozenset(field.name for field in LIST_FIELDS if field.verbatim)
