"""Row 3 of the fault matrix: refused ids, lost permissions, suspects and the quarantine."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_home, entries, states
from tests.support.harness import SMALL, Station, Wish, drain, settle

from easytracking_simulator import Call, Called, Fault, Faults, Kind, bad_zip, status
from easytracking_sync.archive import tables
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import DocumentState, PauseReason, Purpose

HUNDRED = replace(SMALL, documents=100)
DAY = timedelta(days=1)
ACCEPTED = 202


def reservations(station: Station, status: int | None = None) -> list[Called]:
    return [called for called in station.simulator.journal("reserve") if status in {None, called.status}]


def pause_of(station: Station, label: str = "demo1") -> PauseReason | None:
    return station.archive.accounts.paused(station.accounts[label].id, station.clock.now())


def travelled(station: Station) -> dict[int, list[Purpose]]:
    """Why each batch that ever carried a document existed, by docId."""
    query = (
        sa.select(tables.document.c.doc_id, tables.batch.c.purpose)
        .join(tables.batch_document, tables.batch_document.c.document_id == tables.document.c.id)
        .join(tables.batch, tables.batch.c.id == tables.batch_document.c.batch_id)
        .order_by(tables.batch.c.id)
    )
    found: dict[int, list[Purpose]] = {}
    with station.archive.database.read() as connection:
        for row in connection.execute(query):
            found.setdefault(row.doc_id, []).append(Purpose(row.purpose))
    return found


def test_row_03_ten_bad_ids_among_a_hundred_let_ninety_through_in_the_same_run(make: Make) -> None:
    """Bisected to the single bad ids, in few calls; no pause; the bad ones end in quarantine, with the reason."""
    station = make(HUNDRED, policy=Policy(max_attempts=1))
    ids = station.simulator.ids()
    bad = set(random.Random(3).sample(ids, 10))
    station.simulator.faults = Faults(refused=frozenset(bad))
    assert settle(station).waiting == 0
    assert_home(station, but=bad)
    assert station.observer.named("account.paused") == []
    assert pause_of(station) is None
    first_run = [called for called in reservations(station) if called.at <= reservations(station, ACCEPTED)[-1].at]
    assert len(first_run) < 150
    for doc_id in bad:
        entry = entries(station)[doc_id]
        assert (entry.state, entry.attempts) == (DocumentState.QUARANTINED, 1)
        assert entry.reason is not None
        assert "refused (403)" in entry.reason


def test_row_03_one_bad_id_costs_few_calls(make: Make) -> None:
    """Among 32: two reservations for each halving to find it; the others are home in the same run."""
    station = make(replace(SMALL, documents=32), policy=Policy(max_attempts=1))
    bad = station.simulator.ids()[19]
    station.simulator.faults = Faults(refused=frozenset({bad}))
    assert settle(station).waiting == 0
    assert_home(station, but={bad})
    assert len(reservations(station)) == 1 + 2 * 5


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=st.sets(st.integers(0, 7), max_size=6))
def test_row_03_whichever_ids_are_bad_all_good_ones_come_home(make: Make, bad: Collection[int]) -> None:
    """Property: every good id is stored and acknowledged in the same run, every bad one visible."""
    station = make(replace(SMALL, documents=8), policy=Policy(max_attempts=1))
    ids = station.simulator.ids()
    refused = frozenset(ids[place] for place in bad)
    station.simulator.faults = Faults(refused=refused)
    assert settle(station).waiting == 0
    assert_home(station, but=refused)
    assert {doc_id for doc_id, state in states(station).items() if state is DocumentState.QUARANTINED} == refused


def test_row_03_bad_ids_are_bisected_when_acknowledging_too(make: Make) -> None:
    """The others are marked in the same run; the one that may not be is stored, tried daily and shown."""
    station = make(replace(SMALL, documents=30))
    bad = station.simulator.ids()[17]
    station.simulator.faults = Faults(unmarkable=frozenset({bad}))
    assert settle(station).waiting == 0
    assert_home(station, but={bad})
    entry = entries(station)[bad]
    assert (entry.state, entry.unacknowledgeable) == (DocumentState.STORED, True)
    assert station.simulator.count("fetch", status=200) == 1
    tried = station.simulator.count("acknowledge")
    assert tried <= 12
    station.clock.forward(DAY)
    drain(station)
    assert station.simulator.count("acknowledge") == tried + 1
    station.simulator.calm()
    station.clock.forward(DAY)
    while station.engine.step():
        pass
    assert_home(station)
    assert not entries(station)[bad].unacknowledgeable


def test_row_03_a_neighbour_that_is_marked_marks_no_document(make: Make) -> None:
    """NO-LOSS: a refused acknowledgement counts as made before where the list shows this very document."""
    station = make(replace(SMALL, documents=0))
    at = station.clock.now()
    good, bad = (station.simulator.add_document("demo1", received_at=at) for _ in range(2))
    station.simulator.faults = Faults(unmarkable=frozenset({bad}))
    settle(station)
    station.clock.forward(DAY)
    drain(station)
    assert station.simulator.marked() == {good}
    assert (entries(station)[bad].state, entries(station)[bad].unacknowledgeable) == (DocumentState.STORED, True)


def test_row_03_everything_refused_is_a_lost_permission_and_nobody_s_attempt(make: Make) -> None:
    """Eight single refusals in a row, no success between: the account pauses with an alarm, no attempt counted."""
    station = make()
    station.simulator.faults = Faults(always={"reserve": status(403)})
    assert settle(station).waiting == 12
    singles = [called for called in reservations(station) if len(called.ids) == 1]
    assert len(singles) == 8
    assert pause_of(station) is PauseReason.PERMISSION
    assert {entry.attempts for entry in entries(station).values()} == {0}
    assert DocumentState.QUARANTINED not in states(station).values()
    overview = station.archive.document_search.overviews()[0]
    assert overview.pause_reason is PauseReason.PERMISSION
    assert overview.pause_message
    alarms = [(level, facts["account"]) for name, level, facts in station.observer.notes if name == "account.paused"]
    assert alarms == [("error", "demo1")]


def test_row_03_a_lost_permission_is_probed_hourly_with_few_calls_and_costs_no_attempts(make: Make) -> None:
    """Hours without permission: one look an hour, not one for every document."""
    station = make(replace(SMALL, documents=12))
    station.simulator.faults = Faults(always={"reserve": status(403)})
    settle(station)
    before = len(reservations(station))
    for _ in range(5):
        station.clock.forward(timedelta(hours=1))
        while station.engine.step():
            pass
        assert pause_of(station) is PauseReason.PERMISSION
    probes = len(reservations(station)) - before
    assert 5 <= probes <= 5 * 5
    assert {entry.attempts for entry in entries(station).values()} == {0}


def test_row_03_work_resumes_by_itself_when_the_permission_comes_back(make: Make) -> None:
    """The next probe succeeds: everything comes home in that run."""
    station = make(replace(SMALL, documents=12))
    station.simulator.faults = Faults(always={"reserve": status(403)})
    settle(station)
    station.clock.forward(timedelta(hours=3))
    settle(station)
    station.simulator.calm()
    station.clock.forward(timedelta(hours=1))
    assert settle(station).waiting == 0
    assert_home(station)
    assert pause_of(station) is None


def test_row_03_a_lost_permission_of_one_account_does_not_touch_the_other(make: Make) -> None:
    """NO-CROSS-ACCOUNT: pauses are per account."""
    station = make(replace(SMALL, documents=20), wishes={"demo1": Wish(), "demo2": Wish()})
    station.simulator.faults = Faults(refused=frozenset(station.simulator.ids("demo1")))
    settle(station)
    assert pause_of(station, "demo1") is PauseReason.PERMISSION
    assert pause_of(station, "demo2") is None
    assert_home(station, "demo2")


def test_row_03_a_document_that_may_be_had_is_not_held_up_by_many_that_may_not(make: Make) -> None:
    """NO-POISON: a customer's whole backlog is refused for good; what arrives for others comes home within hours."""
    station = make(replace(SMALL, documents=20), policy=Policy(max_attempts=1))
    station.simulator.faults = Faults(refused=frozenset(station.simulator.ids()))
    settle(station)
    good = station.simulator.add_document("demo1", received_at=station.clock.now())
    for _ in range(2):
        station.clock.forward(timedelta(hours=1))
        settle(station)
    assert states(station)[good] is DocumentState.ACKNOWLEDGED


