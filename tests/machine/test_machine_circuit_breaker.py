"""The circuit breaker: a Retry-After applies to every call of its account, and the longest one counts."""

from __future__ import annotations

import contextlib
from typing import cast

import pytest
from tests.archive.archive_harness import StandingClock
from tests.support.harness import Recorder

from easytracking_sync.errors import ServiceUnavailable
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.circuit_breaker import CircuitBreaker, NoPauses
from easytracking_sync.machine.policy import Policy


class Caller:
    """Calls the service of two accounts through one circuit breaker."""

    def __init__(self) -> None:
        self.clock = StandingClock()
        self.circuit_breaker = CircuitBreaker(NoPauses(), self.clock, Recorder(), Policy())

    def refused(self, number: int, retry_after: float | None) -> None:
        """A call that the service answers with this Retry-After."""
        with pytest.raises(ServiceUnavailable, match="busy"), self.circuit_breaker.calling(account(number)):
            raise ServiceUnavailable("busy", retry_after=retry_after)

    def may_call(self, number: int) -> bool:
        try:
            with self.circuit_breaker.calling(account(number)):
                return True
        except ServiceUnavailable:
            return False


def account(number: int) -> Account:
    """As much of an account as the circuit breaker uses."""

    class Named:
        id = number
        label = f"demo{number}"
        service = None

    return cast("Account", Named())


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_the_account_waits_as_long_as_the_service_asks_and_others_do_not(caller: Caller) -> None:
    caller.refused(1, 60.0)
    assert not caller.may_call(1)
    assert caller.may_call(2)
    caller.clock.forward(61)
    assert caller.may_call(1)


def test_a_shorter_retry_after_that_comes_later_does_not_end_a_longer_one(caller: Caller) -> None:
    """Two calls of one account were under way: the second was answered with less."""
    with contextlib.suppress(ServiceUnavailable), caller.circuit_breaker.calling(account(1)):
        caller.refused(1, 600.0)
        raise ServiceUnavailable("busy", retry_after=5.0)
    caller.clock.forward(30)
    assert not caller.may_call(1)
    caller.clock.forward(600)
    assert caller.may_call(1)


def test_no_retry_after_makes_nobody_wait(caller: Caller) -> None:
    caller.refused(1, None)
    assert caller.may_call(1)
