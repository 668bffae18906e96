"""A field of the list stands in one place of the program: whatever names it besides decides something by it."""

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
}
"""Fields that something is decided by, and what. What only shows or keeps a field takes it from the table."""

ELSEWHERE = {
    "number": "a word",
    "receiverPIVA": "a parameter of the list",
    "receiverCF": "a parameter of the list",
}
"""Names of the service's fields that mean something else, too."""


def words(path: Path) -> Iterator[str]:
    """Every identifier of a module, and every text that could be one."""
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
"""The words of each module. An invoice names its own fields, which are not those of the list."""


@pytest.mark.parametrize("field", LIST_FIELDS, ids=lambda field: field.name)
def test_a_field_is_named_in_its_table_alone_unless_something_is_decided_by_it(field: ListField) -> None:
    names = {field.name} - DECIDES.keys() | {field.wire} - ELSEWHERE.keys()
    assert [file for file, found in NAMED.items() if found & names] == []


def test_what_is_said_to_decide_something_is_a_field_that_is_named_somewhere() -> None:
    assert {field.name for field in LIST_FIELDS} >= DECIDES.keys()
    assert set().union(*NAMED.values()) >= DECIDES.keys() | ELSEWHERE.keys()
