"""Account conditions are counted correctly, and no alarm is sent twice by any instance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.archive.archive_harness import ON_SQLITE, ArchiveHarness, listed

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind, KnownAlarm
from easytracking_sync.archive import journal, tables
from easytracking_sync.archive.alarms import Bookmark
from easytracking_sync.archive.opening import Archive
from easytracking_sync.events import EventName
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.terms import BatchState, DocumentState, PauseReason

DAY = timedelta(days=1)


def condition(archive_harness: ArchiveHarness, account_id: int) -> AccountCondition:
    (found,) = archive_harness.archive.account_statuses.conditions([account_id], 8, archive_harness.now - DAY)
    return found


def known(archive_harness: ArchiveHarness) -> KnownAlarm:
    (found,) = archive_harness.archive.alarms.known()
    return found


def change(archive_harness: ArchiveHarness, account_id: int, doc_id: int, **values: Any) -> None:
    document = tables.document
    with archive_harness.archive.database.write() as connection:
        connection.execute(
            sa.update(document)
            .where(document.c.account_id == account_id, document.c.doc_id == doc_id)
            .values(**values)
        )


def test_an_account_without_trouble_has_none(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    found = condition(archive_harness, account_id)
    assert (found.label, found.created_at, found.waiting, found.waiting_since) == (
        "acme",
        archive_harness.now,
        0,
        None,
    )
    assert found.last_success_at is None
    assert not any(found.counts.values())


def test_what_waits_is_counted_since_the_oldest_was_wanted_and_apart_for_each_account(
    archive_harness: ArchiveHarness,
) -> None:
    acme, beta = archive_harness.account(), archive_harness.account("beta")
    begun = archive_harness.now
    archive_harness.take_in(acme, [1])
    archive_harness.clock.forward(3600)
    archive_harness.take_in(acme, [2, 3])
    archive_harness.take_in(beta, [1])
    assert (condition(archive_harness, acme).waiting, condition(archive_harness, acme).waiting_since) == (3, begun)
    assert (condition(archive_harness, beta).waiting, condition(archive_harness, beta).waiting_since) == (
        1,
        archive_harness.now,
    )


def test_a_quarantined_document_stays_so_while_it_is_retried_and_is_no_backlog(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1, 2])
    change(archive_harness, account_id, 1, state=DocumentState.QUARANTINED, attempts=8)
    before = condition(archive_harness, account_id)
    change(archive_harness, account_id, 1, state=DocumentState.BATCHED)
    during = condition(archive_harness, account_id)
    assert (
        (before.count(AlarmKind.QUARANTINE), before.waiting)
        == (during.count(AlarmKind.QUARANTINE), during.waiting)
        == (1, 1)
    )


def test_what_is_stored_and_not_acknowledged_waits_unless_the_mark_is_refused(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    begun = archive_harness.now
    archive_harness.batch(account_id, [1, 2], BatchState.STORED)
    archive_harness.batch(account_id, [3], BatchState.STORED)
    change(archive_harness, account_id, 3, unacknowledgeable=True)
    found = condition(archive_harness, account_id)
    assert (found.waiting, found.waiting_since, found.count(AlarmKind.UNACKNOWLEDGEABLE)) == (2, begun, 1)


def test_changed_and_rotten_documents_are_counted_once_each_and_only_lately(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [1, 2])
    ids = [archive_harness.document(account_id, doc_id).id for doc_id in (1, 2)]
    with archive_harness.archive.database.write() as connection:
        for name, document_id in (
            (EventName.DOCUMENT_CHANGED, ids[0]),
            (EventName.DOCUMENT_BYTES_CHANGED, ids[0]),
            (EventName.DOCUMENT_BYTES_CHANGED, ids[1]),
            (EventName.DOCUMENT_ROTTEN, ids[1]),
            (EventName.DOCUMENT_FAILED, ids[1]),
        ):
            journal.record(connection, name, archive_harness.now, account_id=account_id, document_id=document_id)
    assert condition(archive_harness, account_id).counts == {AlarmKind.CHANGED: 2, AlarmKind.ROTTEN: 1}
    some = archive_harness.archive.account_statuses.doc_ids
    assert some(account_id, AlarmKind.CHANGED, archive_harness.now - DAY, 5) == (1, 2)
    assert some(account_id, AlarmKind.ROTTEN, archive_harness.now - DAY, 5) == (2,)
    archive_harness.clock.forward(2 * 86_400)
    assert condition(archive_harness, account_id).counts == {}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (AlarmKind.QUARANTINE, {"state": DocumentState.QUARANTINED}),
        (AlarmKind.UNACKNOWLEDGEABLE, {"state": DocumentState.STORED, "unacknowledgeable": True}),
        (AlarmKind.INCOMPLETE, {"missing_types": "MT"}),
    ],
)
def test_the_first_ids_of_what_is_wrong_can_be_named(
    archive_harness: ArchiveHarness, kind: AlarmKind, values: dict[str, Any]
) -> None:
    acme, beta = archive_harness.account(), archive_harness.account("beta")
    archive_harness.take_in(acme, [1, 2, 3, 4])
    archive_harness.take_in(beta, [9])
    for doc_id in (1, 2, 4):
        change(archive_harness, acme, doc_id, **values)
    change(archive_harness, beta, 9, **values)
    assert archive_harness.archive.account_statuses.doc_ids(acme, kind, archive_harness.now, 2) == (1, 2)
    assert condition(archive_harness, acme).count(kind) == 3


def test_a_pause_and_its_reason_are_seen(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.pause(account_id, PauseReason.PERMISSION, DAY)
    assert condition(archive_harness, account_id).pause_reason is PauseReason.PERMISSION


def test_documents_that_came_are_counted_by_receiver_and_each_once(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    journal = archive_harness.archive.journal
    archive_harness.take_in(account_id, [listed(1, receiver_piva="01234567890"), listed(2, receiver_cf="RSSMRA"), 3])
    archive_harness.plan([account_id], 10)
    before = journal.last()
    archive_harness.store(account_id, lambda doc_id: {"FA": b"a%d" % doc_id, "MT": b"m%d" % doc_id})
    came = journal.arrivals(before)
    assert came.counts == {"acme": {"": 1, "01234567890": 1, "RSSMRA": 1}}
    assert (came.position, journal.arrivals(came.position).counts) == (journal.last(), {})


def test_what_comes_home_once_more_is_no_arrival(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1])
    archive_harness.happen(archive_harness.store(account_id), BatchHappened.ACCEPTED)
    before = archive_harness.archive.journal.last()
    archive_harness.take_in(account_id, [listed(1, number="1/bis")])
    archive_harness.plan([account_id])
    archive_harness.store(account_id, lambda _: {"FA": b"<newer/>"})
    assert archive_harness.archive.journal.arrivals(before).counts == {}


def act(archive: Archive, name: str, *arguments: Any) -> Any:
    """One change, in a transaction of its own."""
    with archive.alarms.changing() as changes:
        return getattr(changes, name)(*arguments)


def test_one_of_two_instances_tells(archive_harness: ArchiveHarness) -> None:
    account_id, one, other = archive_harness.account(), archive_harness.archive, archive_harness.open("two")
    beginning = ("begin", "quarantine/1", "quarantine", account_id, 3, archive_harness.now)
    assert [act(one, *beginning), act(other, *beginning)] == [True, False]
    one.alarms.accept(["quarantine/1"], [], archive_harness.now)
    assert [
        act(one, "end", "quarantine/1", archive_harness.now),
        act(other, "end", "quarantine/1", archive_harness.now),
    ] == [True, False]


def test_what_nobody_accepted_is_taken_again_by_one(archive_harness: ArchiveHarness) -> None:
    other = archive_harness.open("two")
    act(archive_harness.archive, "begin", "disk", "disk", None, 3, archive_harness.now)
    seen = known(archive_harness)
    archive_harness.clock.forward(900)
    assert act(other, "take_again", seen, archive_harness.now)
    assert not act(archive_harness.archive, "take_again", seen, archive_harness.now)


def test_an_alarm_that_was_told_grows_once_ends_once_and_is_forgotten(archive_harness: ArchiveHarness) -> None:
    act(archive_harness.archive, "begin", "disk", "disk", None, 3, archive_harness.now)
    assert not act(archive_harness.archive, "end", "disk", archive_harness.now), "nobody has heard of it"
    archive_harness.archive.alarms.accept(["disk"], [], archive_harness.now)
    told = known(archive_harness)
    archive_harness.clock.forward(60)
    assert act(archive_harness.archive, "grow", told, 5, archive_harness.now)
    assert not act(archive_harness.archive, "grow", told, 5, archive_harness.now)
    assert known(archive_harness).amount == 5
    assert act(archive_harness.archive, "end", "disk", archive_harness.now)
    archive_harness.archive.alarms.accept([], ["disk"], archive_harness.now)
    assert archive_harness.archive.alarms.known() == ()


def test_an_end_that_was_not_told_yet_can_be_taken_back_and_then_is_not_forgotten(
    archive_harness: ArchiveHarness,
) -> None:
    act(archive_harness.archive, "begin", "disk", "disk", None, 3, archive_harness.now)
    act(archive_harness.archive, "drop", "disk")
    assert archive_harness.archive.alarms.known() == (), "what nobody heard of may be dropped"
    act(archive_harness.archive, "begin", "disk", "disk", None, 3, archive_harness.now)
    archive_harness.archive.alarms.accept(["disk"], [], archive_harness.now)
    act(archive_harness.archive, "drop", "disk")
    act(archive_harness.archive, "end", "disk", archive_harness.now)
    act(archive_harness.archive, "revive", "disk")
    archive_harness.archive.alarms.accept([], ["disk"], archive_harness.now)
    assert known(archive_harness).ended_at is None


def test_news_go_on_from_where_they_were_and_by_one_instance(archive_harness: ArchiveHarness) -> None:
    alarms, other = archive_harness.archive.alarms, archive_harness.open("two").alarms
    first, second = Bookmark(archive_harness.now, 3), Bookmark(archive_harness.now + DAY, 9)
    assert alarms.bookmark("digest") is None
    assert [alarms.move("digest", None, first), other.move("digest", None, first)] == [True, False]
    assert [alarms.move("digest", first, second), other.move("digest", first, second)] == [True, False]
    assert alarms.bookmark("digest") == second


@ON_SQLITE
def test_on_sqlite_an_instance_is_alone(archive_harness: ArchiveHarness) -> None:
    assert archive_harness.archive.alarms.is_alone
