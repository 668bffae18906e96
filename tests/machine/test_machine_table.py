"""The batch's table: section 2 of the design, written down a second time and compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.machine.batch import Advance, BatchEvent, BatchHappened, InvalidTransition, advance
from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState, Purpose

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = 3600.0
POLICY = Policy()

P, R, F, S = BatchState.PLANNED, BatchState.RESERVED, BatchState.FETCHED, BatchState.STORED
DONE, SPLIT, GONE = BatchState.ACKNOWLEDGED, BatchState.SPLIT, BatchState.ABANDONED
H, D = BatchHappened, DocumentHappened


@dataclass(frozen=True)
class Leads:
    """Where a pair leads: the next state, what happens to the documents, in which state halves go on."""

    state: BatchState
    documents: DocumentHappened | None = None
    halves: BatchState | None = None
    by_verdict: bool = False


FAILED = Leads(GONE, D.FAILED)
HALVES_PLANNED = Leads(SPLIT, halves=P)

# The design's table: (state, event) → for one document, for several. Transient trouble is every state's own row.
DESIGN: dict[tuple[BatchState, BatchHappened], tuple[Leads, Leads]] = {
    (P, H.JOB_CREATED): (Leads(R), Leads(R)),
    (P, H.REFUSED): (FAILED, HALVES_PLANNED),
    (P, H.SINGLED_OUT): (FAILED, HALVES_PLANNED),
    (P, H.PAUSED): (Leads(GONE, D.RECALLED), Leads(GONE, D.RECALLED)),  # everything refused: it makes room
    (R, H.SINGLED_OUT): (FAILED, HALVES_PLANNED),
    (R, H.PENDING): (Leads(R), Leads(R)),
    (R, H.PARCEL_SPOOLED): (Leads(F), Leads(F)),
    (R, H.JOB_LOST): (Leads(P), Leads(P)),
    (P, H.STORAGE_FAILED): (Leads(P), Leads(P)),  # the database's disk was full when a pause was to be noted
    (R, H.STORAGE_FAILED): (Leads(P), Leads(P)),  # the answer was given once: what could not be kept is lost
    (F, H.DOCUMENTS_STORED): (Leads(S, by_verdict=True), Leads(S, by_verdict=True)),
    (F, H.NOTHING_USABLE): (Leads(GONE, by_verdict=True), Leads(GONE, by_verdict=True)),
    (F, H.PARCEL_BAD): (Leads(P), Leads(P)),
    (F, H.PARCEL_GONE): (Leads(P), Leads(P)),
    (F, H.STORAGE_FAILED): (Leads(F), Leads(F)),
    (S, H.ACCEPTED): (Leads(DONE, D.ACKNOWLEDGED), Leads(DONE, D.ACKNOWLEDGED)),
    (S, H.REFUSED): (Leads(S, D.REFUSED), Leads(SPLIT, halves=S)),
    (S, H.SINGLED_OUT): (Leads(S, D.REFUSED), Leads(SPLIT, halves=S)),
    (S, H.READ_BACK_FAILED): (Leads(P, D.DAMAGED), Leads(P, D.DAMAGED)),  # what is not whole travels again
    (S, H.CLOSED): (Leads(GONE, D.ACCEPTED), Leads(GONE, D.ACCEPTED)),
    (S, H.RETRIED): (Leads(S), Leads(S)),
    (S, H.STORAGE_FAILED): (Leads(S), Leads(S)),
    **{(state, H.UNAVAILABLE): (Leads(state), Leads(state)) for state in (P, R, F, S)},
}
UNMARKABLE = [H.REFUSED, H.SINGLED_OUT]
LOSING = [(R, H.JOB_LOST), (F, H.PARCEL_BAD), (S, H.READ_BACK_FAILED)]
INSIDE = [(state, happened, size) for (state, happened) in DESIGN for size in (1, 2, 100)]
OUTSIDE = [pair for pair in product(BatchState, BatchHappened) if pair not in DESIGN]


def batch(state: BatchState, size: int, **values: object) -> Batch:
    made = Batch(id=7, account_id=1, root_id=7, state=state, purpose=Purpose.FRESH, size=size, next_attempt_at=NOW)
    return replace(made, **values)  # type: ignore[arg-type]


def event(happened: BatchHappened, **values: object) -> BatchEvent:
    made = BatchEvent(happened, job_id="a-job", parcel="a-parcel", stored=1)
    return replace(made, **values)  # type: ignore[arg-type]


def leads(decided: Advance) -> Leads:
    return Leads(decided.batch.state, decided.documents, decided.halves_in, decided.by_verdict)


def in_seconds(moment: datetime) -> float:
    return (moment - NOW).total_seconds()


@pytest.mark.parametrize(("state", "happened", "size"), INSIDE)
def test_every_pair_of_the_table_leads_where_the_design_says(
    state: BatchState, happened: BatchHappened, size: int
) -> None:
    """MONOTONE-STATE: the pairs of section 2, each for one document, for two and for a hundred."""
    decided = advance(batch(state, size), event(happened), NOW, POLICY)
    assert leads(decided) == DESIGN[state, happened][size > 1]


@pytest.mark.parametrize(("state", "happened"), OUTSIDE)
def test_any_other_pair_is_an_error(state: BatchState, happened: BatchHappened) -> None:
    """Outside the table lies a bug, and it is said with the batch, the state and the event."""
    with pytest.raises(InvalidTransition, match=rf"batch 7: {happened} cannot happen in {state}"):
        advance(batch(state, 1), event(happened), NOW, POLICY)


def test_final_states_have_no_moves() -> None:
    """ACKNOWLEDGED, SPLIT and ABANDONED have no way out."""
    assert {state for state, _ in DESIGN} == {P, R, F, S}
    assert len(OUTSIDE) == len(BatchState) * len(BatchHappened) - len(DESIGN)


@pytest.mark.parametrize(("state", "happened"), LOSING)
@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("losses", [0, 1, 2])
def test_the_third_loss_ends_a_batch_and_the_first_two_do_not(
    state: BatchState, happened: BatchHappened, size: int, losses: int
) -> None:
    """Losses 1 and 2: PLANNED again. The third: several are halved, one is a suspect."""
    decided = advance(batch(state, size, losses=losses), event(happened), NOW, POLICY)
    damaged = D.DAMAGED if state is S else None
    assert decided.batch.losses == losses + 1
    if losses < 2:
        assert leads(decided) == Leads(P, damaged)
        assert (decided.batch.job_id, decided.batch.parcel, decided.batch.deadline_at) == (None, None, None)
    else:
        assert leads(decided) == (FAILED if size == 1 else Leads(SPLIT, damaged, halves=P))


@pytest.mark.parametrize("happened", [H.JOB_CREATED, H.REFUSED, H.UNAVAILABLE])
def test_other_failures_count_no_loss(happened: BatchHappened) -> None:
    """A spool file that is gone, a refusal or trouble on the way are not the job's fault."""
    assert advance(batch(P, 2, losses=1), event(happened), NOW, POLICY).batch.losses == 1
    assert advance(batch(F, 2, losses=1), event(H.PARCEL_GONE), NOW, POLICY).batch.losses == 1
    assert advance(batch(R, 2, losses=1), event(H.STORAGE_FAILED), NOW, POLICY).batch.losses == 1


