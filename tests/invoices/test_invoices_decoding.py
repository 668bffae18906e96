"""Bytes become text under a list of encodings; a DOCTYPE is refused in the text, whatever hid it in the bytes."""

from __future__ import annotations

import codecs

import pytest

from easytracking_sync.invoices.decoding import decode
from easytracking_sync.invoices.remarks import Flag
from easytracking_sync.invoices.unreadable import Reason, Unreadable

BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>'


def declared(name: str, text: str = "<a>perché</a>") -> str:
    return f'<?xml version="1.0" encoding="{name}"?>\n{text}'


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (declared("UTF-8").encode(), "utf-8"),
        ("<a>perché</a>".encode(), "utf-8"),
        (codecs.BOM_UTF8 + declared("UTF-8").encode(), "utf-8"),
        (declared("ISO-8859-1").encode("latin-1"), "iso-8859-1"),
        (declared("latin1").encode("latin-1"), "iso-8859-1"),
        (declared("ISO-8859-15").encode("iso-8859-15"), "iso-8859-15"),
        (declared("windows-1252").encode("cp1252"), "windows-1252"),
        (declared("UTF-16").encode("utf-16"), "utf-16-le"),
        (declared("UTF-16").encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF16_BE + declared("UTF-16").encode("utf-16-be"), "utf-16-be"),
    ],
)
def test_each_encoding_of_the_list_is_read_without_a_remark(data: bytes, encoding: str) -> None:
    found = decode(data)
    assert (found.text, found.encoding, found.flags) == ("<a>perché</a>", encoding, ())


@pytest.mark.parametrize(
    "data",
    [
        declared("windows-1252").encode("utf-8"),
        declared("ISO-8859-1").encode("utf-8"),
        declared("UTF-8").encode("cp1252"),
        codecs.BOM_UTF8 + declared("UTF-8").encode("cp1252"),
        declared("us-ascii").encode("cp1252"),
    ],
)
def test_a_wrong_declaration_is_corrected_and_remarked_on(data: bytes) -> None:
    """Bytes that are valid UTF-8 are UTF-8, whatever they say; what is declared UTF-8 and is not, is windows-1252."""
    found = decode(data)
    assert found.text == "<a>perché</a>"
    assert found.flags == () if b"us-ascii" in data and data.isascii() else (Flag.ENCODING,)


def test_the_euro_sign_of_windows_under_latin_1_is_a_euro_sign() -> None:
    found = decode(declared("ISO-8859-1", "<a>5 €</a>").encode("cp1252"))
    assert found.text == "<a>5 €</a>"
    assert found.flags == (Flag.ENCODING,)


@pytest.mark.parametrize("name", ["UTF-7", "utf-32", "EBCDIC-CP-BE", "koi8-r"])
def test_any_other_encoding_is_refused(name: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(declared(name, "<a/>").encode())
    assert caught.value.reason == Reason.ENCODING


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf_32_is_refused_with_and_without_a_mark(encoding: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode("<a/>".encode(encoding))
    assert caught.value.reason == Reason.ENCODING


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-16-le", "cp1252"])
def test_a_doctype_is_refused_in_every_encoding(encoding: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(BOMB.encode(encoding))
    assert caught.value.reason == Reason.DOCTYPE


def test_a_doctype_in_utf_7_never_reaches_the_parser() -> None:
    """A scan of the raw bytes did not see it, and libxml2 expanded its entity."""
    with pytest.raises(Unreadable) as caught:
        decode(declared("UTF-7", "").encode() + BOMB.encode("utf-7"))
    assert caught.value.reason == Reason.ENCODING


def test_control_characters_are_dropped_with_a_remark() -> None:
    found = decode(b"<a>one\x02two\x0b</a>\0\0")
    assert found.text == "<a>onetwo</a>"
    assert found.flags == (Flag.CONTROLS,)


def test_nul_after_the_end_is_padding_and_no_remark() -> None:
    assert decode(b"<a/>\0\0\0\n").flags == ()
