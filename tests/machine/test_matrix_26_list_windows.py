"""Row 26 of the fault matrix: a second that the service does not list hides no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import ROME, SMALL, Harness, Wish, cycle_of, list_through, settle

from easytracking_simulator import Fault, Faults, Kind, status
from easytracking_sync.alarm_terms import AlarmKind
from easytracking_sync.errors import ServiceUnavailable
from easytracking_sync.machine.listing import Cycle, Scope
from easytracking_sync.machine.listing.narrowing import MOST_IN_VAIN, Failures, Narrowing
from easytracking_sync.terms import DocumentState, Gap, Window, WindowKind

SINCE_2019 = {"demo1": Wish(history_from=date(2019, 1, 1))}
YEARS = replace(SMALL, documents=30, history_days=2000)
BROKEN = [
    pytest.param(status(403), id="403"),
    pytest.param(status(400), id="400"),
    pytest.param(status(500), id="500"),
    pytest.param(Fault(kind=Kind.TIMEOUT), id="time-out"),
]


def poison(harness: Harness, fault: Fault) -> int:
    """The list fails whenever it would hold this document."""
    bad = harness.simulator.ids()[7]
    harness.simulator.faults = Faults(poison={"list": {bad: fault}})
    return bad


def received(harness: Harness, doc_id: int) -> datetime:
    moment = harness.simulator.document(doc_id).received
    assert moment is not None
    return moment.replace(microsecond=0)


def listed(harness: Harness, *, marked_too: bool = False) -> Cycle:
    """One cycle over the history by reception, recorded as the service does."""
    account = harness.accounts["demo1"]
    whole = Scope.whole_history(account, harness.clock.now(), marked_too=marked_too)
    windows = tuple(window for window in whole.windows if window.kind is WindowKind.RECEIVED)
    cycle = list_through(harness, cycle_of(harness, account, replace(whole, windows=windows)))
    harness.archive.cycles.record(cycle.record("sync"), harness.clock.now())
    return cycle


def calls(harness: Harness) -> int:
    return harness.simulator.count("list")


@pytest.mark.parametrize("fault", BROKEN)
def test_row_26_one_second_is_left_out_and_all_others_are_listed(make: Make, fault: Fault) -> None:
    """NO-POISON: within minutes, and the second is named."""
    harness = make(YEARS, wishes=SINCE_2019)
    bad = poison(harness, fault)
    begun = harness.clock.now()
    cycle = listed(harness)
    assert harness.clock.now() - begun < timedelta(minutes=30)
    assert set(entries(harness)) == set(harness.simulator.ids()) - {bad}
    at = received(harness, bad)
    assert [(gap.window, gap.marked) for gap in cycle.gaps] == [(Window(WindowKind.RECEIVED, at, at), False)]
    assert not cycle.is_complete
    assert calls(harness) < 150


def test_row_26_a_second_that_is_not_listed_is_shown_and_is_an_alarm(make: Make) -> None:
    """NO-LOSS: until it is listed again."""
    harness = make(YEARS, wishes=SINCE_2019)
    bad = poison(harness, status(500))
    listed(harness)
    (overview,) = harness.archive.account_statuses.overviews(["demo1"])
    assert [gap.window.start for gap in overview.gaps] == [received(harness, bad)]
    assert "the service failed (500)" in overview.gaps[0].reason
    assert overview.last_success_at is not None, "the account is listed all the same"
    assert condition(harness) == 1
    harness.simulator.clear_faults()
    listed(harness)
    assert bad in entries(harness)
    assert condition(harness) == 0
    assert harness.archive.account_statuses.overviews(["demo1"])[0].gaps == ()


def condition(harness: Harness) -> int:
    (one,) = harness.archive.account_statuses.conditions(harness.account_ids, 8, harness.clock.now())
    return one.count(AlarmKind.GAP)


def test_row_26_a_known_gap_costs_few_calls(make: Make) -> None:
    """BOUNDED: it is not searched for again every quarter of an hour."""
    harness = make(YEARS, wishes=SINCE_2019)
    poison(harness, status(403))
    windows = calls(harness)
    listed(harness)
    before = calls(harness)
    listed(harness)
    assert calls(harness) - before <= 12
    assert before - windows > 25


def test_row_26_documents_near_a_gap_do_not_count_as_withdrawn(make: Make) -> None:
    harness = make(YEARS, wishes=SINCE_2019)
    listed(harness)
    poison(harness, status(403))
    harness.clock.forward(timedelta(minutes=15))
    listed(harness, marked_too=True)
    assert DocumentState.WITHDRAWN not in states(harness).values()


def test_row_26_a_document_of_a_gap_comes_by_its_date(make: Make) -> None:
    """A catch-up lists document dates too: where only the one second fails, the document comes all the same."""
    harness = make(YEARS, wishes=SINCE_2019)
    at = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)
    bad = harness.simulator.add_document("demo1", received_at=at)
    harness.archive.cycles.record(
        replace(
            listed(harness).record("sync"),
            gaps=(Gap(Window(WindowKind.RECEIVED, local(at), local(at)), marked=False, reason="it was refused"),),
        ),
        harness.clock.now(),
    )
    settle(harness)
    assert_archived(harness)
    assert bad in entries(harness)


def local(moment: datetime) -> datetime:
    return moment.astimezone(ROME).replace(tzinfo=None)


def test_row_26_an_account_that_may_not_list_is_not_searched_to_the_second(make: Make) -> None:
    """BOUNDED: everything is refused; that is some thirty calls, and no account that lists successfully."""
    harness = make(YEARS, wishes=SINCE_2019)
    harness.simulator.faults = Faults(always={"list": status(403)})
    cycle = listed(harness)
    assert not cycle.is_complete
    assert calls(harness) < 3 * MOST_IN_VAIN
    assert harness.archive.account_statuses.overviews(["demo1"])[0].last_success_at is None


@pytest.mark.parametrize("fault", [status(500), status(503), Fault(kind=Kind.TIMEOUT)])
def test_row_26_an_outage_narrows_nothing(make: Make, fault: Fault) -> None:
    harness = make(YEARS, wishes=SINCE_2019)
    harness.simulator.faults = Faults(always={"list": fault})
    cycle = cycle_of(harness, harness.accounts["demo1"])
    for _ in range(300):
        with pytest.raises(ServiceUnavailable):
            cycle.step()
    harness.simulator.clear_faults()
    before = calls(harness)
    list_through(harness, cycle)
    assert cycle.is_complete
    assert calls(harness) - before == 2 * len(
        Scope.whole_history(cycle.account, harness.clock.now(), marked_too=True).windows
    )


def test_one_failure_more_narrows_a_window_where_others_are_listed() -> None:
    narrowing, failures = Narrowing(), Failures()
    found = []
    for _ in range(4):
        found.append(narrowing.blames(failures, lambda: False))
        narrowing.answered()
    assert found == [False, False, False, True]


def test_without_another_answer_no_failure_counts() -> None:
    narrowing, failures = Narrowing(), Failures()
    assert not any(narrowing.blames(failures, lambda: False) for _ in range(100))


@given(st.data())
def test_what_is_left_around_gaps_misses_no_second(data: st.DataObject) -> None:
    start = datetime(2026, 1, 1)  # noqa: DTZ001  naive, local to the service
    length = data.draw(st.integers(0, 40))
    window = Window(WindowKind.RECEIVED, start, start + timedelta(seconds=length))
    seconds = [start + timedelta(seconds=number) for number in range(length + 1)]
    holes = [Window(WindowKind.RECEIVED, one, one) for one in data.draw(st.sets(st.sampled_from(seconds)))]
    parts = window.around(holes)
    for second in seconds:
        inside = sum(part.holds(second) for part in parts)
        assert inside == (not any(hole.holds(second) for hole in holes))
