"""The list's answer: an invalid element or field affects nothing else."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.errors import ServiceUnavailable
from easytracking_sync.list_element import MOST_FIELD_TEXT
from easytracking_sync.list_fields import LIST_FIELDS, ListedDocument
from easytracking_sync.remote import read_document_list

WHOLE: dict[str, Any] = {
    "id": 4574622,
    "senderPIVA": "02005004003",
    "senderCF": "",
    "receiverPIVA": "0200777777",
    "receiverCF": "RSSMRA80A01F205X",
    "data": "2012-04-23",
    "number": "77/C",
    "documentType": "TD01",
    "sdiId": "1204005",
    "dataRicezione": "2012-05-01 09:09:02",
    "fileName": "IT01234567890_FPR02.xml.p7m",
    "progressivoAnnualeCaricamento": 24000001,
    "countryChannel": 0,
}


FIELDS = tuple(WHOLE)


def listing_of(*elements: str, total: str = "1") -> bytes:
    return b'{"invoices":[' + ",".join(elements).encode() + b'],"total":' + total.encode() + b"}"


def read_one(**changes: Any) -> ListedDocument:
    listing = read_document_list(listing_of(json.dumps(WHOLE | changes)))
    assert not listing.unreadable
    return listing.documents[0]


def test_all_thirteen_fields_are_read() -> None:
    document = read_one()
    assert document.doc_id == 4574622
    assert (document.sender_piva, document.sender_cf) == ("02005004003", "")
    assert (document.receiver_piva, document.receiver_cf) == ("0200777777", "RSSMRA80A01F205X")
    assert (document.document_date, document.number, document.document_type) == (date(2012, 4, 23), "77/C", "TD01")
    assert (document.sdi_id, document.file_name) == ("1204005", "IT01234567890_FPR02.xml.p7m")
    assert document.received == datetime(2012, 5, 1, 9, 9, 2)  # noqa: DTZ001 - naive local, as the service gives it
    assert document.received_text == "2012-05-01 09:09:02"
    assert (document.annual_progressive, document.country_channel) == (24000001, 0)


def test_the_program_knows_the_thirteen_fields_of_the_vendors_document() -> None:
    assert {"id", *(field.wire for field in LIST_FIELDS)} == set(FIELDS)


def test_raw_holds_the_element_unchanged() -> None:
    element = '{ "id" : 7,\n "sconosciuto": [1, {"è": null}] }'
    assert read_document_list(listing_of(element)).documents[0].raw == element.encode()


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "id"])
@pytest.mark.parametrize(
    "odd",
    [
        "null",
        "true",
        "[[[{}]]]",
        '{"a":1}',
        "1.5",
        "-1e400",
        "9" * 5000,
        "9" * 30,
        "NaN",
        '"\\u0000"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '""',
        '"' + "x" * 5000 + '"',
    ],
    ids=lambda odd: odd[:12],
)
def test_an_invalid_field_affects_only_itself(field: str, odd: str) -> None:
    element = json.dumps({name: value for name, value in WHOLE.items() if name != field})[:-1] + f',"{field}":{odd}}}'
    listing = read_document_list(listing_of(element, json.dumps(WHOLE | {"id": 8})))
    spoiled, good = listing.documents
    sound = read_one()
    assert good.number == "77/C"
    assert spoiled.raw == element.encode()
    changed = [name for name in ListedDocument.__dataclass_fields__ if getattr(spoiled, name) != getattr(sound, name)]
    assert len(set(changed) - {"raw", "fingerprint", "received_text"}) <= 1
    texts = [getattr(spoiled, name) for name in ListedDocument.__dataclass_fields__ if name != "raw"]
    for text in texts:
        if isinstance(text, str):
            text.encode()
            assert "\0" not in text
            assert len(text) <= MOST_FIELD_TEXT


def test_invalid_utf8_affects_only_its_characters() -> None:
    body = listing_of('{"id":1,"number":"caff?","fileName":"a.xml"}').replace(b"?", b"\xe8")
    (document,) = read_document_list(body).documents
    assert (document.number, document.file_name) == ("caff\ufffd", "a.xml")
    assert document.raw == b'{"id":1,"number":"caff\xe8","fileName":"a.xml"}'


@pytest.mark.parametrize("doc_id", ["null", "0", "-1", "1.5", "true", '"x"', "[1]", str(2**63), '"٣"', "9" * 5000])
def test_an_element_without_a_usable_id_is_unreadable(doc_id: str) -> None:
    element = f'{{"id":{doc_id},"number":"1"}}'
    listing = read_document_list(listing_of('{"id":5}', element, "17", "{}"))
    assert [document.doc_id for document in listing.documents] == [5]
    assert listing.unreadable == (element.encode(), b"17", b"{}")


@pytest.mark.parametrize(
    ("doc_id", "read"), [('"123"', 123), ('" 7 "', 7), (str(2**63 - 1), 2**63 - 1), ("7.0", 7), ('"7.00"', 7)]
)
def test_an_id_may_be_text_of_digits_or_have_zero_decimals(doc_id: str, read: int) -> None:
    assert read_document_list(listing_of(f'{{"id":{doc_id}}}')).documents[0].doc_id == read


def test_a_document_listed_twice_is_kept_once_and_the_last_counts() -> None:
    listing = read_document_list(listing_of('{"id":1,"number":"a"}', '{"id":2}', '{"id":1,"number":"b"}'))
    assert [(document.doc_id, document.number) for document in listing.documents] == [(1, "b"), (2, None)]


def test_a_json_number_is_accepted_as_text_for_number_and_sdi_id() -> None:
    document = read_one(number=77, sdiId=1204005)
    assert (document.number, document.sdi_id) == ("77", "1204005")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2012-04-23", date(2012, 4, 23)),
        ("2012-04-23T00:00:00", date(2012, 4, 23)),
        ("2012-04-23 00:00:00.000+02:00", date(2012, 4, 23)),
        ("2012-02-30", None),
        ("23/04/2012", None),
        ("2012-04-231", None),
        ("", None),
    ],
)
def test_document_dates_are_read_leniently(given: str, read: date | None) -> None:
    assert read_one(data=given).document_date == read


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2012-05-01 09:09:02", "2012-05-01T09:09:02"),
        ("2012-05-01T09:09:02", "2012-05-01T09:09:02"),
        ("2012-05-01T09:09:02.1234567", "2012-05-01T09:09:02"),
        ("2012-05-01 09:09", "2012-05-01T09:09:00"),
        ("2012-05-01T07:09:02Z", "2012-05-01T09:09:02"),
        ("2012-05-01T09:09:02+02:00", "2012-05-01T09:09:02"),
        ("2012-01-01T08:09:02.5z", "2012-01-01T09:09:02"),
        ("0001-01-01T00:00:00+14:00", None),
        ("2012-05-01 25:00:00", None),
        ("2012-05-01", None),
        ("ieri", None),
    ],
)
def test_a_reception_time_with_a_zone_is_converted_to_local_time_and_kept_as_text(
    given: str, read: str | None
) -> None:
    document = read_one(dataRicezione=given)
    assert document.received == (datetime.fromisoformat(read) if read else None)
    assert document.received_text == given


def test_the_fingerprint_covers_exactly_the_thirteen_values() -> None:
    shuffled = json.dumps(dict(reversed(WHOLE.items())) | {"nuovo": 1}, indent=3, ensure_ascii=False)
    assert read_document_list(listing_of(shuffled)).documents[0].fingerprint == read_one().fingerprint
    prints = {read_one(**{name: "altro"}).fingerprint for name in FIELDS if name != "id"}
    assert len(prints | {read_one().fingerprint, read_one(id=1).fingerprint}) == len(FIELDS) + 1


def test_the_fingerprint_does_not_depend_on_how_the_list_is_parsed() -> None:
    """The slow parser gives the same fingerprint as the fast one."""
    odd = json.dumps(WHOLE)[:-1] + ',"nuovo":"\\ud800"}'
    assert read_document_list(listing_of(odd)).documents[0].fingerprint == read_one().fingerprint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Manutenzione</body></html>",
        b"null",
        b"[]",
        b"{}",
        b'{"total":3}',
        b'{"invoices":{}}',
        b'{"invoices":null,"total":3}',
        b'{"invoices":[]} {"invoices":[]}',
        b'{"invoices":[{"id":1},',
        b"\xff\xfe{",
        b'{"invoices":' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_an_incomplete_list_raises_service_unavailable(body: bytes) -> None:
    with pytest.raises(ServiceUnavailable):
        read_document_list(body)


@pytest.mark.parametrize("body", [b'{"invoices":[],"total":0}', b'{"invoices":null,"total":0}'])
def test_an_empty_list_is_accepted(body: bytes) -> None:
    assert read_document_list(b"\xef\xbb\xbf" + body).documents == ()


@pytest.mark.parametrize(("total", "read"), [("3", 3), ('"3"', 3), ("null", None), ("{}", None), ('"\\ud800"', None)])
def test_an_invalid_total_is_ignored(total: str, read: int | None) -> None:
    listing = read_document_list(listing_of('{"id":1}', total=total))
    assert (listing.total, len(listing.documents)) == (read, 1)


def test_a_list_truncated_at_any_byte_is_refused() -> None:
    whole = listing_of(json.dumps(WHOLE), '{"id":2,"number":"\\ud800"}')
    for length in range(len(whole)):
        with pytest.raises(ServiceUnavailable):
            read_document_list(whole[:length])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


ELEMENTS = st.fixed_dictionaries({"id": JSON_VALUES}, optional=dict.fromkeys(FIELDS[1:], JSON_VALUES))


@given(st.lists(JSON_VALUES | ELEMENTS))
def test_any_element_is_either_listed_or_unreadable(elements: list[Any]) -> None:
    texts = [json.dumps(element) for element in elements]
    listing = read_document_list(listing_of(*texts))
    kept = {document.raw.decode() for document in listing.documents} | {raw.decode() for raw in listing.unreadable}
    assert kept <= set(texts)
    assert len(listing.documents) + len(listing.unreadable) <= len(texts)
    assert {text for text in texts if text not in kept} <= {text for text in texts if '"id"' in text}
