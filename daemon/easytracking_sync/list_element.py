"""One element of the service's list (section 4): read leniently, and compared with an earlier one by what it means.

Pure. The client reads lists with it, the archive the elements that it keeps.
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
from easytracking_sync.terms import LIST_FIELDS, ListedDocument

ROME: Final = ZoneInfo("Europe/Rome")

MOST_FIELD_TEXT: Final = 500
"""Longer text is cut in the field (an index of a database takes no more); `raw` keeps all of it."""


def read_element(raw: bytes, zone: tzinfo = ROME) -> ListedDocument | None:
    """One element of the list, whose odd fields spoil only themselves; None where it has no usable id.

    `zone` is the service's local time: a moment that carries a zone of its own is turned into local time.
    """
    members = _members(raw)
    doc_id = None if members is None else doc_id_or_none(members.get("id"))
    if members is None or doc_id is None:
        return None
    values: dict[str, Any] = {}
    meanings: dict[str, object] = {"id": doc_id}
    for name, wire, read, verbatim in _TABLE:
        given = members.get(wire)
        if given is None:
            continue
        value = read(given, zone)
        values[name] = value[:MOST_FIELD_TEXT] if isinstance(value, str) else value
        if not (verbatim or _is_blank(given)):
            meanings[wire] = _verbatim(given) if value is None else value
    return ListedDocument(doc_id, raw, _fingerprint(meanings), **values)


def means_the_same(before: bytes, now: ListedDocument, zone: tzinfo = ROME) -> bool:
    """Whether an element that was kept says of its document what `now` says, in whatever notation.

    The same code reads both. A field that only one of them has says nothing: the service, or this program, has come
    to know it since. Nor does a value that can be read in only one of them. False where `before` is no element of
    this document.
    """
    earlier, later = _members(before), _members(now.raw)
    if earlier is None or later is None or doc_id_or_none(earlier.get("id")) != now.doc_id:
        return False
    return all(
        _agree(read, earlier[wire], later[wire], zone)
        for _, wire, read, verbatim in _TABLE
        if wire in earlier and wire in later and not verbatim
    )


def says_no_less(before: bytes, now: ListedDocument, zone: tzinfo = ROME) -> bool:
    """Whether `now` has a value in every field in which a kept element has one, and so may take its place."""
    earlier = read_element(before, zone)
    return earlier is not None and _fields_with_a_value(earlier) <= _fields_with_a_value(now)


def _fields_with_a_value(element: ListedDocument) -> set[str]:
    return {name for name, *_ in _TABLE if not _is_blank(getattr(element, name))}


Reader = Callable[[object, tzinfo], object]


def _agree(read: Reader, earlier: object, later: object, zone: tzinfo) -> bool:
    if _is_blank(earlier) or _is_blank(later):
        return _is_blank(earlier) and _is_blank(later)
    before, now = read(earlier, zone), read(later, zone)
    if before is None and now is None:
        return _verbatim(earlier) == _verbatim(later)
    if before is None or now is None or before == now:
        return True
    if not (isinstance(before, str) and isinstance(now, str)):
        return False
    as_number = isinstance(earlier, str) is not isinstance(later, str)  # numbers have no leading zeros
    return before.strip().lstrip("0" if as_number else "") == now.strip().lstrip("0" if as_number else "")


def _members(raw: bytes) -> Mapping[str, Any] | None:
    try:
        members = read_value(raw)
    except ValueError:
        return None
    return members if isinstance(members, dict) else None


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _verbatim(value: object) -> str:
    """A value that its field cannot be read from, so that it can be compared all the same."""
    try:
        return repr(value)
    except RecursionError:
        return "nested too deep"


def _fingerprint(meanings: Mapping[str, object]) -> str:
    """sha256 over what is there, by name: a field that is known one day, and is not there, changes nothing."""
    return hashlib.sha256(msgspec.json.encode(meanings, order="deterministic")).hexdigest()


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=$|[T ])", re.ASCII)
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,][0-9]+)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII | re.IGNORECASE,
)


def _read_text(value: object, zone: tzinfo) -> str | None:
    """A number that is given instead is its digits."""
    del zone
    if isinstance(value, str):
        return text_or_none(value)
    number = integer_or_none(value)
    return None if number is None else str(number)


def _read_date(value: object, zone: tzinfo) -> date | None:
    del zone
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


_READERS: Final[Mapping[type, Reader]] = {
    str: _read_text,
    int: lambda value, _: integer_or_none(value),
    date: _read_date,
    datetime: _read_moment,
}
_TABLE: Final = tuple((field.name, field.wire, _READERS[field.type], field.verbatim) for field in LIST_FIELDS)
