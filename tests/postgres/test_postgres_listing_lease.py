"""Instances that share an archive: one at a time lists an account, and one that is at work is seen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.archive.shelves import Shelf
from tests.support.station import VirtualClock

from easytracking_sync.archive import tables
from easytracking_sync.archive.quiet import undisturbed
from easytracking_sync.archive.store import Archive
from easytracking_sync.errors import LockHeld
from easytracking_sync.machine.listing.lease import Floor


def floor(archive: Archive) -> Floor:
    return Floor(archive.leases, VirtualClock())


def test_while_one_instance_lists_an_account_another_goes_without(shelf: Shelf) -> None:
    one, two = floor(shelf.archive), floor(shelf.open("two"))
    with (
        one.of(7) as has,
        two.of(7) as has_too,
        two.of(8) as has_another,
    ):
        assert (has, has_too, has_another) == (True, False, True)
    with two.of(7) as has_now:
        assert has_now


def test_one_that_goes_without_takes_nothing_from_the_other(shelf: Shelf) -> None:
    one, two = floor(shelf.archive), floor(shelf.open("two"))
    with one.of(7):
        with two.of(7):
            pass
        with floor(shelf.open("three")).of(7) as has:
            assert not has


def test_what_a_dead_instance_was_listing_is_free_when_its_time_has_run_out(shelf: Shelf) -> None:
    assert floor(shelf.archive).keep(7)
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(tables.lease).values(until=sa.func.clock_timestamp()))
    with floor(shelf.open("two")).of(7) as has:
        assert has


def test_an_instance_that_is_at_work_is_seen_even_while_nothing_is_to_be_done(shelf: Shelf) -> None:
    two = shelf.open("two")
    two.leases.announce(shelf.now)
    with pytest.raises(LockHeld), undisturbed(shelf.archive.database, "database copy", shelf.now):
        pass
    two.leases.give_all_back()
    with undisturbed(shelf.archive.database, "database copy", shelf.now):
        assert not shelf.rows(sa.select(tables.lease.c.name))