def test_each_loss_doubles_the_next_deadline_up_to_23_hours() -> None:
    """A job lives 24 hours (section 5): more than 23 are never waited."""
    created = [
        advance(batch(P, 2, losses=losses), event(H.JOB_CREATED), NOW, POLICY).batch.deadline_at
        for losses in range(7)
    ]
    hours = [in_seconds(deadline) / HOUR for deadline in created if deadline is not None]
    assert hours == [1, 2, 4, 8, 16, 23, 23]


def test_a_reserved_batch_has_its_job_and_is_polled_soon() -> None:
    """RESERVED: the jobId, the instant of reservation, and the first poll after `poll_first_seconds`."""
    after = advance(batch(P, 2, failures=5, polls=9), event(H.JOB_CREATED), NOW, POLICY).batch
    assert (after.job_id, after.reserved_at, after.failures, after.polls) == ("a-job", NOW, 0, 0)
    assert in_seconds(after.next_attempt_at) == POLICY.poll_first_seconds


def test_a_stored_batch_continues_with_exactly_the_stored_documents() -> None:
    """ids ≠ ∅: the batch shrinks to them, and its parcel is forgotten."""
    after = advance(batch(F, 100, parcel="7-a-job.zip"), event(H.DOCUMENTS_STORED, stored=97), NOW, POLICY).batch
    assert (after.state, after.size, after.parcel, after.next_attempt_at) == (S, 97, None, NOW)


@pytest.mark.parametrize("why", UNMARKABLE)
def test_an_unacknowledgeable_document_is_retried_daily_and_shown(why: BatchHappened) -> None:
    """STORED, refused or singled out, n = 1: unacknowledgeable, tomorrow again; nothing else is marked so."""
    decided = advance(batch(S, 1), event(why), NOW, POLICY)
    assert decided.documents is D.REFUSED
    assert decided.batch.next_attempt_at == NOW + timedelta(days=1)
    for (state, happened), size in product(DESIGN, (1, 2)):
        if (state, size) != (S, 1) or happened not in UNMARKABLE:
            assert advance(batch(state, size), event(happened), NOW, POLICY).documents is not D.REFUSED


