"""From an event to everything that changes: documents always match the state of their batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.documents import ACCOUNT_ID, NOW, batch, claim, document

from easytracking_sync.machine.batch import TABLE, BatchEvent, BatchHappened
from easytracking_sync.machine.decision import Outcome, Permission, concerns_permission, decide
from easytracking_sync.machine.document import DocumentEvent, DocumentHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.verdict import Verdict
from easytracking_sync.terms import (
    LIVE_STATES,
    BatchState,
    CarriedDocument,
    Claim,
    DocumentState,
    KnownFile,
    ParcelFile,
    PauseReason,
    PauseStatus,
    Purpose,
)
from easytracking_sync.transition import SeenFile, Transition

POLICY = Policy()
P, R, F, S = LIVE_STATES
H, D = BatchHappened, DocumentHappened
HOUR = NOW + timedelta(hours=1)
PAIRS = list(TABLE)
VERDICTS = (D.STORED, D.ASKED_AGAIN, D.SET_APART, D.FAILED)


def event(happened: BatchHappened, stored: int = 0) -> BatchEvent:
    return BatchEvent(happened, "because", job_id="job", parcel="parcel", stored=stored)


def judged(one: Claim, happened: Sequence[DocumentHappened]) -> tuple[Verdict, ...]:
    return tuple(Verdict(each, DocumentEvent(what)) for each, what in zip(one.documents, happened, strict=True))


def outcome(one: Claim, happened: BatchHappened, documents: Sequence[DocumentHappened] = ()) -> Outcome:
    """What an effect came back with; where it is for verdicts to say, these are the documents'."""
    if happened is H.DOCUMENTS_STORED:
        documents = documents or [D.STORED] * len(one.documents)
    elif happened is H.NOTHING_USABLE:
        documents = documents or [D.FAILED] * len(one.documents)
    else:
        documents = ()
    verdicts = judged(one, documents) if documents else ()
    return Outcome(event(happened, sum(verdict.is_stored for verdict in verdicts)), verdicts)


def expect_fitting(one: Claim, transition: Transition, others: Sequence[Claim] = ()) -> None:
    """The checker's rule: each live batch carries documents in its own state, and they are carried by it alone."""
    states = {each.document_id: each.document.state for c in (one, *others) for each in c.documents}
    states |= {move.after.id: move.after.state for move in transition.documents}
    moves = {move.before.id: move for move in transition.batches}
    live: list[tuple[BatchState, tuple[int, ...], int]] = [
        (new.state, tuple(new.versions), len(new.versions)) for new in transition.new_batches
    ]
    for c in (one, *others):
        move = moves.get(c.batch.id)
        after = c.batch if move is None else move.after
        leaving = () if move is None else move.leaving
        assert set(leaving) <= set(c.document_ids)
        if after.state in LIVE_STATES:
            carried = tuple(row_id for row_id in c.document_ids if row_id not in leaving)
            live.append((after.state, carried, after.size))
    for state, carried, size in live:
        fitting = DocumentState.STORED if state is S else DocumentState.BATCHED
        assert {states[row_id] for row_id in carried} == {fitting}, state
        assert len(carried) == size
    carriers = Counter(row_id for _, carried, _ in live for row_id in carried)
    assert set(carriers.values()) <= {1}, "a document is carried twice"
    on_their_way = {
        row_id for row_id, state in states.items() if state in (DocumentState.BATCHED, DocumentState.STORED)
    }
    assert on_their_way == set(carriers), "a document on its way is carried by no batch"


@pytest.mark.parametrize(("state", "happened"), PAIRS)
@pytest.mark.parametrize("losses", [0, POLICY.most_losses - 1])
def test_after_any_event_documents_match_their_batch(state: BatchState, happened: BatchHappened, losses: int) -> None:
    """MONOTONE-STATE, NO-LOSS: every pair of the batch's table, for every size."""
    for size in range(1, 101):
        one = claim(state, size, losses=losses)
        expect_fitting(one, decide(one, outcome(one, happened), NOW, POLICY))


@given(happened=st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=100))
def test_whatever_a_parcel_contains_documents_match_their_batch(happened: list[DocumentHappened]) -> None:
    usable = D.STORED in happened
    one = claim(F, len(happened))
    transition = decide(one, outcome(one, H.DOCUMENTS_STORED if usable else H.NOTHING_USABLE, happened), NOW, POLICY)
    expect_fitting(one, transition)
    assert transition.batches[0].after.state is (S if usable else BatchState.ABANDONED)
    stored = {move.after.id for move in transition.documents if move.after.state is DocumentState.STORED}
    assert set(one.document_ids) - set(transition.batches[0].leaving) == stored


