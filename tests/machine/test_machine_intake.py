"""What a listing means, on values; and that races with other instances are harmless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.documents import ACCOUNT_ID, NOW

from easytracking_sync.errors import Outdated
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.machine.intake import MOST_TRIES, IntakeCounts, ReceivedList, differences, retry_while_outdated
from easytracking_sync.terms import DocumentState, KnownDocument, OnRelist

H = DocumentHappened
EARLIER = NOW - timedelta(hours=1)
SAME, OTHER = "a" * 64, "b" * 64


def element(doc_id: int = 1, fingerprint: str = SAME) -> ListedDocument:
    return ListedDocument(doc_id, b"{}", fingerprint)


def known(state: DocumentState, **values: Any) -> KnownDocument:
    made = KnownDocument(1, state, 1, SAME, held=False, acknowledged_at=EARLIER)
    return replace(made, **values)


def listing(*elements: ListedDocument, **how: Any) -> ReceivedList:
    given: dict[str, Any] = {"begun_at": NOW, "unmarked": True} | how
    return ReceivedList(ACCOUNT_ID, elements, **given)


def happens(listed: ReceivedList, one: KnownDocument) -> DocumentHappened | None:
    """What the listing of document 1 means."""
    found = differences(listed, {1: one}, {1: b"{}"})
    assert found.new == ()
    assert bool(found) == bool(found.happened)
    return found.happened[1][0] if found else None


UNCHANGED: Mapping[DocumentState, DocumentHappened | None] = {
    DocumentState.DISCOVERED: None,
    DocumentState.BATCHED: None,
    DocumentState.STORED: None,
    DocumentState.ACKNOWLEDGED: H.RELISTED,
    DocumentState.QUARANTINED: None,
    DocumentState.WITHDRAWN: H.RETURNED,
    DocumentState.ACCEPTED: None,
}


@pytest.mark.parametrize("state", DocumentState)
def test_an_unchanged_document_moves_only_if_acknowledged_or_withdrawn(state: DocumentState) -> None:
    assert happens(listing(element()), known(state)) is UNCHANGED[state]


@pytest.mark.parametrize("state", DocumentState)
def test_other_fields_are_a_change_whatever_the_state(state: DocumentState) -> None:
    assert happens(listing(element(fingerprint=OTHER)), known(state)) is H.CHANGED


@pytest.mark.parametrize(("state", "fingerprint"), list(product(DocumentState, (SAME, OTHER))))
def test_a_held_document_is_ignored_whatever_is_listed(state: DocumentState, fingerprint: str) -> None:
    assert happens(listing(element(fingerprint=fingerprint)), known(state, held=True)) is None


@pytest.mark.parametrize(
    ("how", "happened"),
    [
        ({}, H.RELISTED),
        ({"on_relist": OnRelist.REFETCH}, H.REFETCHED),
        ({"unmarked": False}, None),  # among the marked ones: so it shall be
        ({"acknowledges": False}, None),  # it was never told, and never will be
        ({"unmarked": False, "on_relist": OnRelist.REFETCH}, None),
    ],
)
def test_a_document_listed_again_as_unmarked_is_acknowledged_or_fetched_again(
    how: dict[str, Any], happened: DocumentHappened | None
) -> None:
    assert happens(listing(element(), **how), known(DocumentState.ACKNOWLEDGED)) is happened


@pytest.mark.parametrize(
    ("acknowledged_at", "is_relisted"),
    [
        (None, True),  # nobody has told the service so far
        (NOW - timedelta(seconds=1), True),
        (NOW, False),  # the listing may have begun before
        (NOW + timedelta(seconds=1), False),
        (NOW + timedelta(days=1), False),
        (NOW + timedelta(days=1, seconds=1), True),  # a clock far ahead noted it
    ],
)
def test_only_a_listing_begun_after_the_acknowledgement_counts(
    acknowledged_at: datetime | None, *, is_relisted: bool
) -> None:
    one = known(DocumentState.ACKNOWLEDGED, acknowledged_at=acknowledged_at)
    assert happens(listing(element()), one) is (H.RELISTED if is_relisted else None)


@given(listed=st.sets(st.integers(1, 40)), there=st.sets(st.integers(1, 40)))
def test_unknown_documents_are_new_and_unlisted_ones_are_ignored(listed: set[int], there: set[int]) -> None:
    archive = {doc_id: known(DocumentState.ACKNOWLEDGED, id=1000 + doc_id) for doc_id in there}
    found = differences(listing(*map(element, sorted(listed))), archive, {})
    assert {one.doc_id for one in found.new} == listed - there
    assert set(found.happened) == {1000 + doc_id for doc_id in listed & there}
    assert all(one.doc_id + 1000 == row_id for row_id, (_, _, one) in found.happened.items())


def test_counts_of_chunks_are_added() -> None:
    assert IntakeCounts(1, 2, 3, 4) + IntakeCounts(10, 20, 30, 40) == IntakeCounts(11, 22, 33, 44)


class Contested:
    """Something that others change `times` times before it can be done."""

    def __init__(self, times: int) -> None:
        self.times, self.tries = times, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.times:
            raise Outdated("somebody was faster")
        return "done"


@pytest.mark.parametrize("times", [0, 1, MOST_TRIES - 1])
def test_an_outdated_decision_is_repeated(times: int) -> None:
    contested = Contested(times)
    assert retry_while_outdated(contested) == "done"
    assert contested.tries == times + 1


def test_endless_outdated_decisions_are_reported_as_a_bug() -> None:
    contested = Contested(MOST_TRIES)
    with pytest.raises(Outdated):
        retry_while_outdated(contested)
    assert contested.tries == MOST_TRIES