def test_a_retried_document_is_due_at_once() -> None:
    """STORED, retried: the daily wait is over, whatever it was."""
    waits = batch(S, 1, next_attempt_at=NOW + timedelta(days=1))
    assert advance(waits, event(H.RETRIED), NOW, POLICY).batch.next_attempt_at == NOW


@given(
    pair=st.sampled_from(
        [pair for pair in DESIGN if pair[1] in {H.UNAVAILABLE, H.STORAGE_FAILED} and pair != (R, H.STORAGE_FAILED)]
    ),
    failures=st.integers(0, 10_000),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_transient_trouble_waits_with_full_jitter_below_the_cap(
    pair: tuple[BatchState, BatchHappened], failures: int, jitter: float
) -> None:
    """A wait is anywhere between nothing and the doubled base, never beyond the cap; the failures are counted."""
    state, happened = pair
    policy = replace(POLICY, jitter=jitter)
    after = advance(batch(state, 2, failures=failures), event(happened), NOW, policy).batch
    wait = in_seconds(after.next_attempt_at)
    most = min(300.0, 2.0 ** min(failures, 60))
    assert after.failures == failures + 1
    assert wait == pytest.approx(jitter * most, abs=1e-5)
    assert 0 <= wait <= 300


@given(jitter=st.floats(0, 1, exclude_max=True))
def test_a_parcel_that_could_not_be_spooled_is_retried_after_the_longest_pause(jitter: float) -> None:
    """Each try costs the service a job and a parcel: a full disk waits up to the cap from the first time on."""
    after = advance(batch(R, 2), event(H.STORAGE_FAILED), NOW, replace(POLICY, jitter=jitter)).batch
    assert in_seconds(after.next_attempt_at) == pytest.approx(jitter * 300, abs=1e-5)


@given(asked=st.floats(0, 1e15), jitter=st.floats(0, 1, exclude_max=True), failures=st.integers(0, 40))
def test_retry_after_is_respected_up_to_an_hour(asked: float, jitter: float, failures: int) -> None:
    """Never sooner than the service asked, unless it asks for the absurd: then after an hour."""
    policy = replace(POLICY, jitter=jitter)
    after = advance(batch(P, 2, failures=failures), event(H.UNAVAILABLE, retry_after=asked), NOW, policy).batch
    wait = in_seconds(after.next_attempt_at)
    assert min(asked, HOUR) - 1e-5 <= wait <= HOUR


@given(polls=st.integers(0, 100_000), asked=st.none() | st.floats(0, 1e15))
def test_polls_slow_down_to_their_cap_and_obey_the_service(polls: int, asked: float | None) -> None:
    """A pending job is asked for ever more slowly, 30 seconds at most, unless the service names a pause."""
    after = advance(batch(R, 2, polls=polls), event(H.PENDING, retry_after=asked), NOW, POLICY).batch
    wait = in_seconds(after.next_attempt_at)
    assert after.polls == polls + 1
    assert POLICY.poll_first_seconds <= wait + 1e-5
    assert wait <= max(30.0, min(asked or 0.0, 300.0)) + 1e-5
    assert wait >= min(asked or 0.0, 300.0) - 1e-5


def test_polls_never_speed_up() -> None:
    """2, 3, 4.5, … 30, 30 seconds."""
    waits = [POLICY.poll(polls) for polls in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (2, 3, 30)


@given(
    pair=st.sampled_from(sorted(DESIGN)),
    size=st.integers(1, 100),
    losses=st.integers(0, 5),
    failures=st.integers(0, 1000),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_no_decision_goes_back_in_time_or_changes_the_batch_owner(
    pair: tuple[BatchState, BatchHappened], size: int, losses: int, failures: int, jitter: float
) -> None:
    """`advance` is pure: the same question has the same answer, never due before now, in the same claim."""
    before = batch(pair[0], size, losses=losses, failures=failures, epoch=3)
    policy = replace(POLICY, jitter=jitter)
    decided = advance(before, event(pair[1]), NOW, policy)
    assert decided == advance(before, event(pair[1]), NOW, policy)
    assert decided.batch.next_attempt_at >= NOW
    assert (decided.batch.id, decided.batch.account_id, decided.batch.epoch) == (7, 1, 3)