@given(size=st.integers(1, 100), newer=st.sets(st.integers(1, 100)))
def test_documents_with_a_newer_version_are_fetched_again_after_the_acknowledgement(
    size: int, newer: set[int]
) -> None:
    """NO-LOSS: each is compared with the version that the batch was reserved for."""
    known = claim(S, size)
    documents = tuple(
        replace(each, document=replace(each.document, version=2)) if each.document_id in newer else each
        for each in known.documents
    )
    one = replace(known, documents=documents)
    transition = decide(one, outcome(one, H.ACCEPTED), NOW, POLICY)
    around = {move.after.id for move in transition.documents if move.after.state is DocumentState.DISCOVERED}
    assert around == newer & set(one.document_ids)
    expect_fitting(one, transition)


@given(size=st.integers(2, 100), state=st.sampled_from([P, S]), newer=st.booleans())
def test_two_halves_have_every_document_once_with_its_version(
    size: int,
    state: BatchState,
    newer: bool,  # noqa: FBT001  hypothesis'
) -> None:
    whole = claim(state, size, root_id=2, purpose=Purpose.SUSPECT)
    if newer:
        documents = (replace(each, document=replace(each.document, version=9)) for each in whole.documents)
        whole = replace(whole, documents=tuple(documents))
    transition = decide(whole, outcome(whole, H.REFUSED), NOW, POLICY)
    first, second = transition.new_batches
    assert (*first.versions, *second.versions) == whole.document_ids
    assert len(first.versions) - len(second.versions) in (0, 1)
    assert {*first.versions.values(), *second.versions.values()} == {1}
    assert {(half.state, half.purpose, half.root_id) for half in (first, second)} == {(state, Purpose.SUSPECT, 2)}


@pytest.mark.parametrize(("state", "happened"), PAIRS)
@pytest.mark.parametrize("size", [1, 2])
def test_permission_is_read_exactly_where_a_decision_needs_it(
    state: BatchState, happened: BatchHappened, size: int
) -> None:
    """A reservation that is accepted, or refused for a single document."""
    wanted = state is P and (happened is H.JOB_CREATED or (happened is H.REFUSED and size == 1))
    assert concerns_permission(claim(state, size), event(happened)) == wanted


def pause_status(in_row: int) -> PauseStatus:
    return PauseStatus(ACCOUNT_ID, in_row, NOW - timedelta(minutes=5) if in_row else None)


def test_an_accepted_reservation_resets_the_refusals() -> None:
    one = claim(P, 5)
    transition = decide(one, outcome(one, H.JOB_CREATED), NOW, POLICY, Permission(pause_status(3)))
    assert transition.account is not None
    assert transition.account.after == PauseStatus(ACCOUNT_ID)
    assert decide(one, outcome(one, H.JOB_CREATED), NOW, POLICY, Permission(pause_status(0))).account is None


def other(batch_id: int, ids: Sequence[int], **values: object) -> Claim:
    """Another batch of the account that is still to be reserved."""
    documents = (document(row_id, DocumentState.BATCHED) for row_id in ids)
    made = batch(P, len(ids), id=batch_id, root_id=batch_id, epoch=4)
    return Claim(replace(made, **values), tuple(CarriedDocument(one, 1) for one in documents))  # type: ignore[arg-type]


def paused(others: Sequence[Claim] = (), suspects: Sequence[int] = ()) -> tuple[Claim, Transition]:
    """The eighth refusal in a row, with these batches planned and these documents failed once since the first."""
    one = claim(P, 1)
    failed = tuple(document(row_id, suspect=True, attempts=1, next_attempt_at=NOW) for row_id in suspects)
    permission = Permission(pause_status(POLICY.refusals_to_pause - 1), suspects=failed, planned=(one, *others))
    return one, decide(one, outcome(one, H.REFUSED), NOW, POLICY, permission)


def test_a_pause_takes_attempts_back_and_delays_every_document_until_it_ends() -> None:
    """The refusals concern the account: neither this document nor those before it failed."""
    one, transition = paused(suspects=(11, 12))
    assert transition.account is not None
    assert transition.account.after.pause_reason is PauseReason.PERMISSION
    after = {move.after.id: move.after for move in transition.documents}
    assert sorted(move.after.id for move in transition.documents) == [1, 11, 12]
    assert len(transition.batches) == 1
    assert {(each.state, each.attempts, each.next_attempt_at) for each in after.values()} == {
        (DocumentState.DISCOVERED, 0, HOUR)
    }
    expect_fitting(one, transition)


def test_a_pause_recalls_unreserved_batches_but_not_single_documents() -> None:
    """They would occupy every job slot. Halves of a refused batch become suspects."""
    fresh, half = other(8, (21, 22)), other(9, (23,), root_id=3)
    suspects, alone = other(10, (24,), purpose=Purpose.SUSPECT), other(11, (25,), purpose=Purpose.ALONE)
    others = (fresh, half, suspects, alone)
    one, transition = paused(others)
    recalled = {move.before.id: move for move in transition.batches[1:]}
    assert set(recalled) == {8, 9, 10}
    assert all(not move.claimed and move.name is not None and move.name.in_journal for move in recalled.values())
    assert {(move.after.state, move.after.epoch) for move in recalled.values()} == {(BatchState.ABANDONED, 5)}
    after = {move.after.id: move.after for move in transition.documents if move.after.id > 20}
    assert {(each.state, each.next_attempt_at, each.attempts) for each in after.values()} == {
        (DocumentState.DISCOVERED, HOUR, 0)
    }
    assert {row_id: each.suspect for row_id, each in after.items()} == {21: False, 22: False, 23: True, 24: False}
    expect_fitting(one, transition, others)


