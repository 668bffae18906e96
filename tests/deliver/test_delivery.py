"""The state table of a delivery, and the pause of a sink."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.deliver.delivery import (
    DAY_SECONDS,
    TABLE,
    Delivery,
    DeliveryEvent,
    DeliveryHappened,
    DeliveryState,
    InvalidTransition,
    Patience,
    Receipt,
    advance,
)
from easytracking_sync.deliver.sink_pause import SinkPause, after_attempt

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NEW = Delivery(1, "erp", 7, 1, DeliveryState.PENDING, NOW)
FAILED = replace(NEW, state=DeliveryState.FAILED, attempts=3)
RECEIPT = Receipt(answer="200")
DONE = replace(NEW, state=DeliveryState.DELIVERED, next_attempt_at=None, receipt=RECEIPT, delivered_at=NOW)
IN = {one.state: one for one in (NEW, FAILED, DONE)}
ACCEPTED = DeliveryEvent(DeliveryHappened.ACCEPTED, receipt=RECEIPT)
UNAVAILABLE = DeliveryEvent(DeliveryHappened.UNAVAILABLE, "no answer")
REFUSED = DeliveryEvent(DeliveryHappened.REFUSED, "too large")
GONE = DeliveryEvent(DeliveryHappened.GONE, "410")
PATIENCE = Patience()


def after(delivery: Delivery, *events: DeliveryEvent) -> Delivery:
    for event in events:
        delivery = advance(delivery, event, NOW, PATIENCE)
    return delivery


@pytest.mark.parametrize(("state", "happened"), sorted(set(product(DeliveryState, DeliveryHappened)) - TABLE.keys()))
def test_what_the_table_does_not_have_is_an_error(state: DeliveryState, happened: DeliveryHappened) -> None:
    with pytest.raises(InvalidTransition, match=state):
        after(IN[state], DeliveryEvent(happened, receipt=RECEIPT))


@pytest.mark.parametrize("delivery", [NEW, FAILED])
def test_an_accepted_delivery_keeps_its_receipt_and_forgets_its_failures(delivery: Delivery) -> None:
    assert after(delivery, ACCEPTED) == DONE


def test_nothing_is_delivered_without_a_receipt() -> None:
    with pytest.raises(InvalidTransition, match="without a receipt"):
        after(NEW, DeliveryEvent(DeliveryHappened.ACCEPTED))


def test_an_unavailable_sink_keeps_a_delivery_pending_with_growing_pauses() -> None:
    waits = []
    delivery = NEW
    for _ in range(20):
        delivery = after(delivery, UNAVAILABLE)
        assert delivery.state is DeliveryState.PENDING
        assert delivery.next_attempt_at is not None
        waits.append(delivery.next_attempt_at - NOW)
    assert waits[:3] == [timedelta(seconds=seconds) for seconds in (10, 20, 40)]
    assert waits[-1] == DAY
    assert (delivery.attempts, delivery.reason, delivery.failed_at) == (20, "no answer", NOW)


OUTCOMES = st.sampled_from([UNAVAILABLE, REFUSED, GONE, replace(UNAVAILABLE, retry_after=1e9)])


@given(st.lists(OUTCOMES, min_size=1, max_size=60), st.floats(0, 1, exclude_max=True))
def test_no_delivery_is_ever_given_up(events: list[DeliveryEvent], jitter: float) -> None:
    delivery = NEW
    for event in events:
        delivery = advance(delivery, event, NOW, Patience(jitter=jitter))
        assert delivery.next_attempt_at is not None
        assert NOW < delivery.next_attempt_at <= NOW + DAY
    assert delivery.attempts == len(events)


def test_a_retry_after_is_respected_up_to_a_day() -> None:
    assert after(NEW, replace(UNAVAILABLE, retry_after=700.0)).next_attempt_at == NOW + timedelta(seconds=700)
    assert after(NEW, replace(UNAVAILABLE, retry_after=1e9)).next_attempt_at == NOW + DAY


def test_a_refused_delivery_is_failed_and_tried_again_every_day() -> None:
    refused = after(NEW, REFUSED)
    assert (refused.state, refused.reason, refused.next_attempt_at) == (DeliveryState.FAILED, "too large", NOW + DAY)
    assert after(refused, UNAVAILABLE).state is DeliveryState.FAILED


@pytest.mark.parametrize("delivery", [after(NEW, UNAVAILABLE), FAILED])
def test_an_operator_can_retry_now(delivery: Delivery) -> None:
    retried = after(delivery, DeliveryEvent(DeliveryHappened.RETRIED))
    assert (retried.state, retried.next_attempt_at, retried.attempts) == (DeliveryState.PENDING, NOW, 0)


def test_a_redelivery_keeps_the_old_receipt_until_there_is_a_new_one() -> None:
    again = after(DONE, DeliveryEvent(DeliveryHappened.REDELIVERED))
    assert (again.state, again.next_attempt_at, again.receipt) == (DeliveryState.PENDING, NOW, RECEIPT)
    newer = Receipt(answer="201")
    assert after(again, replace(ACCEPTED, receipt=newer)).receipt == newer


def test_a_delivery_waits_for_an_attempt_unless_it_is_delivered() -> None:
    with pytest.raises(ValueError, match="next attempt"):
        replace(NEW, next_attempt_at=None)
    with pytest.raises(ValueError, match="next attempt"):
        replace(DONE, next_attempt_at=NOW)


def test_an_unavailable_sink_pauses_for_a_few_minutes_at_most() -> None:
    pause = SinkPause()
    for _ in range(10):
        pause = after_attempt(pause, UNAVAILABLE, NOW, PATIENCE).pause
        assert not pause.is_over(NOW)
    assert pause.is_over(NOW + timedelta(seconds=PATIENCE.sink_longest_seconds))


def test_when_the_sink_accepts_one_again_all_others_are_due() -> None:
    down = after_attempt(SinkPause(), UNAVAILABLE, NOW, PATIENCE).pause
    back = after_attempt(down, ACCEPTED, NOW, PATIENCE)
    assert back.is_back
    assert back.pause.is_over(NOW)
    assert not after_attempt(back.pause, ACCEPTED, NOW, PATIENCE).is_back
    waiting = after(NEW, *[UNAVAILABLE] * 20)
    assert after(waiting, DeliveryEvent(DeliveryHappened.SINK_BACK)).next_attempt_at == NOW


def test_one_refused_document_does_not_pause_its_sink() -> None:
    assert after_attempt(SinkPause(), REFUSED, NOW, PATIENCE).pause == SinkPause()


def test_a_sink_that_wants_no_more_is_tried_once_a_day() -> None:
    gone = after_attempt(SinkPause(), GONE, NOW, PATIENCE).pause
    assert gone.until == NOW + timedelta(seconds=DAY_SECONDS)
    assert after(NEW, GONE).state is DeliveryState.PENDING
