"""No name from outside ever becomes a dangerous one on disk."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync import safe_file_names
from easytracking_sync.safe_file_names import MOST_BYTES, distinct_names, safe_name

NASTY = st.text(st.sampled_from("aB.\\/: \x00\x1b\u202e\udc80*é~㎏İﬀ_012nulCON"), max_size=40)
NAMES = st.one_of(st.text(), NASTY)


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("IT01234567890_00001.xml", "IT01234567890_00001.xml"),
        ("IT01234567890_00001.xml.p7m", "IT01234567890_00001.xml.p7m"),
        ("../../etc/passwd", "passwd"),
        ("/etc/cron.d/job", "job"),
        ("C:\\Windows\\system32\\x.dll", "x.dll"),
        ("..", "file"),
        ("", "file"),
        ("a/", "file"),
        (".bashrc", "bashrc"),
        ("name. . ", "name"),
        ("NUL", "_NUL"),
        ("con.xml", "_con.xml"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("a:b*c?.xml", "a_b_c_.xml"),
        ("a\x00b\x1b[31m\n.xml", "a_b_[31m_.xml"),
        ("gpj.\u202elmx", "gpj._lmx"),
        ("\udc80.xml", "_.xml"),
        ("e\u0301.xml", "\u00e9.xml"),
        ("x" * 300 + ".xml.p7m", "x" * (MOST_BYTES - 8) + ".xml.p7m"),
    ],
)
def test_examples(given_name: str, expected: str) -> None:
    assert safe_name(given_name) == expected


@given(NAMES)
def test_a_safe_name_is_one_plain_component(name: str) -> None:
    safe = safe_name(name)
    assert 1 <= len(safe.encode("utf-8")) <= MOST_BYTES
    assert not set(safe) & set('<>:"/\\|?*')
    assert safe.isprintable()
    assert safe == safe.strip(" .")
    assert safe.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert safe == unicodedata.normalize("NFC", safe)


@given(NAMES)
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    assert safe_name(safe_name(name)) == safe_name(name)


@given(st.lists(NAMES, max_size=12))
def test_distinct_names_are_safe_and_differ_even_without_case(names: list[str]) -> None:
    chosen = distinct_names(names)
    assert len(chosen) == len(names)
    assert len({name.casefold() for name in chosen}) == len(names)
    assert all(len(name.encode("utf-8")) <= MOST_BYTES and "/" not in name for name in chosen)


@given(st.lists(NAMES, max_size=8), NAMES)
def test_a_later_name_leaves_the_earlier_ones_alone(names: list[str], later: str) -> None:
    assert distinct_names([*names, later])[:-1] == distinct_names(names)


def test_the_same_name_in_other_case_gets_a_suffix_before_its_extension() -> None:
    assert distinct_names(["a.xml", "A.XML", "a~2.xml", "a.xml"]) == ["a.xml", "A~2.XML", "a~2~2.xml", "a~3.xml"]


def test_only_so_much_of_a_name_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalisation of 100,000 combining marks takes minutes, and no other thread runs meanwhile."""
    lengths: list[int] = []

    def normalize(form: Literal["NFC", "NFD"], text: str) -> str:
        lengths.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(safe_file_names, "normalize", normalize)
    assert safe_file_names.safe_name("a" + "\u0315\u0316" * 60_000 + ".xml").endswith(".xml")
    assert max(lengths) <= safe_file_names.MOST_READ_CHARS
