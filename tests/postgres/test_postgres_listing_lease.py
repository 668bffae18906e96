"""Instances that share an archive: one at a time lists an account, and a running instance is detected."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ArchiveHarness
from tests.support.harness import VirtualClock

from easytracking_sync.archive import tables
from easytracking_sync.archive.instance_lock import exclusive_use
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import LockHeld
from easytracking_sync.machine.listing.lease import ListingLease


def lease(archive: Archive) -> ListingLease:
    """Of an instance that is alive."""
    clock = VirtualClock()
    archive.leases.announce(clock.now())
    return ListingLease(archive.leases, clock)


def test_of_two_instances_one_at_a_time_lists_an_account(archive_harness: ArchiveHarness) -> None:
    one, two = lease(archive_harness.archive), lease(archive_harness.open("two"))
    with (
        one.held(7) as has,
        two.held(7) as has_too,
        two.held(8) as has_another,
    ):
        assert (has, has_too, has_another) == (True, False, True)
    with two.held(7) as has_now:
        assert has_now


def test_an_instance_without_the_lease_does_not_release_it(archive_harness: ArchiveHarness) -> None:
    one, two = lease(archive_harness.archive), lease(archive_harness.open("two"))
    with one.held(7):
        with two.held(7):
            pass
        with lease(archive_harness.open("three")).held(7) as has:
            assert not has


def test_the_lease_of_a_dead_instance_expires(archive_harness: ArchiveHarness) -> None:
    assert lease(archive_harness.archive).renew(7)
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.lease).values(until=sa.func.clock_timestamp()))
    with lease(archive_harness.open("two")).held(7) as has:
        assert has


def test_an_idle_running_instance_is_detected(archive_harness: ArchiveHarness) -> None:
    two = archive_harness.open("two")
    two.leases.announce(archive_harness.now)
    with (
        pytest.raises(LockHeld),
        exclusive_use(archive_harness.archive.database, "database copy", archive_harness.now),
    ):
        pass
    two.leases.release_all()
    with exclusive_use(archive_harness.archive.database, "database copy", archive_harness.now):
        assert not archive_harness.rows(sa.select(tables.lease.c.name))