def test_row_03_suspects_never_travel_with_fresh_documents(make: Make) -> None:
    """What failed before goes with its like, however many fresh documents wait."""
    station = make(replace(SMALL, documents=10))
    bad = set(station.simulator.ids()[:2])
    station.simulator.faults = Faults(refused=frozenset(bad))
    settle(station, horizon=timedelta(0))
    for _ in range(3):
        fresh = {station.simulator.add_document("demo1", received_at=station.clock.now()) for _ in range(4)}
        station.clock.forward(timedelta(minutes=5))
        before = len(reservations(station))
        settle(station, horizon=timedelta(0))
        for called in reservations(station)[before:]:
            assert bad.isdisjoint(called.ids) or fresh.isdisjoint(called.ids)
    for doc_id, purposes in travelled(station).items():
        firsts = [purpose for purpose in purposes if purpose is Purpose.FRESH]
        assert purposes[: len(firsts)] == firsts
        assert (Purpose.SUSPECT in purposes) is (doc_id in bad)


SPOILS_ITSELF: dict[str, Fault] = {
    "no-original": bad_zip("absent"),
    "damaged": bad_zip("bad-crc"),
    "not-in-the-zip": bad_zip("missing"),
}


@pytest.mark.parametrize("name", SPOILS_ITSELF)
def test_row_03_a_bad_document_ends_in_quarantine_and_comes_home_alone_once_it_is_mended(
    make: Make, name: str
) -> None:
    """`max_attempts`, then a day between; its reason is kept; nobody travels with it; nobody waits for it."""
    station = make(replace(SMALL, documents=4), policy=Policy(max_attempts=4))
    bad = station.simulator.ids()[2]
    station.simulator.faults = Faults(spoilt={bad: replace(SPOILS_ITSELF[name], ids=(bad,))})
    assert settle(station).waiting == 0
    assert_home(station, but={bad})
    entry = entries(station)[bad]
    assert (entry.state, entry.attempts) == (DocumentState.QUARANTINED, 4)
    assert entry.reason
    assert entry.next_attempt_at is not None
    assert entry.next_attempt_at >= station.clock.now() + timedelta(hours=23)

    station.clock.forward(DAY)
    before = len(reservations(station))
    drain_alone(station)
    tried = reservations(station)[before:]
    assert [called.ids for called in tried] == [(bad,)]
    assert entries(station)[bad].state is DocumentState.QUARANTINED
    assert entries(station)[bad].attempts == 5

    station.simulator.calm()
    station.clock.forward(DAY)
    drain_alone(station)
    assert_home(station)
    assert entries(station)[bad].reason is None
    assert travelled(station)[bad][-2:] == [Purpose.ALONE, Purpose.ALONE]


