"""Two list elements with one id: which differences change the document, and which are only another notation."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.list_element import means_the_same, read_element, says_no_less
from easytracking_sync.list_fields import LIST_FIELDS, ListedDocument

WIRES = sorted({field.wire for field in LIST_FIELDS})
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["2026-05-01", "2026-05-01T10:00:00", "2026-05-01 10:00:00.0", "007", " 7 ", 7, 7.0, {"a": []}])
)
ELEMENTS = st.fixed_dictionaries({"id": st.just(7)}, optional=dict.fromkeys([*WIRES, "nuovo"], VALUES))


def raw_of(**members: Any) -> bytes:
    return json.dumps({"id": 7} | members).encode()


def element(raw: bytes) -> ListedDocument:
    read = read_element(raw)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("field", "before", "now"),
    [
        ("dataRicezione", "2026-05-01 10:00:00", "2026-05-01T10:00:00"),
        ("dataRicezione", "2026-05-01 10:00:00", "2026-05-01 10:00:00.000"),
        ("dataRicezione", "2026-05-01 10:00:00", "2026-05-01T08:00:00Z"),
        ("dataRicezione", "2026-05-01 10:00:00", " 2026-05-01 10:00:00 "),
        ("data", "2026-05-01", "2026-05-01T00:00:00"),
        ("number", "77", 77),
        ("number", "77", 77.0),
        ("senderPIVA", "01234567890", 1234567890),
        ("sdiId", "1204005", 1204005),
        ("progressivoAnnualeCaricamento", 24000001, "24000001"),
        ("progressivoAnnualeCaricamento", 24000001, 24000001.0),
        ("countryChannel", "0", 0),
        ("countryChannel", "0", "0.00"),
        ("receiverCF", "", None),
        ("fileName", "a.xml", " a.xml"),
        ("nuovo", 1, 2),
    ],
)
def test_another_notation_of_the_same_value_is_not_a_change(field: str, before: Any, now: Any) -> None:
    for first, second in ((before, now), (now, before)):
        assert means_the_same(raw_of(**{field: first}), element(raw_of(**{field: second})))


@pytest.mark.parametrize(
    ("field", "before", "now"),
    [
        ("dataRicezione", "2026-05-01 10:00:00", "2026-05-01 10:00:01"),
        ("data", "2026-05-01", "2026-05-02"),
        ("number", "77", "77/bis"),
        ("number", "70", 7),
        ("number", "0", "1"),
        ("countryChannel", 0, 1),
    ],
)
def test_another_value_is_a_change(field: str, before: Any, now: Any) -> None:
    for first, second in ((before, now), (now, before)):
        assert not means_the_same(raw_of(**{field: first}), element(raw_of(**{field: second})))


@pytest.mark.parametrize("nothing", [None, "", " ", "01/05/2026", {"y": 2026}, True])
def test_a_value_in_only_one_element_is_not_a_change(nothing: Any) -> None:
    said, unsaid = raw_of(data="2026-05-01"), raw_of(data=nothing)
    assert means_the_same(said, element(unsaid))
    assert means_the_same(unsaid, element(said))
    assert (says_no_less(unsaid, element(said)), says_no_less(said, element(unsaid))) == (True, False)


@given(ELEMENTS, st.sampled_from(WIRES))
def test_a_field_in_only_one_element_is_not_a_change(members: dict[str, Any], field: str) -> None:
    """A fourteenth field, new to the service or to this program, changes no document."""
    without = {name: value for name, value in members.items() if name != field}
    old, new = raw_of(**without), raw_of(**members)
    assert means_the_same(old, element(new))
    assert means_the_same(new, element(old))
    assert says_no_less(old, element(new))


@given(ELEMENTS, ELEMENTS)
def test_elements_with_equal_fingerprints_mean_the_same_in_either_order(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = raw_of(**one), raw_of(**other)
    same = means_the_same(first, element(second))
    assert same is means_the_same(second, element(first))
    assert same or element(first).fingerprint != element(second).fingerprint
    assert means_the_same(first, element(first))


def test_a_fingerprint_does_not_depend_on_the_number_of_known_fields() -> None:
    raw = raw_of(number="77", senderCF="", sdiId=None, dataRicezione="2026-05-01T10:00:00")
    known = b'{"doc_id":7,"number":"77","received":"2026-05-01T10:00:00"}'
    assert element(raw).fingerprint == hashlib.sha256(known).hexdigest()


@pytest.mark.parametrize("before", [b"", b"not JSON", b"[]", b"{}", b'{"id":8}', b"[" * 100_000])
def test_an_invalid_old_element_differs_from_every_element(before: bytes) -> None:
    assert not means_the_same(before, element(raw_of()))


def test_both_elements_are_read_in_the_service_s_time_zone() -> None:
    before, now = raw_of(dataRicezione="2026-05-01 10:00:00"), raw_of(dataRicezione="2026-05-01T10:00:00Z")
    in_utc = read_element(now, UTC)
    assert in_utc is not None
    assert means_the_same(before, in_utc, UTC)
    assert not means_the_same(before, element(now))
