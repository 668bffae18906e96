"""Whether a refusal speaks of the document or of the account: eight single fresh ones in a row mean the account."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.documents import ACCOUNT_ID, NOW, batch

from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.refusals import RefusalDecision, count_refusal, forget_refusals, pause_slowly, resumed
from easytracking_sync.terms import PauseReason, PauseStatus, Purpose

POLICY = Policy()
MOST = POLICY.refusals_to_pause
SINCE = NOW - timedelta(minutes=9)
AN_HOUR = NOW + timedelta(hours=1)
ELSEWHERE = [purpose for purpose in Purpose if purpose is not Purpose.FRESH]


def pause_status(in_row: int = 0, **values: object) -> PauseStatus:
    made = PauseStatus(ACCOUNT_ID, in_row, SINCE if in_row else None)
    return replace(made, **values)  # type: ignore[arg-type]


def refused(
    account: PauseStatus, purpose: Purpose = Purpose.FRESH, *, sibling_accepted: bool = False
) -> RefusalDecision:
    return count_refusal(account, batch(purpose=purpose), NOW, POLICY, sibling_accepted=sibling_accepted)


@pytest.mark.parametrize("in_row", range(MOST - 1))
def test_a_few_refusals_are_counted_as_the_documents_attempts(in_row: int) -> None:
    counted = refused(pause_status(in_row))
    assert (counted.counts, counted.pauses) == (True, False)
    assert counted.account is not None
    assert counted.account.after == replace(
        pause_status(in_row), refused_in_row=in_row + 1, refused_since=SINCE if in_row else NOW
    )
    assert counted.account.name is None, "no row in the journal for each"


def test_the_eighth_refusal_in_a_row_pauses_the_account_and_counts_no_attempt() -> None:
    counted = refused(pause_status(MOST - 1))
    assert (counted.counts, counted.pauses) == (False, True)
    assert counted.account is not None
    assert counted.account.before == pause_status(MOST - 1)
    assert counted.account.after == pause_status(
        MOST,
        pause_reason=PauseReason.PERMISSION,
        paused_until=AN_HOUR,
        pause_message="8 documents in a row were refused",
    )
    assert counted.account.name == "account.paused"
    assert counted.account.detail["reason"] == "permission"


@pytest.mark.parametrize(("purpose", "sibling_accepted"), list(product(Purpose, (False, True))))
def test_a_refused_probe_pauses_again_whatever_its_documents(purpose: Purpose, *, sibling_accepted: bool) -> None:
    counted = refused(pause_status(MOST), purpose, sibling_accepted=sibling_accepted)
    assert (counted.counts, counted.pauses) == (False, True)
    assert counted.account is not None
    assert counted.account.after.paused_until == AN_HOUR
    assert counted.account.after.refused_in_row == MOST


@pytest.mark.parametrize("in_row", range(MOST))
def test_if_another_part_of_the_batch_was_accepted_the_refusal_concerns_the_document(in_row: int) -> None:
    assert refused(pause_status(in_row), sibling_accepted=True) == RefusalDecision(None, counts=True)


@pytest.mark.parametrize(("in_row", "purpose"), list(product(range(MOST), ELSEWHERE)))
def test_refusals_of_documents_that_failed_before_do_not_count_for_the_account(in_row: int, purpose: Purpose) -> None:
    assert refused(pause_status(in_row), purpose) == RefusalDecision(None, counts=True)


def test_an_accepted_reservation_ends_the_pause_and_the_count() -> None:
    paused = pause_status(MOST, pause_reason=PauseReason.PERMISSION, paused_until=AN_HOUR, pause_message="why")
    forgotten = forget_refusals(paused)
    assert forgotten is not None
    assert (forgotten.before, forgotten.after) == (paused, PauseStatus(ACCOUNT_ID))


def test_without_refusals_there_is_nothing_to_reset() -> None:
    """Not even a pause for another reason: that one is ended by what it waits for."""
    assert forget_refusals(pause_status()) is None
    paused = pause_status(pause_reason=PauseReason.UNREACHABLE, paused_until=AN_HOUR, slow_pauses=2)
    assert forget_refusals(paused) is None


def test_slow_pauses_grow_to_a_day_and_stay_there() -> None:
    account, hours = pause_status(), []
    for _ in range(5):
        move = pause_slowly(account, PauseReason.CREDENTIALS, "401", NOW, POLICY)
        assert (move.before, move.name) == (account, "account.paused")
        account = move.after
        assert account.paused_until is not None
        hours.append((account.paused_until - NOW) / timedelta(hours=1))
    assert hours == [1, 6, 24, 24, 24]
    assert (account.pause_reason, account.pause_message, account.slow_pauses) == (PauseReason.CREDENTIALS, "401", 5)
    ended = resumed(account).after
    assert ended == pause_status()


@given(
    accepted=st.lists(st.booleans(), max_size=30),
    kin=st.lists(st.booleans(), min_size=30, max_size=30),
    purposes=st.lists(st.sampled_from(Purpose), min_size=30, max_size=30),
)
def test_an_account_pauses_exactly_after_eight_fresh_refusals_with_no_success_between(
    accepted: list[bool], kin: list[bool], purposes: list[Purpose]
) -> None:
    account, in_row = pause_status(), 0
    for went_through, sibling_accepted, purpose in zip(accepted, kin, purposes, strict=False):
        if went_through:
            in_row = 0
            forgotten = forget_refusals(account)
            account = account if forgotten is None else forgotten.after
        else:
            counted = refused(account, purpose, sibling_accepted=sibling_accepted)
            in_row += purpose is Purpose.FRESH and not sibling_accepted and in_row < MOST
            account = account if counted.account is None else counted.account.after
            assert counted.pauses == (not counted.counts)
            assert counted.pauses == (in_row == MOST)
        assert (account.pause_reason is PauseReason.PERMISSION) == (in_row == MOST)
        assert account.refused_in_row == in_row
