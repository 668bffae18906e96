"""Instances that share an archive: one at a time lists an account, and one that is at work is seen."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from tests.archive.shelves import Shelf
from tests.support.station import VirtualClock

from easytracking_sync.app.floor import Floor
from easytracking_sync.archive import tables
from easytracking_sync.archive.quiet import undisturbed
from easytracking_sync.archive.store import Archive
from easytracking_sync.errors import LockHeld


class Waiting(VirtualClock):
    """Time in which the other instance comes to its end, at the third look."""

    def __init__(self, other: Archive) -> None:
        super().__init__()
        self._other = other
        self.looks = 0

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.looks += 1
        if self.looks == 3:
            self._other.leases.give_back("cycle:7")
        return super().wait(wake, seconds)


def floor(archive: Archive, clock: VirtualClock | None = None, stop: threading.Event | None = None) -> Floor:
    return Floor(archive.leases, clock or VirtualClock(), stop or threading.Event())


def test_while_one_instance_lists_an_account_another_goes_without(shelf: Shelf) -> None:
    one, two = floor(shelf.archive), floor(shelf.open("two"))
    with (
        one.of(7, patient=False) as has,
        two.of(7, patient=False) as has_too,
        two.of(8, patient=False) as has_another,
    ):
        assert (has, has_too, has_another) == (True, False, True)
    with two.of(7, patient=False) as has_now:
        assert has_now


def test_one_that_goes_without_takes_nothing_from_the_other(shelf: Shelf) -> None:
    one, two = floor(shelf.archive), floor(shelf.open("two"))
    with one.of(7, patient=False):
        with two.of(7, patient=False):
            pass
        with floor(shelf.open("three")).of(7, patient=False) as has:
            assert not has


def test_a_patient_instance_waits_for_its_turn(shelf: Shelf) -> None:
    clock = Waiting(shelf.archive)
    assert floor(shelf.archive).keep(7)
    with floor(shelf.open("two"), clock).of(7, patient=True) as has:
        assert has
    assert clock.looks == 3


def test_a_stop_ends_the_waiting(shelf: Shelf) -> None:
    assert floor(shelf.archive).keep(7)
    stop = threading.Event()
    stop.set()
    with floor(shelf.open("two"), stop=stop).of(7, patient=True) as has:
        assert not has


def test_what_a_dead_instance_was_listing_is_free_when_its_time_has_run_out(shelf: Shelf) -> None:
    assert floor(shelf.archive).keep(7)
    with shelf.archive.database.write() as connection:
        connection.execute(sa.update(tables.lease).values(until=sa.func.clock_timestamp()))
    with floor(shelf.open("two")).of(7, patient=False) as has:
        assert has


def test_an_instance_that_is_at_work_is_seen_even_while_nothing_is_to_be_done(shelf: Shelf) -> None:
    two = shelf.open("two")
    two.leases.announce(shelf.now)
    with pytest.raises(LockHeld), undisturbed(shelf.archive.database, "database copy", shelf.now):
        pass
    two.leases.give_all_back()
    with undisturbed(shelf.archive.database, "database copy", shelf.now):
        assert not shelf.rows(sa.select(tables.lease.c.name))
