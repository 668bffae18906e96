"""The document's table, written down a second time and compared pair by pair; and properties of any sequence."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.documents import NOW, WAITING, document

from easytracking_sync.machine.document import (
    DocumentEvent,
    DocumentHappened,
    InvalidDocumentChange,
    change,
    moved,
)
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Document, DocumentState

POLICY = Policy()
EARLIER, LATER = NOW - timedelta(days=3), NOW + timedelta(hours=1)
DAY = timedelta(days=1)

POOL, BATCHED, STORED, HOME, QUARANTINED, GONE, CLOSED = DocumentState
H = DocumentHappened

# What a document had been through before, and what each event carries.
PAST: dict[str, Any] = {
    "version": 4, "wanted_at": EARLIER, "attempts": 2, "asks": 1, "suspect": True, "alone": True, "held": False,
    "missing_types": ("MT",), "reason": "earlier", "failed_at": EARLIER, "stored_at": EARLIER,
    "acknowledged_at": EARLIER,
}  # fmt: skip
CARRIES: dict[str, Any] = {"reason": "because", "missing": ("FU",), "version": 4, "not_before": LATER}

BLANK: dict[str, Any] = {"attempts": 0, "asks": 0, "suspect": False, "alone": False, "reason": None}
NEWER: dict[str, Any] = {"version": 5, "wanted_at": NOW}
ANEW: dict[str, Any] = {**BLANK, **NEWER, "state": POOL, "next_attempt_at": NOW}
TAKEN: dict[str, Any] = {"state": BATCHED, "next_attempt_at": None}
ACCEPTED: dict[str, Any] = {"state": CLOSED, "next_attempt_at": None, "reason": "because"}
FAILED: dict[str, Any] = {
    "state": POOL, "attempts": 3, "suspect": True, "failed_at": NOW, "reason": "because", "next_attempt_at": LATER,
}  # fmt: skip
NO_MORE_REFUSED = {"unacknowledgeable": False}

# (state, event) → all that changes.
DESIGN: dict[tuple[DocumentState, DocumentHappened], dict[str, Any]] = {
    (POOL, H.BATCHED): TAKEN,
    (POOL, H.PARDONED): {"attempts": 0, "next_attempt_at": LATER},
    (POOL, H.CHANGED): NEWER,
    (POOL, H.WITHDRAWN): {"state": GONE, "next_attempt_at": None},
    (BATCHED, H.STORED): {**BLANK, "state": STORED, "stored_at": NOW, "missing_types": ("FU",)},
    (BATCHED, H.ASKED_AGAIN): {
        "state": POOL, "asks": 2, "reason": "because", "next_attempt_at": NOW + timedelta(seconds=1),
    },
    (BATCHED, H.SET_APART): {"state": POOL, "alone": True, "reason": "because", "next_attempt_at": NOW},
    (BATCHED, H.FAILED): FAILED,
    (BATCHED, H.RECALLED): {"state": POOL, "next_attempt_at": LATER},
    (BATCHED, H.CHANGED): NEWER,
    (STORED, H.ACKNOWLEDGED): {"state": HOME, "acknowledged_at": NOW, "reason": None, **NO_MORE_REFUSED},
    (STORED, H.REFUSED): {"unacknowledgeable": True, "reason": "because", "failed_at": NOW},
    (STORED, H.DAMAGED): {**TAKEN, **NO_MORE_REFUSED},
    (STORED, H.FAILED): {**FAILED, **NO_MORE_REFUSED},
    (STORED, H.ACCEPTED): {**ACCEPTED, **NO_MORE_REFUSED},
    (STORED, H.CHANGED): NEWER,
    (HOME, H.RELISTED): {"state": STORED},
    (HOME, H.REFETCHED): ANEW,
    (HOME, H.CHANGED): ANEW,
    (HOME, H.ROTTEN): ANEW,
    (HOME, H.BARE): ANEW,
    (QUARANTINED, H.BATCHED): TAKEN,
    (QUARANTINED, H.RETRIED): {"next_attempt_at": NOW},
    (QUARANTINED, H.ACCEPTED): ACCEPTED,
    (QUARANTINED, H.CHANGED): ANEW,
    (QUARANTINED, H.WITHDRAWN): {"state": GONE, "next_attempt_at": None},
    (GONE, H.RETURNED): ANEW,
    (GONE, H.CHANGED): ANEW,
    (CLOSED, H.CHANGED): NEWER,
    **{(state, H.HELD): {"held": True} for state in DocumentState},
    **{(state, H.RELEASED): {"held": False} for state in DocumentState},
}  # fmt: skip
OUTSIDE = [pair for pair in product(DocumentState, DocumentHappened) if pair not in DESIGN]


def before(state: DocumentState, **values: Any) -> Document:
    """A document in this state with a history; it is due tomorrow if it waits."""
    past = {**PAST, "unacknowledgeable": state is STORED, "next_attempt_at": NOW + DAY if state in WAITING else None}
    return document(1, state, **(past | values))


def event(happened: DocumentHappened, **values: Any) -> DocumentEvent:
    return DocumentEvent(happened, **(CARRIES | values))


@pytest.mark.parametrize(("state", "happened"), DESIGN)
def test_every_pair_of_the_table_changes_what_the_design_says_and_nothing_else(
    state: DocumentState, happened: DocumentHappened
) -> None:
    """MONOTONE-STATE."""
    one = before(state)
    assert change(one, event(happened), NOW, POLICY) == replace(one, **DESIGN[state, happened])


@pytest.mark.parametrize(("state", "happened"), OUTSIDE)
def test_any_other_pair_is_an_error(state: DocumentState, happened: DocumentHappened) -> None:
    """A pair outside the table is a bug; the error names document, state and event."""
    with pytest.raises(InvalidDocumentChange, match=rf"document 1: {happened} cannot happen in {state}"):
        change(before(state), event(happened), NOW, POLICY)


def test_nothing_is_left_out() -> None:
    assert len(OUTSIDE) == len(DocumentState) * len(DocumentHappened) - len(DESIGN)
    assert {happened for _, happened in DESIGN} == set(DocumentHappened)
    assert {state for state, _ in DESIGN} == set(DocumentState)


@pytest.mark.parametrize(("state", "attempts"), list(product((BATCHED, STORED), range(POLICY.max_attempts + 2))))
def test_a_document_that_failed_too_often_goes_to_quarantine(state: DocumentState, attempts: int) -> None:
    """There it is retried daily; before, after growing pauses."""
    after = change(before(state, attempts=attempts), event(H.FAILED, not_before=None), NOW, POLICY)
    gave_up = attempts + 1 >= POLICY.max_attempts
    assert (after.state, after.attempts) == (QUARANTINED if gave_up else POOL, attempts + 1)
    assert after.next_attempt_at == NOW + (DAY if gave_up else timedelta(seconds=POLICY.backoff(attempts + 1)))


def test_a_failure_of_the_account_counts_no_attempt() -> None:
    """The account lost its permission: not even the last attempt ends in quarantine."""
    last = before(BATCHED, attempts=POLICY.max_attempts - 1)
    after = change(last, event(H.FAILED, counts=False), NOW, POLICY)
    assert (after.state, after.attempts, after.next_attempt_at) == (POOL, POLICY.max_attempts - 1, LATER)


@pytest.mark.parametrize("newer", [0, 1, 3])
def test_a_newer_version_than_the_stored_one_is_fetched_again(newer: int) -> None:
    """NO-LOSS: it is not acknowledged before the newest version is stored."""
    one = before(STORED, version=4 + newer)
    move = moved(one, event(H.ACKNOWLEDGED), NOW, POLICY)
    after = move.after
    assert move.name == ("document.overtaken" if newer else "document.acknowledged"), "deliveries read it"
    if newer:
        assert (after.state, after.next_attempt_at, after.acknowledged_at) == (POOL, NOW, EARLIER)
    else:
        assert (after.state, after.next_attempt_at, after.acknowledged_at) == (HOME, None, NOW)


def test_without_acknowledgement_no_acknowledged_at_is_set() -> None:
    assert change(before(STORED), event(H.ACKNOWLEDGED, told=False), NOW, POLICY).acknowledged_at is None


@pytest.mark.parametrize("suspect", [False, True])
def test_documents_recalled_from_half_of_a_refused_batch_are_suspects(suspect: bool) -> None:  # noqa: FBT001  pytest's
    """NO-POISON: any document of that half may be the refused one; it counts no attempt."""
    one = before(BATCHED, suspect=False)
    after = change(one, event(H.RECALLED, suspect=suspect), NOW, POLICY)
    assert (after.suspect, after.failed_at, after.attempts) == (suspect, NOW if suspect else EARLIER, 2)


@pytest.mark.parametrize("happened", [H.PARDONED, H.RECALLED, H.FAILED])
def test_a_pause_that_is_over_makes_nothing_due_before_now(happened: DocumentHappened) -> None:
    state = POOL if happened is H.PARDONED else BATCHED
    for not_before in (None, EARLIER):
        after = change(before(state), event(happened, not_before=not_before), NOW, POLICY)
        assert after.next_attempt_at is not None
        assert after.next_attempt_at >= NOW


@pytest.mark.parametrize(("state", "happened"), DESIGN)
def test_the_journal_names_what_happened(state: DocumentState, happened: DocumentHappened) -> None:
    """Quarantine, storing again and overtaking have their own names."""
    for attempts in (2, POLICY.max_attempts - 1):
        move = moved(before(state, attempts=attempts), event(happened), NOW, POLICY, 9)
        name = f"document.{happened}"
        if happened is H.STORED:
            name = "document.stored_again"
        elif happened is H.FAILED and attempts > 2:
            name = "document.quarantined"
        counted = {"attempts": attempts + 1} if happened is H.FAILED else {}
        assert (move.name, move.batch_id) == (name, 9)
        assert move.detail == {"reason": "because", "missing": "FU", **counted}


def test_a_document_stored_for_the_first_time_has_its_own_event() -> None:
    """The news and the deliveries read it."""
    first = moved(before(BATCHED, stored_at=None), DocumentEvent(H.STORED), NOW, POLICY)
    assert (first.name, dict(first.detail)) == ("document.stored", {})


def expect_sound(one: Document) -> None:
    assert (one.next_attempt_at is not None) == (one.state in WAITING), one
    assert not one.unacknowledgeable or one.state is STORED, one


EVENTS = st.builds(
    DocumentEvent,
    st.sampled_from(DocumentHappened),
    reason=st.sampled_from(["", "because"]),
    missing=st.sampled_from([(), ("FU", "MT")]),
    version=st.none() | st.integers(1, 6),
    told=st.booleans(),
    counts=st.booleans(),
    suspect=st.booleans(),
    not_before=st.none() | st.integers(-10, 10).map(lambda hours: NOW + timedelta(hours=hours)),
)
HAPPENS_IN = {state: [happened for one, happened in DESIGN if one is state] for state in DocumentState}
UNCHANGEABLE = ("id", "account_id", "doc_id")


@given(data=st.data(), jitter=st.floats(0, 1, exclude_max=True), length=st.integers(1, 40))
def test_after_any_events_a_document_is_consistent(data: st.DataObject, jitter: float, length: int) -> None:
    """It waits only in the pool and in quarantine, never since before now, and its version never falls.

    The same question has the same answer.
    """
    state = data.draw(st.sampled_from(DocumentState))
    one, policy = (
        before(state, unacknowledgeable=state is STORED and data.draw(st.booleans())),
        replace(POLICY, jitter=jitter),
    )
    for step in range(length):
        now = NOW + timedelta(minutes=step)
        happened = data.draw(st.sampled_from(HAPPENS_IN[one.state]))
        what = replace(data.draw(EVENTS), happened=happened)
        after = change(one, what, now, policy)
        assert after == change(one, what, now, policy)
        expect_sound(after)
        assert after.version >= one.version
        assert after.version - one.version in (0, 1)
        assert after.wanted_at == (now if after.version > one.version else one.wanted_at)
        if after.next_attempt_at is not None and after.next_attempt_at != one.next_attempt_at:
            assert after.next_attempt_at >= now
        assert all(getattr(after, name) == getattr(one, name) for name in UNCHANGEABLE)
        one = after


@given(data=st.data())
def test_only_an_operator_holds_and_releases_a_document(data: st.DataObject) -> None:
    pair = data.draw(st.sampled_from(sorted(DESIGN)))
    held = data.draw(st.booleans())
    after = change(before(pair[0], held=held), replace(data.draw(EVENTS), happened=pair[1]), NOW, POLICY)
    assert after.held == {H.HELD: True, H.RELEASED: False}.get(pair[1], held)


def test_the_test_documents_differ_from_the_default_in_every_field() -> None:
    """Otherwise a change back to the default would not show."""
    fresh, one = document(), before(STORED)
    same = {field.name for field in fields(Document) if getattr(fresh, field.name) == getattr(one, field.name)}
    assert same == {*UNCHANGEABLE, "held"}
