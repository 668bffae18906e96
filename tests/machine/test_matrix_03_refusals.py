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
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import SMALL, Harness, Wish, drain, settle

from easytracking_simulator import Call, Fault, Faults, JournalEntry, Kind, bad_zip, status
from easytracking_sync.archive import tables
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import DocumentState, PauseReason, Purpose

HUNDRED = replace(SMALL, documents=100)
DAY = timedelta(days=1)
ACCEPTED = 202


def reservations(harness: Harness, status: int | None = None) -> list[JournalEntry]:
    return [called for called in harness.simulator.journal("reserve") if status in {None, called.status}]


def pause_of(harness: Harness, label: str = "demo1") -> PauseReason | None:
    return harness.archive.accounts.paused(harness.accounts[label].id, harness.clock.now())


def travelled(harness: Harness) -> dict[int, list[Purpose]]:
    """Why each batch that ever carried a document existed, by docId."""
    query = (
        sa.select(tables.document.c.doc_id, tables.batch.c.purpose)
        .join(tables.batch_document, tables.batch_document.c.document_id == tables.document.c.id)
        .join(tables.batch, tables.batch.c.id == tables.batch_document.c.batch_id)
        .order_by(tables.batch.c.id)
    )
    found: dict[int, list[Purpose]] = {}
    with harness.archive.database.read() as connection:
        for row in connection.execute(query):
            found.setdefault(row.doc_id, []).append(Purpose(row.purpose))
    return found


def test_row_03_ten_bad_ids_of_a_hundred_do_not_delay_the_other_ninety(make: Make) -> None:
    """Bisected to the single bad ids, in few calls; no pause; the bad ones end in quarantine, with the reason."""
    harness = make(HUNDRED, policy=Policy(max_attempts=1))
    ids = harness.simulator.ids()
    bad = set(random.Random(3).sample(ids, 10))
    harness.simulator.faults = Faults(refused=frozenset(bad))
    assert settle(harness).waiting == 0
    assert_archived(harness, but=bad)
    assert harness.observer.named("account.paused") == []
    assert pause_of(harness) is None
    first_run = [called for called in reservations(harness) if called.at <= reservations(harness, ACCEPTED)[-1].at]
    assert len(first_run) < 150
    for doc_id in bad:
        entry = entries(harness)[doc_id]
        assert (entry.state, entry.attempts) == (DocumentState.QUARANTINED, 1)
        assert entry.reason is not None
        assert "refused (403)" in entry.reason


def test_row_03_one_bad_id_costs_few_calls(make: Make) -> None:
    """Among 32: two reservations for each halving to find it; the others are home in the same run."""
    harness = make(replace(SMALL, documents=32), policy=Policy(max_attempts=1))
    bad = harness.simulator.ids()[19]
    harness.simulator.faults = Faults(refused=frozenset({bad}))
    assert settle(harness).waiting == 0
    assert_archived(harness, but={bad})
    assert len(reservations(harness)) == 1 + 2 * 5


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bad=st.sets(st.integers(0, 7), max_size=6))
def test_row_03_whichever_ids_are_bad_all_others_are_archived(make: Make, bad: Collection[int]) -> None:
    """Property: every good id is stored and acknowledged in the same run, every bad one visible."""
    harness = make(replace(SMALL, documents=8), policy=Policy(max_attempts=1))
    ids = harness.simulator.ids()
    refused = frozenset(ids[place] for place in bad)
    harness.simulator.faults = Faults(refused=refused)
    assert settle(harness).waiting == 0
    assert_archived(harness, but=refused)
    assert {doc_id for doc_id, state in states(harness).items() if state is DocumentState.QUARANTINED} == refused


def test_row_03_bad_ids_are_bisected_when_acknowledging_too(make: Make) -> None:
    """The others are marked in the same run; the one that may not be is stored, tried daily and shown."""
    harness = make(replace(SMALL, documents=30))
    bad = harness.simulator.ids()[17]
    harness.simulator.faults = Faults(unmarkable=frozenset({bad}))
    assert settle(harness).waiting == 0
    assert_archived(harness, but={bad})
    entry = entries(harness)[bad]
    assert (entry.state, entry.unacknowledgeable) == (DocumentState.STORED, True)
    assert harness.simulator.count("fetch", status=200) == 1
    tried = harness.simulator.count("acknowledge")
    assert tried <= 12
    harness.clock.forward(DAY)
    drain(harness)
    assert harness.simulator.count("acknowledge") == tried + 1
    harness.simulator.clear_faults()
    harness.clock.forward(DAY)
    while harness.engine.step():
        pass
    assert_archived(harness)
    assert not entries(harness)[bad].unacknowledgeable