def test_a_refusal_of_a_document_counts_an_attempt_and_pauses_no_account() -> None:
    one = claim(P, 1)
    transition = decide(one, outcome(one, H.REFUSED), NOW, POLICY, Permission(pause_status(0)))
    (move,) = transition.documents
    assert (move.after.attempts, move.after.suspect, len(transition.batches)) == (1, True, 1)
    assert transition.account is not None
    assert transition.account.after.pause_reason is None


def test_a_repeated_decision_uses_the_current_documents() -> None:
    """A listing has changed one of them since the batch was claimed; the verdict stays as it was."""
    seen = claim(F, 2)
    now = replace(seen.documents[0], document=replace(seen.documents[0].document, version=2, wanted_at=HOUR))
    current = replace(seen, documents=(now, seen.documents[1]))
    transition = decide(current, outcome(seen, H.DOCUMENTS_STORED), NOW, POLICY)
    assert [move.before for move in transition.documents] == [each.document for each in current.documents]
    assert [move.after.version for move in transition.documents] == [2, 1]


def stored(have: Sequence[KnownFile], came: Sequence[tuple[str, str]], version: int = 2) -> Transition:
    """One document is stored: these files are known of it, and these came, by type and hash."""
    one = claim(F, 1)
    (carried,) = one.documents
    carried = CarriedDocument(replace(carried.document, version=version), version)
    files = tuple(ParcelFile(kind, f"{kind}.xml", 3, sha256) for kind, sha256 in came)
    verdict = Verdict(carried, DocumentEvent(D.STORED), files)
    one = replace(one, documents=(carried,))
    return decide(one, Outcome(event(H.DOCUMENTS_STORED, 1), (verdict,), {1: have}), NOW, POLICY)


HAVE = (KnownFile(71, "FA", "one", 1), KnownFile(72, "MT", "meta", 2))


def test_known_bytes_add_no_file_and_belong_to_the_newer_version_too() -> None:
    """SINGLE-COPY."""
    transition = stored(HAVE, [("FA", "one"), ("MT", "meta")])
    assert transition.new_files == ()
    assert transition.seen_files == (SeenFile(HAVE[0], 2),)
    assert [move.name for move in transition.documents] == ["document.stored"]


def test_other_bytes_of_a_type_add_a_file_and_a_journal_row() -> None:
    """NO-OVERWRITE."""
    transition = stored(HAVE, [("FA", "other"), ("FU", "new"), ("FU", "new")])
    made = [(one.ordinal, one.file.type, one.file.sha256, one.version) for one in transition.new_files]
    assert made == [(2, "FA", "other", 2), (3, "FU", "new", 2)]
    assert transition.seen_files == ()
    changed = [dict(move.detail) for move in transition.documents if move.name == "document.bytes_changed"]
    assert changed == [{"type": "FA", "sha256": "other"}]


FILES = st.tuples(st.sampled_from(["FA", "MT", "FU"]), st.sampled_from(["a", "b", "c"]))


@given(have=st.lists(FILES, unique=True, max_size=5), came=st.lists(FILES, max_size=6), version=st.integers(1, 3))
def test_each_file_is_stored_once(have: list[tuple[str, str]], came: list[tuple[str, str]], version: int) -> None:
    known = [KnownFile(70 + place, kind, sha256, 1) for place, (kind, sha256) in enumerate(have)]
    transition = stored(known, came, version)
    made = [(one.file.type, one.file.sha256) for one in transition.new_files]
    assert set(made) == set(came) - set(have)
    assert len(set(made)) == len(made)
    assert [one.ordinal for one in transition.new_files] == list(range(len(have), len(have) + len(made)))
    again = {(one.file.type, one.file.sha256) for one in transition.seen_files}
    assert again == (set(came) & set(have) if version > 1 else set())
    assert {one.version for one in transition.new_files} <= {version}
    told = sum(move.name == "document.bytes_changed" for move in transition.documents)
    assert told == sum(kind in {one for one, _ in have} for kind, _ in made)


@pytest.mark.parametrize(("state", "happened"), PAIRS)
def test_the_journal_has_a_row_where_something_changed_and_none_for_a_wait(
    state: BatchState, happened: BatchHappened
) -> None:
    for size, losses in product((1, 2), (0, POLICY.most_losses - 1)):
        one = claim(state, size, losses=losses)
        transition = decide(one, outcome(one, happened), NOW, POLICY)
        (move,) = transition.batches
        waits = move.after.state is state and not transition.documents
        wanted = not waits or happened is BatchHappened.RETRIED
        assert (move.name is not None and move.name.in_journal) == wanted
        assert move.detail["epoch"] == 3
        assert all(each.batch_id == 7 for each in transition.documents)
