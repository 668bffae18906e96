"""What is alarming, counted; and what was told, so that nothing is told twice by whichever instance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ON_SQLITE, Shelf, listed

from easytracking_sync.archive import journal, tables
from easytracking_sync.archive.alarm_conditions import AccountCondition
from easytracking_sync.archive.alarms import Bookmark, KnownAlarm
from easytracking_sync.archive.opening import Archive
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.terms import BatchState, DocumentState, PauseReason

DAY = timedelta(days=1)


def condition(shelf: Shelf, account_id: int) -> AccountCondition:
    (found,) = shelf.archive.alarm_conditions.of([account_id], 8, shelf.now - DAY)
    return found


def known(shelf: Shelf) -> KnownAlarm:
    (found,) = shelf.archive.alarms.known()
    return found


def change(shelf: Shelf, account_id: int, doc_id: int, **values: Any) -> None:
    document = tables.document
    with shelf.archive.database.write() as connection:
        connection.execute(
            sa.update(document)
            .where(document.c.account_id == account_id, document.c.doc_id == doc_id)
            .values(**values)
        )


def test_an_account_without_trouble_has_none(shelf: Shelf) -> None:
    account_id = shelf.account()
    found = condition(shelf, account_id)
    assert (found.label, found.created_at, found.waiting, found.waiting_since) == ("acme", shelf.now, 0, None)
    assert found.last_success_at is None
    assert [found.quarantined, found.unacknowledgeable, found.incomplete, found.changed, found.rotten] == [0] * 5


def test_what_waits_is_counted_since_the_oldest_was_wanted_and_apart_for_each_account(shelf: Shelf) -> None:
    acme, beta = shelf.account(), shelf.account("beta")
    begun = shelf.now
    shelf.absorb(acme, [1])
    shelf.clock.forward(3600)
    shelf.absorb(acme, [2, 3])
    shelf.absorb(beta, [1])
    assert (condition(shelf, acme).waiting, condition(shelf, acme).waiting_since) == (3, begun)
    assert (condition(shelf, beta).waiting, condition(shelf, beta).waiting_since) == (1, shelf.now)


def test_a_quarantined_document_stays_so_while_it_is_retried_and_is_no_backlog(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.absorb(account_id, [1, 2])
    change(shelf, account_id, 1, state=DocumentState.QUARANTINED, attempts=8)
    before = condition(shelf, account_id)
    change(shelf, account_id, 1, state=DocumentState.BATCHED)
    during = condition(shelf, account_id)
    assert (before.quarantined, before.waiting) == (during.quarantined, during.waiting) == (1, 1)


def test_what_is_stored_and_not_acknowledged_waits_unless_the_mark_is_refused(shelf: Shelf) -> None:
    account_id = shelf.account()
    begun = shelf.now
    shelf.batch(account_id, [1, 2], BatchState.STORED)
    shelf.batch(account_id, [3], BatchState.STORED)
    change(shelf, account_id, 3, unacknowledgeable=True)
    found = condition(shelf, account_id)
    assert (found.waiting, found.waiting_since, found.unacknowledgeable) == (2, begun, 1)


def test_changed_and_rotten_documents_are_counted_once_each_and_only_lately(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.absorb(account_id, [1, 2])
    ids = [shelf.document(account_id, doc_id).id for doc_id in (1, 2)]
    with shelf.archive.database.write() as connection:
        for name, document_id in (
            ("document.changed", ids[0]),
            ("document.bytes_changed", ids[0]),
            ("document.bytes_changed", ids[1]),
            ("document.rotten", ids[1]),
            ("document.failed", ids[1]),
        ):
            journal.record(connection, name, shelf.now, account_id=account_id, document_id=document_id)
    assert (condition(shelf, account_id).changed, condition(shelf, account_id).rotten) == (2, 1)
    some = shelf.archive.alarm_conditions.some
    assert some(account_id, "changed", shelf.now - DAY, 5) == (1, 2)
    assert some(account_id, "rotten", shelf.now - DAY, 5) == (2,)
    shelf.clock.forward(2 * 86_400)
    assert (condition(shelf, account_id).changed, condition(shelf, account_id).rotten) == (0, 0)


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("quarantined", {"state": DocumentState.QUARANTINED}),
        ("unacknowledgeable", {"state": DocumentState.STORED, "unacknowledgeable": True}),
        ("incomplete", {"missing_types": "MT"}),
    ],
)
def test_the_first_ids_of_what_is_wrong_can_be_named(shelf: Shelf, what: str, values: dict[str, Any]) -> None:
    acme, beta = shelf.account(), shelf.account("beta")
    shelf.absorb(acme, [1, 2, 3, 4])
    shelf.absorb(beta, [9])
    for doc_id in (1, 2, 4):
        change(shelf, acme, doc_id, **values)
    change(shelf, beta, 9, **values)
    assert shelf.archive.alarm_conditions.some(acme, what, shelf.now, 2) == (1, 2)
    assert getattr(condition(shelf, acme), what) == 3


def test_a_pause_and_its_reason_are_seen(shelf: Shelf) -> None:
    account_id = shelf.account()
    shelf.pause(account_id, PauseReason.PERMISSION, DAY)
    assert condition(shelf, account_id).pause_reason is PauseReason.PERMISSION


def test_documents_that_came_are_counted_by_receiver_and_each_once(shelf: Shelf) -> None:
    account_id = shelf.account()
    journal = shelf.archive.journal
    shelf.absorb(account_id, [listed(1, receiver_piva="01234567890"), listed(2, receiver_cf="RSSMRA"), 3])
    shelf.plan([account_id], 10)
    before = journal.last()
    shelf.store(account_id, lambda doc_id: {"FA": b"a%d" % doc_id, "MT": b"m%d" % doc_id})
    came = journal.arrivals(before)
    assert came.counts == {"acme": {"": 1, "01234567890": 1, "RSSMRA": 1}}
    assert (came.position, journal.arrivals(came.position).counts) == (journal.last(), {})


def test_what_comes_home_once_more_is_no_arrival(shelf: Shelf) -> None:
    account_id = shelf.planned([1])
    shelf.happen(shelf.store(account_id), BatchHappened.ACCEPTED)
    before = shelf.archive.journal.last()
    shelf.absorb(account_id, [listed(1, number="1/bis")])
    shelf.plan([account_id])
    shelf.store(account_id, lambda _: {"FA": b"<newer/>"})
    assert shelf.archive.journal.arrivals(before).counts == {}


def act(archive: Archive, name: str, *arguments: Any) -> Any:
    """One change, in a transaction of its own."""
    with archive.alarms.changing() as changes:
        return getattr(changes, name)(*arguments)


def test_one_of_two_instances_tells(shelf: Shelf) -> None:
    account_id, one, other = shelf.account(), shelf.archive, shelf.open("two")
    beginning = ("begin", "quarantine/1", "quarantine", account_id, 3, shelf.now)
    assert [act(one, *beginning), act(other, *beginning)] == [True, False]
    one.alarms.accept(["quarantine/1"], [], shelf.now)
    assert [act(one, "end", "quarantine/1", shelf.now), act(other, "end", "quarantine/1", shelf.now)] == [True, False]


def test_what_nobody_accepted_is_taken_again_by_one(shelf: Shelf) -> None:
    other = shelf.open("two")
    act(shelf.archive, "begin", "disk", "disk", None, 3, shelf.now)
    seen = known(shelf)
    shelf.clock.forward(900)
    assert act(other, "take_again", seen, shelf.now)
    assert not act(shelf.archive, "take_again", seen, shelf.now)


def test_an_alarm_that_was_told_grows_once_ends_once_and_is_forgotten(shelf: Shelf) -> None:
    act(shelf.archive, "begin", "disk", "disk", None, 3, shelf.now)
    assert not act(shelf.archive, "end", "disk", shelf.now), "nobody has heard of it"
    shelf.archive.alarms.accept(["disk"], [], shelf.now)
    told = known(shelf)
    shelf.clock.forward(60)
    assert act(shelf.archive, "grow", told, 5, shelf.now)
    assert not act(shelf.archive, "grow", told, 5, shelf.now)
    assert known(shelf).amount == 5
    assert act(shelf.archive, "end", "disk", shelf.now)
    shelf.archive.alarms.accept([], ["disk"], shelf.now)
    assert shelf.archive.alarms.known() == ()


def test_an_end_that_was_not_told_yet_can_be_taken_back_and_then_is_not_forgotten(shelf: Shelf) -> None:
    act(shelf.archive, "begin", "disk", "disk", None, 3, shelf.now)
    act(shelf.archive, "drop", "disk")
    assert shelf.archive.alarms.known() == (), "what nobody heard of may be dropped"
    act(shelf.archive, "begin", "disk", "disk", None, 3, shelf.now)
    shelf.archive.alarms.accept(["disk"], [], shelf.now)
    act(shelf.archive, "drop", "disk")
    act(shelf.archive, "end", "disk", shelf.now)
    act(shelf.archive, "revive", "disk")
    shelf.archive.alarms.accept([], ["disk"], shelf.now)
    assert known(shelf).ended_at is None


def test_news_go_on_from_where_they_were_and_by_one_instance(shelf: Shelf) -> None:
    alarms, other = shelf.archive.alarms, shelf.open("two").alarms
    first, second = Bookmark(shelf.now, 3), Bookmark(shelf.now + DAY, 9)
    assert alarms.bookmark("digest") is None
    assert [alarms.move("digest", None, first), other.move("digest", None, first)] == [True, False]
    assert [alarms.move("digest", first, second), other.move("digest", first, second)] == [True, False]
    assert alarms.bookmark("digest") == second


@ON_SQLITE
def test_on_sqlite_an_instance_is_alone(shelf: Shelf) -> None:
    assert shelf.archive.alarms.is_alone
