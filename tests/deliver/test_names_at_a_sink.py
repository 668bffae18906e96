"""Names from patterns: safe on Linux and on Windows shares, and never the same for two files."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deliver.consignments import INVOICE, LISTED, METADATA, consignment, file_of

from easytracking_sync.deliver.naming import DEFAULT, FIELDS, MOST_FILE_BYTES, Pattern, names
from easytracking_sync.deliver.sink import checked
from easytracking_sync.errors import UsageError
from easytracking_sync.list_fields import LIST_FIELDS, ListedFields
from easytracking_sync.safe_file_names import collision_key

EVERY_FIELD = "_".join(f"{{{name}}}" for name in FIELDS)


def fill(pattern: str, *, version: int = 1) -> str:
    return Pattern(pattern).fill(consignment(version=version), file_of(INVOICE))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (DEFAULT, "IT01234567890_00001.xml"),
        ("{receiver_piva}/{received:%Y-%m}/{stem}", "IT09876543210/2026-10/IT01234567890_00001.xml"),
        ("{number} of {sender_piva}", "12_A of IT01234567890.xml"),
        ("{doc_id:08}-{type}", "00004711-FA.xml"),
        ("{account}_{annual_progressive}", "acme_17.xml"),
        ("{sdi_id}", "unknown.xml"),
        ("{received}", "2026-10-31 08_05_09.xml"),
        ("con", "_con.xml"),
    ],
)
def test_examples(pattern: str, expected: str) -> None:
    assert fill(pattern) == expected


def test_every_field_of_the_list_can_be_used() -> None:
    assert {field.name for field in LIST_FIELDS if not field.verbatim} < set(FIELDS)
    assert fill(EVERY_FIELD).startswith("acme_4711_1_FA_")


def test_a_later_version_has_a_name_of_its_own() -> None:
    assert fill(DEFAULT, version=2) == "IT01234567890_00001~v2.xml"
    assert fill("{stem}-{version}", version=2) == "IT01234567890_00001-2.xml"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/x",
        "x/",
        "a//b",
        "../{stem}",
        "{nothing}",
        "{stem.upper}",
        "{stem[0]}",
        "{stem!r}",
        "{stem:>9999999}",
        "{received:%c}",
        "{doc_id:999}",
        "{stem",
        "{}",
        "{0}",
        "a/b/c/d/e",
        "{stem:{doc_id}}",
    ],
)
def test_a_pattern_that_cannot_be_used_is_explained(pattern: str) -> None:
    with pytest.raises(UsageError, match=re.escape(repr(pattern))):
        Pattern(pattern)


def test_files_of_one_document_and_the_names_at_the_sink_never_collide() -> None:
    used = {collision_key("x/12_a.xml"), collision_key("x/12_A~2.xml")}
    assert names(Pattern("X/{number}"), consignment(), used.__contains__) == (
        "X/12_A~3.xml",
        "X/12_A~4.xml",
        "X/12_A~3.xml.json",
    )


NASTY = st.one_of(st.text(max_size=300), st.text(st.sampled_from("aA.\\/: \x00\udc80èÈ㎏"), max_size=300))


@given(NASTY, NASTY, NASTY)
def test_whatever_the_fields_hold_the_names_are_safe_and_distinct(number: str, sender: str, name: str) -> None:
    listed = ListedFields(number=number, sender_piva=sender)
    given_files = (file_of(INVOICE, name), file_of(METADATA, name.upper(), "MT"), file_of(b"", name, "FI"))
    taken: set[str] = set()
    for version in (1, 1, 2):
        chosen = names(
            Pattern("{sender_piva}/{number}{stem}"),
            consignment(listed=listed, files=given_files, version=version),
            taken.__contains__,
        )
        keys = {collision_key(one) for one in chosen}
        assert len(keys) == len(given_files) + 1
        assert not keys & taken
        taken |= keys
        assert all(len(one.rpartition("/")[2].encode()) <= MOST_FILE_BYTES for one in chosen)
        for one in chosen[:-1]:
            assert checked(one, INVOICE, given_files[0].sha256) == one


def test_the_id_is_the_same_for_each_attempt_and_differs_by_sink_document_and_version() -> None:
    one = consignment()
    assert one.id == replace(one, listed=replace(LISTED, number="other")).id
    others = [replace(one, sink="b"), replace(one, account="b"), replace(one, doc_id=1), replace(one, version=2)]
    assert len({one.id, *(other.id for other in others)}) == 5
    assert re.fullmatch(r"dlv_[0-9a-f]{32}", one.id)
