"""Envelopes are opened by what the bytes are, and what is damaged is salvaged, with a remark."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from tests.invoices.written import (
    ORDINARY,
    SIGNED_DATA,
    detached_envelope,
    element,
    pem,
    segmented_envelope,
    unsigned_envelope,
)

from easytracking_sync.invoices.ber import bounded
from easytracking_sync.invoices.envelope import Damaged, Opened, begins_like_xml, open_all, salvaged
from easytracking_sync.invoices.limits import MOST_BER_ELEMENTS, MOST_FILE_BYTES, MOST_LAYERS
from easytracking_sync.invoices.unreadable import Reason, Unreadable

XML = ORDINARY.encode()


def opened(data: bytes) -> Opened:
    found = open_all(data)
    assert isinstance(found, Opened)
    return found


@pytest.mark.parametrize("wrap", [unsigned_envelope, segmented_envelope], ids=["DER", "BER"])
def test_a_signed_envelope_gives_its_content_byte_for_byte(wrap: object) -> None:
    assert callable(wrap)
    found = opened(wrap(XML))
    assert found.content == XML
    assert len(found.signed) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_base64_is_undone_once_or_twice(times: int) -> None:
    """Portals save the binary as base64 under the same name; twice happens too."""
    data = unsigned_envelope(XML)
    for _ in range(times):
        data = base64.encodebytes(data)
    found = opened(data)
    assert (found.content, found.base64_layers) == (XML, times)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b" \t\n "),
        lambda text: text.rstrip().rstrip(b"="),
        lambda text: b"\n\n" + text,
    ],
    ids=["CRLF", "blanks inside", "padding lost", "blank lines first"],
)
def test_base64_with_odd_white_space_or_padding_is_undone(spoilt: object) -> None:
    assert callable(spoilt)
    assert opened(spoilt(base64.encodebytes(unsigned_envelope(XML)))).content == XML


def test_pem_is_undone() -> None:
    assert opened(pem(unsigned_envelope(XML))).content == XML


def test_an_envelope_in_an_envelope_is_opened_and_both_are_kept() -> None:
    """Two people signed, one after the other."""
    inner = unsigned_envelope(XML)
    outer = segmented_envelope(inner)
    found = opened(outer)
    assert found.content == XML
    assert found.signed == (outer, inner)


def test_plain_xml_is_its_own_content() -> None:
    assert opened(XML) == Opened(XML, (), 0)


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n ", b"\0\0", b"\xff\xfe"])
def test_marks_and_white_space_before_xml_do_not_hide_it(before: bytes) -> None:
    assert begins_like_xml(before + b"<a/>")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n\0", Reason.EMPTY),
        (b"PK\x03\x04 and so on", Reason.ARCHIVE),
    ],
)
def test_what_is_no_envelope_is_refused_with_its_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(Unreadable) as caught:
        open_all(data)
    assert caught.value.reason == reason


def test_a_file_that_is_too_large_is_not_looked_into() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return MOST_FILE_BYTES + 1

    with pytest.raises(Unreadable) as caught:
        open_all(Huge(b"<a/>"))
    assert caught.value.reason == Reason.TOO_LARGE


def test_envelopes_without_end_are_refused() -> None:
    data = XML
    for _ in range(MOST_LAYERS):
        data = unsigned_envelope(data)
    assert opened(data).content == XML
    with pytest.raises(Unreadable) as caught:
        open_all(unsigned_envelope(data))
    assert caught.value.reason == Reason.TOO_MANY_LAYERS


@pytest.mark.parametrize(
    "data",
    [
        segmented_envelope(b"x" * (MOST_BER_ELEMENTS + 1), segment=1),
        b"\x30\x80" + SIGNED_DATA + b"\xa0\x80" * 100_000,
        element(0x30, SIGNED_DATA, element(0xA0, element(0x30, b"\x05\x00" * MOST_BER_ELEMENTS))),
    ],
    ids=["segments", "deep", "elements"],
)
def test_an_envelope_of_too_many_parts_is_not_taken_apart(data: bytes) -> None:
    """One-byte segments of a 5 MB file kept the library busy for half a minute."""
    found = open_all(data)
    assert isinstance(found, Damaged)
    assert found.error.reason is Reason.TOO_DEEP


@pytest.mark.parametrize("cut", [1, 2, 5, 14, 20, 60, 400])
@pytest.mark.parametrize("wrap", [unsigned_envelope, segmented_envelope], ids=["DER", "BER"])
def test_an_envelope_that_ends_too_soon_is_damaged(wrap: Callable[[bytes], bytes], cut: int) -> None:
    whole = wrap(XML)
    assert bounded(whole + b"anything") == whole + b"anything"
    with pytest.raises(Unreadable):
        bounded(whole[:-cut])


def test_a_signature_without_content_says_so() -> None:
    found = open_all(detached_envelope())
    assert isinstance(found, Damaged)
    assert found.error.reason == Reason.DETACHED
    assert list(salvaged(found.rest)) == []


def test_an_envelope_that_was_cut_is_salvaged() -> None:
    damaged = segmented_envelope(XML)[:-12]
    found = open_all(damaged)
    assert isinstance(found, Damaged)
    assert next(salvaged(found.rest)) == (XML.rstrip(), False)


def test_the_headers_of_segments_do_not_stay_in_salvaged_text() -> None:
    for segment in (100, 127, 128, 255, 256, 1000, 1028):
        found = open_all(segmented_envelope(XML, segment)[:-9])
        assert isinstance(found, Damaged)
        assert next(salvaged(found.rest)) == (XML.rstrip(), False), segment


def test_an_envelope_saved_as_text_in_another_encoding_is_salvaged() -> None:
    plain = XML.replace("é".encode(), b"e")
    as_text = segmented_envelope(plain, 1000)
    saved = "".join(
        chr(byte) if byte in {0x81, 0x8D, 0x8F, 0x90, 0x9D} else bytes([byte]).decode("cp1252") for byte in as_text
    ).encode("utf-8")
    found = open_all(saved)
    assert isinstance(found, Damaged)
    assert list(salvaged(found.rest))[-1] == (plain.rstrip(), True)


def test_text_that_only_looks_like_base64_is_nothing() -> None:
    found = open_all(b"Thequickbrownfoxjumpsoverthelazydog\n")
    assert isinstance(found, Damaged)
    assert found.error.reason == Reason.UNKNOWN_FORMAT