def test_row_03_a_marked_neighbour_does_not_mark_a_document(make: Make) -> None:
    """NO-LOSS: a refused acknowledgement counts as made before where the list shows this very document."""
    harness = make(replace(SMALL, documents=0))
    at = harness.clock.now()
    good, bad = (harness.simulator.add_document("demo1", received_at=at) for _ in range(2))
    harness.simulator.faults = Faults(unmarkable=frozenset({bad}))
    settle(harness)
    harness.clock.forward(DAY)
    drain(harness)
    assert harness.simulator.marked() == {good}
    assert (entries(harness)[bad].state, entries(harness)[bad].unacknowledgeable) == (DocumentState.STORED, True)


def test_row_03_refusals_of_everything_are_a_lost_permission_and_count_no_attempt(make: Make) -> None:
    """Eight single refusals in a row, no success between: the account pauses with an alarm, no attempt counted."""
    harness = make()
    harness.simulator.faults = Faults(always={"reserve": status(403)})
    assert settle(harness).waiting == 12
    singles = [called for called in reservations(harness) if len(called.ids) == 1]
    assert len(singles) == 8
    assert pause_of(harness) is PauseReason.PERMISSION
    assert {entry.attempts for entry in entries(harness).values()} == {0}
    assert DocumentState.QUARANTINED not in states(harness).values()
    overview = harness.archive.account_statuses.overviews()[0]
    assert overview.pause_reason is PauseReason.PERMISSION
    assert overview.pause_message
    alarms = [(level, facts["account"]) for name, level, facts in harness.observer.notes if name == "account.paused"]
    assert alarms == [("error", "demo1")]


def test_row_03_a_lost_permission_is_probed_hourly_with_few_calls_and_costs_no_attempts(make: Make) -> None:
    """Hours without permission: one look an hour, not one for every document."""
    harness = make(replace(SMALL, documents=12))
    harness.simulator.faults = Faults(always={"reserve": status(403)})
    settle(harness)
    before = len(reservations(harness))
    for _ in range(5):
        harness.clock.forward(timedelta(hours=1))
        while harness.engine.step():
            pass
        assert pause_of(harness) is PauseReason.PERMISSION
    probes = len(reservations(harness)) - before
    assert 5 <= probes <= 5 * 5
    assert {entry.attempts for entry in entries(harness).values()} == {0}


def test_row_03_work_resumes_by_itself_when_the_permission_comes_back(make: Make) -> None:
    """The next probe succeeds: everything comes home in that run."""
    harness = make(replace(SMALL, documents=12))
    harness.simulator.faults = Faults(always={"reserve": status(403)})
    settle(harness)
    harness.clock.forward(timedelta(hours=3))
    settle(harness)
    harness.simulator.clear_faults()
    harness.clock.forward(timedelta(hours=1))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert pause_of(harness) is None


def test_row_03_a_lost_permission_of_one_account_does_not_touch_the_other(make: Make) -> None:
    """NO-CROSS-ACCOUNT: pauses are per account."""
    harness = make(replace(SMALL, documents=20), wishes={"demo1": Wish(), "demo2": Wish()})
    harness.simulator.faults = Faults(refused=frozenset(harness.simulator.ids("demo1")))
    settle(harness)
    assert pause_of(harness, "demo1") is PauseReason.PERMISSION
    assert pause_of(harness, "demo2") is None
    assert_archived(harness, "demo2")


def test_row_03_an_accepted_document_is_not_delayed_by_many_refused_ones(make: Make) -> None:
    """NO-POISON: a customer's whole backlog is refused for good; what arrives for others comes home within hours."""
    harness = make(replace(SMALL, documents=20), policy=Policy(max_attempts=1))
    harness.simulator.faults = Faults(refused=frozenset(harness.simulator.ids()))
    settle(harness)
    good = harness.simulator.add_document("demo1", received_at=harness.clock.now())
    for _ in range(2):
        harness.clock.forward(timedelta(hours=1))
        settle(harness)
    assert states(harness)[good] is DocumentState.ACKNOWLEDGED


