"""A claim counts as lost before its lease expires, counted from when the lease was asked for, not from the answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from tests.archive.archive_harness import ArchiveHarness, StandingClock

from easytracking_sync.archive.batches import Batches
from easytracking_sync.archive.database import Database
from easytracking_sync.machine.held_claims import HeldClaims
from easytracking_sync.terms import Claim

LEASE_SECONDS = 30.0


class SlowBatches(Batches):
    """A batch table whose renewals take `seconds` on the way back, after the lease was prolonged."""

    def __init__(self, database: Database, forward: Callable[[float], object], *, alone: bool = False) -> None:
        super().__init__(database, "one", LEASE_SECONDS, alone=alone)
        self.seconds = 0.0
        self.renewals = 0
        self._forward = forward

    def renew(self, now: datetime) -> dict[int, int]:
        self.renewals += 1
        renewed = dict(super().renew(now))
        self._forward(self.seconds)
        return renewed


class Held:
    """One claim, held by this instance since now."""

    def __init__(self, folder: Path) -> None:
        self.harness = ArchiveHarness(folder)
        account_id = self.harness.account()
        self.harness.batch(account_id, [1])
        self.clock: StandingClock = self.harness.clock
        self.batches = SlowBatches(self.harness.archive.database, self.clock.forward)
        self.claims = HeldClaims(self.batches, self.clock)
        self.claim: Claim = self.harness.claim(account_id)
        self.claims.add(self.claim, self.clock.monotonic())


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path)


def test_a_claim_is_sure_for_less_time_than_its_lease_lasts(held: Held) -> None:
    held.clock.forward(held.batches.sure_seconds - 1)
    assert held.claims.are_sure(held.claim)
    assert held.batches.renewals == 0
    held.clock.forward(LEASE_SECONDS - held.batches.sure_seconds)
    assert held.claims.are_sure(held.claim)
    assert held.batches.renewals == 1, "a second before the lease expires the database is asked"


def test_a_renewal_counts_from_its_request(held: Held) -> None:
    """The answer may take longer than the rest of the lease: another instance may have the batch by then."""
    held.batches.seconds = LEASE_SECONDS + 1
    held.claims.renew()
    held.batches.seconds = 0.0
    before = held.batches.renewals
    held.claims.are_sure(held.claim)
    assert held.batches.renewals == before + 1


def test_a_claim_whose_renewals_all_come_too_late_is_not_sure(held: Held) -> None:
    held.batches.seconds = LEASE_SECONDS + 1
    held.clock.forward(LEASE_SECONDS)
    assert not held.claims.are_sure(held.claim)


def test_a_claim_that_another_instance_took_is_not_sure(held: Held) -> None:
    held.clock.forward(LEASE_SECONDS)
    with held.harness.archive.database.write() as connection:
        connection.exec_driver_sql("UPDATE batch SET lease_owner = 'two', epoch = epoch + 1")
    assert not held.claims.are_sure(held.claim)


def test_an_instance_that_is_alone_never_asks(tmp_path: Path) -> None:
    held = Held(tmp_path)
    alone = SlowBatches(held.harness.archive.database, held.clock.forward, alone=True)
    claims = HeldClaims(alone, held.clock)
    claims.add(held.claim, held.clock.monotonic())
    held.clock.forward(1e9)
    assert claims.are_sure(held.claim)
    assert alone.renewals == 0
