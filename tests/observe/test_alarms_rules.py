"""Which alarms stand, and what is told of each: once when it begins, once when it ends, whatever comes in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind, KnownAlarm
from easytracking_sync.archive import account_status
from easytracking_sync.observe.alarms.rules import (
    CAUSES,
    COUNTED,
    Alarm,
    AlarmAction,
    AlarmStep,
    Disk,
    Limits,
    Watched,
    standing,
    steps,
)
from easytracking_sync.terms import PauseReason

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Limits(backlog=24 * HOUR, free_bytes=2_000)
WELL = AccountCondition(account_id=7, label="acme", created_at=NOW - 900 * HOUR, last_success_at=NOW - HOUR)


def watched(
    condition: AccountCondition | None = None, *, silent_in: timedelta = HOUR, reason: str = "", **facts: Any
) -> Watched:
    return Watched(replace(condition or WELL, **facts), NOW + silent_in, reason)


def remembered(alarm: Alarm, **how: Any) -> KnownAlarm:
    """As it stands in the archive after it was told, an hour ago."""
    given: dict[str, Any] = {
        "key": alarm.key,
        "kind": alarm.kind,
        "account_id": alarm.account_id,
        "amount": alarm.amount,
        "begun_at": NOW - HOUR,
        "taken_at": NOW - HOUR,
        "told_at": NOW - HOUR,
        "ended_at": None,
    }
    return KnownAlarm(**(given | how))


def alarms(*accounts: Watched, disk: Disk | None = None, known: tuple[KnownAlarm, ...] = ()) -> dict[str, Alarm]:
    found = standing(accounts, disk, LIMITS, {one.key: one for one in known}, NOW)
    return {alarm.key: alarm for alarm in found}


def actions(*found: Alarm, known: tuple[KnownAlarm, ...] = (), place: str = "") -> list[tuple[AlarmAction, str]]:
    return [(step.action, step.key) for step in all_steps(*found, known=known, place=place)]


def all_steps(*found: Alarm, known: tuple[KnownAlarm, ...] = (), place: str = "") -> tuple[AlarmStep, ...]:
    by_key = {one.key: one for one in known}
    return steps(found, by_key, {7}, place, now=NOW, lost_before=NOW - HOUR / 4)


STANDING: list[tuple[str, Watched, AlarmKind | None]] = [
    ("all is well", watched(), None),
    ("login refused", watched(pause_reason=PauseReason.CREDENTIALS), AlarmKind.CREDENTIALS),
    ("permission lost", watched(pause_reason=PauseReason.PERMISSION, refused_in_row=8), AlarmKind.PERMISSION),
    ("address dead", watched(pause_reason=PauseReason.UNREACHABLE), AlarmKind.UNREACHABLE),
    ("some refused, not enough to pause", watched(refused_in_row=7), None),
    ("silent to the second", watched(silent_in=timedelta()), AlarmKind.SILENT),
    ("silent soon", watched(silent_in=timedelta(seconds=1)), None),
    ("waiting a day", watched(waiting=3, waiting_since=NOW - 24 * HOUR), None),
    ("waiting longer", watched(waiting=3, waiting_since=NOW - 25 * HOUR), AlarmKind.BACKLOG),
    ("in quarantine", watched(counts={AlarmKind.QUARANTINE: 1}), AlarmKind.QUARANTINE),
    ("unacknowledgeable", watched(counts={AlarmKind.UNACKNOWLEDGEABLE: 1}), AlarmKind.UNACKNOWLEDGEABLE),
    ("a gap", watched(counts={AlarmKind.GAP: 1}), AlarmKind.GAP),
    ("incomplete", watched(counts={AlarmKind.INCOMPLETE: 1}), AlarmKind.INCOMPLETE),
    ("changed", watched(counts={AlarmKind.CHANGED: 1}), AlarmKind.CHANGED),
    ("rotten", watched(counts={AlarmKind.ROTTEN: 1}), AlarmKind.ROTTEN),
]


@pytest.mark.parametrize(("one", "kind"), [row[1:] for row in STANDING], ids=[row[0] for row in STANDING])
def test_what_is_wrong_with_an_account_is_an_alarm_of_its_kind(one: Watched, kind: AlarmKind | None) -> None:
    assert [alarm.kind for alarm in alarms(one).values()] == ([kind] if kind else [])


def test_the_archive_counts_the_documents_of_every_kind_without_a_rule() -> None:
    assert {*COUNTED} == {*account_status.COUNTED, *account_status.RECENT, AlarmKind.QUARANTINE, AlarmKind.GAP}


def test_every_kind_of_an_account_is_in_that_table() -> None:
    assert {kind for _, _, kind in STANDING} == {*AlarmKind, None} - {AlarmKind.DISK}


@pytest.mark.parametrize(("free", "stands"), [(1_999, True), (2_000, False)])
def test_a_disk_is_an_alarm_below_its_limit(free: int, stands: bool) -> None:  # noqa: FBT001  a table's column
    assert bool(alarms(disk=Disk("/a", free))) is stands


def test_a_disk_at_its_limit_does_not_begin_and_end_every_minute() -> None:
    disk = Disk("/a", 2_100)
    (known,) = (remembered(Alarm(AlarmKind.DISK, None, "/a", 1_999)),)
    assert alarms(disk=disk) == {}
    assert set(alarms(disk=disk, known=(known,))) == {"disk"}
    assert alarms(disk=replace(disk, free_bytes=2_200), known=(known,)) == {}


def test_disks_of_two_machines_with_one_database_are_two_alarms() -> None:
    assert set(alarms(disk=Disk("/a", 1, "one"))) == {"disk/one"}
    other = remembered(Alarm(AlarmKind.DISK, None, "/a", 1, place="two"))
    assert actions(known=(other,), place="one") == []
    assert actions(known=(other,), place="two") == [(AlarmAction.END, "disk/two")]


def test_the_alarm_of_a_refused_login_ends_with_a_successful_listing_and_not_with_a_restart() -> None:
    known = remembered(Alarm(AlarmKind.CREDENTIALS, 7, "acme"))
    before, after = known.begun_at - HOUR, known.begun_at + HOUR / 2
    assert alarms(watched(last_success_at=before), known=(known,)).keys() == {known.key}
    assert alarms(watched(last_success_at=None), known=(known,)).keys() == {known.key}
    assert alarms(watched(last_success_at=after), known=(known,)) == {}


def test_the_alarm_of_a_lost_permission_ends_when_a_document_is_accepted_and_not_with_the_pause() -> None:
    known = remembered(Alarm(AlarmKind.PERMISSION, 7, "acme", 8))
    assert alarms(watched(refused_in_row=8), known=(known,)).keys() == {known.key}
    assert alarms(watched(refused_in_row=0), known=(known,)) == {}


MASKED = [(kind, cause) for kind, causes in CAUSES.items() for cause in sorted(causes)]


@pytest.mark.parametrize(("kind", "cause"), MASKED)
def test_a_consequence_of_an_active_alarm_does_not_begin_and_does_not_end(kind: AlarmKind, cause: AlarmKind) -> None:
    facts: dict[AlarmKind, dict[str, Any]] = {
        AlarmKind.CREDENTIALS: {"pause_reason": PauseReason.CREDENTIALS},
        AlarmKind.PERMISSION: {"pause_reason": PauseReason.PERMISSION},
        AlarmKind.UNREACHABLE: {"pause_reason": PauseReason.UNREACHABLE},
        AlarmKind.SILENT: {"silent_in": -HOUR},
        AlarmKind.BACKLOG: {"waiting": 1, "waiting_since": NOW - 100 * HOUR},
    }
    both = watched(**(facts[kind] | facts[cause]))
    assert {alarm.kind for alarm in alarms(both).values()} == {cause}
    known = remembered(Alarm(kind, 7, "acme"))
    assert {alarm.kind for alarm in alarms(both, known=(known,)).values()} == {kind, cause}


QUARANTINE = Alarm(AlarmKind.QUARANTINE, 7, "acme", 3)
UNTOLD: dict[str, Any] = {"told_at": None}
OVER: dict[str, Any] = {"ended_at": NOW - HOUR}
ON_ITS_WAY: dict[str, Any] = {"taken_at": NOW - timedelta(minutes=1)}

TOLD: list[tuple[str, bool, dict[str, Any] | None, AlarmAction | None]] = [
    ("new", True, None, AlarmAction.BEGIN),
    ("told, and still there", True, {}, None),
    ("told, and over", False, {}, AlarmAction.END),
    ("on its way, still there", True, UNTOLD | ON_ITS_WAY, None),
    ("on its way, and over already: its beginning comes first", False, UNTOLD | ON_ITS_WAY, None),
    ("lost on its way, still there", True, UNTOLD, AlarmAction.BEGIN_AGAIN),
    ("lost on its way, and over", False, UNTOLD, AlarmAction.DROP),
    ("its end on its way", False, OVER | ON_ITS_WAY, None),
    ("its end on its way, and back: its end comes first", True, OVER | ON_ITS_WAY, None),
    ("its end lost", False, OVER, AlarmAction.END_AGAIN),
    ("its end lost, and back: as if nothing had been", True, OVER, AlarmAction.REVIVE),
]


@pytest.mark.parametrize(("stands", "known", "action"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_an_alarm_is_reported_once_when_it_begins_and_once_when_it_ends(
    stands: bool,  # noqa: FBT001  a table's column
    known: dict[str, Any] | None,
    action: AlarmAction | None,
) -> None:
    found = (QUARANTINE,) if stands else ()
    memory = (remembered(QUARANTINE, **known),) if known is not None else ()
    assert actions(*found, known=memory) == ([(action, QUARANTINE.key)] if action else [])


@pytest.mark.parametrize("kind", sorted(COUNTED))
def test_an_alarm_that_becomes_worse_is_reported_again_after_a_day(kind: AlarmKind) -> None:
    was = Alarm(kind, 7, "acme", 3)
    long_ago = {"told_at": NOW - 24 * HOUR}
    assert actions(replace(was, amount=4), known=(remembered(was, **long_ago),)) == [(AlarmAction.GROW, was.key)]
    assert actions(replace(was, amount=4), known=(remembered(was),)) == []
    assert actions(replace(was, amount=2), known=(remembered(was, **long_ago),)) == []


def test_a_backlog_or_a_disk_that_becomes_worse_is_not_reported_again() -> None:
    was = Alarm(AlarmKind.BACKLOG, 7, "acme", 3)
    assert actions(replace(was, amount=99), known=(remembered(was, told_at=NOW - 99 * HOUR),)) == []


def test_alarms_of_another_instance_s_accounts_are_left_alone() -> None:
    foreign = remembered(Alarm(AlarmKind.QUARANTINE, 8, "beta", 3))
    assert actions(known=(foreign,)) == []


def test_alarms_of_one_kind_are_distinct_by_account() -> None:
    other = AccountCondition(account_id=8, label="beta", created_at=NOW)
    found = alarms(watched(counts={AlarmKind.QUARANTINE: 1}), watched(other, counts={AlarmKind.QUARANTINE: 2}))
    assert {key: alarm.subject for key, alarm in found.items()} == {"quarantine/7": "acme", "quarantine/8": "beta"}


@given(st.lists(st.booleans(), max_size=30))
def test_begins_and_ends_of_an_alarm_alternate_and_restarts_change_nothing(
    states: list[bool],
) -> None:
    """Everything is accepted at once here; the memory is all that stays between two looks."""
    memory: tuple[KnownAlarm, ...] = ()
    told: list[AlarmAction] = []
    for stands in states:
        for step in all_steps(*((QUARANTINE,) if stands else ()), known=memory):
            told.append(step.action)
            memory = (remembered(QUARANTINE),) if step.action is AlarmAction.BEGIN else ()
    assert told == [AlarmAction.BEGIN, AlarmAction.END] * (len(told) // 2) + [AlarmAction.BEGIN] * (len(told) % 2)
    assert bool(memory) == (states[-1] if states else False)