def test_row_03_suspects_never_travel_with_fresh_documents(make: Make) -> None:
    """What failed before goes with its like, however many fresh documents wait."""
    harness = make(replace(SMALL, documents=10))
    bad = set(harness.simulator.ids()[:2])
    harness.simulator.faults = Faults(refused=frozenset(bad))
    settle(harness, horizon=timedelta(0))
    for _ in range(3):
        fresh = {harness.simulator.add_document("demo1", received_at=harness.clock.now()) for _ in range(4)}
        harness.clock.forward(timedelta(minutes=5))
        before = len(reservations(harness))
        settle(harness, horizon=timedelta(0))
        for called in reservations(harness)[before:]:
            assert bad.isdisjoint(called.ids) or fresh.isdisjoint(called.ids)
    for doc_id, purposes in travelled(harness).items():
        firsts = [purpose for purpose in purposes if purpose is Purpose.FRESH]
        assert purposes[: len(firsts)] == firsts
        assert (Purpose.SUSPECT in purposes) is (doc_id in bad)


SPOILS_ITSELF: dict[str, Fault] = {
    "no-original": bad_zip("absent"),
    "damaged": bad_zip("bad-crc"),
    "not-in-the-zip": bad_zip("missing"),
}


@pytest.mark.parametrize("name", SPOILS_ITSELF)
def test_row_03_a_bad_document_is_quarantined_and_fetched_alone_once_it_is_repaired(make: Make, name: str) -> None:
    """`max_attempts`, then a day between; its reason is kept; nobody travels with it; nobody waits for it."""
    harness = make(replace(SMALL, documents=4), policy=Policy(max_attempts=4))
    bad = harness.simulator.ids()[2]
    harness.simulator.faults = Faults(spoilt={bad: replace(SPOILS_ITSELF[name], ids=(bad,))})
    assert settle(harness).waiting == 0
    assert_archived(harness, but={bad})
    entry = entries(harness)[bad]
    assert (entry.state, entry.attempts) == (DocumentState.QUARANTINED, 4)
    assert entry.reason
    assert entry.next_attempt_at is not None
    assert entry.next_attempt_at >= harness.clock.now() + timedelta(hours=23)

    harness.clock.forward(DAY)
    before = len(reservations(harness))
    drain_alone(harness)
    tried = reservations(harness)[before:]
    assert [called.ids for called in tried] == [(bad,)]
    assert entries(harness)[bad].state is DocumentState.QUARANTINED
    assert entries(harness)[bad].attempts == 5

    harness.simulator.clear_faults()
    harness.clock.forward(DAY)
    drain_alone(harness)
    assert_archived(harness)
    assert entries(harness)[bad].reason is None
    assert travelled(harness)[bad][-2:] == [Purpose.ALONE, Purpose.ALONE]


def drain_alone(harness: Harness) -> None:
    """What quarantine's retry sets going; it does not count as waiting until it is claimed."""
    harness.engine.step()
    drain(harness, horizon=timedelta(minutes=30))


def test_row_03_a_bad_document_in_quarantine_delays_nothing_new(make: Make) -> None:
    """NO-POISON: on the day of its retry, fresh documents travel as if it were not there."""
    harness = make(replace(SMALL, documents=3))
    bad = harness.simulator.ids()[0]
    harness.simulator.faults = Faults(refused=frozenset({bad}))
    settle(harness)
    harness.clock.forward(DAY)
    fresh = [harness.simulator.add_document("demo1", received_at=harness.clock.now()) for _ in range(3)]
    settle(harness, horizon=timedelta(minutes=1))
    assert {states(harness)[doc_id] for doc_id in fresh} == {DocumentState.ACKNOWLEDGED}
    assert_archived(harness, but={bad})


@pytest.mark.parametrize("code", [400, 403])
def test_row_03_a_single_refusal_is_the_document_s_whatever_its_status(make: Make, code: int) -> None:
    """400 with its message, or 403: the reason holds what the service said."""
    harness = make(replace(SMALL, documents=1), policy=Policy(max_attempts=2, refusals_to_pause=100))
    body = b'{"message": "documento sconosciuto"}' if code == 400 else b""
    harness.simulator.script(
        "reserve", Fault(kind=Kind.STATUS, status=code, body=body, content_type="application/json"), times=2
    )
    settle(harness)
    entry = next(iter(entries(harness).values()))
    assert entry.state is DocumentState.QUARANTINED
    assert str(code) in str(entry.reason)
    assert code == 403 or "documento sconosciuto" in str(entry.reason)
    assert {called.call for called in reservations(harness)} == {Call.JOBS}