def drain_alone(station: Station) -> None:
    """What quarantine's retry sets going; it does not count as waiting until it is claimed."""
    station.engine.step()
    drain(station, horizon=timedelta(minutes=30))


def test_row_03_a_bad_document_in_quarantine_delays_nothing_new(make: Make) -> None:
    """NO-POISON: on the day of its retry, fresh documents travel as if it were not there."""
    station = make(replace(SMALL, documents=3))
    bad = station.simulator.ids()[0]
    station.simulator.faults = Faults(refused=frozenset({bad}))
    settle(station)
    station.clock.forward(DAY)
    fresh = [station.simulator.add_document("demo1", received_at=station.clock.now()) for _ in range(3)]
    settle(station, horizon=timedelta(minutes=1))
    assert {states(station)[doc_id] for doc_id in fresh} == {DocumentState.ACKNOWLEDGED}
    assert_home(station, but={bad})


@pytest.mark.parametrize("code", [400, 403])
def test_row_03_a_single_refusal_is_the_document_s_whatever_its_status(make: Make, code: int) -> None:
    """400 with its message, or 403: the reason holds what the service said."""
    station = make(replace(SMALL, documents=1), policy=Policy(max_attempts=2, refusals_to_pause=100))
    body = b'{"message": "documento sconosciuto"}' if code == 400 else b""
    station.simulator.script(
        "reserve", Fault(kind=Kind.STATUS, status=code, body=body, content_type="application/json"), times=2
    )
    settle(station)
    entry = next(iter(entries(station).values()))
    assert entry.state is DocumentState.QUARANTINED
    assert str(code) in str(entry.reason)
    assert code == 403 or "documento sconosciuto" in str(entry.reason)
    assert {called.call for called in reservations(station)} == {Call.JOBS}
