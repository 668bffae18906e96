"""The program names a list field only in one table, and where it decides something by the field."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from easytracking_sync import terms
from easytracking_sync.list_fields import LIST_FIELDS, ListField

PACKAGE = Path(terms.__file__).parent

DECIDES = {
    "received": "windows, the order of documents, an export's folders",
    "document_date": "a filter, an export's folders",
    "document_type": "a filter, a column of the short list",
    "number": "a filter, a column of the short list",
    "sender_piva": "a filter, a column of the short list",
    "sender_cf": "a filter, a column of the short list",
    "receiver_piva": "a filter, an account's setting, news of arrivals",
    "receiver_cf": "a filter, an account's setting, news of arrivals",
    "sdi_id": "a line of a mail that delivers a document",
}
"""Fields by which something is decided, and what. Code that only shows or stores fields uses the table."""

ELSEWHERE = {
    "data": "the payload of a webhook; an Italian word",
    "number": "a word",
    "receiverPIVA": "a parameter of the list",
    "receiverCF": "a parameter of the list",
}
"""Names of the service's fields that also have another meaning."""


def words(path: Path) -> Iterator[str]:
    """All identifiers and string constants of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.keyword(arg=str(word)):
                yield word
            case ast.Constant(value=str(word)):
                yield word


NAMED = {
    path.relative_to(PACKAGE).as_posix(): frozenset(words(path))
    for path in PACKAGE.rglob("*.py")
    if path.name != "list_fields.py" and "invoices" not in path.relative_to(PACKAGE).parts
}
"""The words of each module, except `invoices`: an invoice's fields are not those of the list."""


@pytest.mark.parametrize("field", LIST_FIELDS, ids=lambda field: field.name)
def test_only_the_table_names_a_field_by_which_nothing_is_decided(field: ListField) -> None:
    names = {field.name} - DECIDES.keys() | {field.wire} - ELSEWHERE.keys()
    assert [file for file, found in NAMED.items() if found & names] == []


def test_every_exception_names_an_existing_field_that_is_used() -> None:
    assert {field.name for field in LIST_FIELDS} >= DECIDES.keys()
    assert set().union(*NAMED.values()) >= DECIDES.keys() | ELSEWHERE.keys()
