"""Cycles: every document of the history is found, whatever the list does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import ROME, SMALL, Harness, Wish, cycle_of, list_through, settle

from easytracking_simulator import WITHOUT_FIELD, Counts, Faults, odd_element, status
from easytracking_sync.errors import DatabaseUnavailable, ServiceUnavailable
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.machine.intake import Intake, IntakeCounts, ReceivedList
from easytracking_sync.machine.listing import Cycle, Scope
from easytracking_sync.remote import DocumentList, EasyTracking, ListQuery
from easytracking_sync.terms import (
    MOST_LISTED,
    AcknowledgeWith,
    DocumentState,
    Window,
    WindowKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

YEARS = replace(SMALL, documents=40, history_days=2500)
SINCE_2019 = {"demo1": Wish(history_from=date(2019, 1, 1))}
SECOND = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)
UNREADABLE = ("null-id", "word-id", "float-id", "huge-id", "negative-id", "true-id", "no-id", "not-an-object", "null")
READABLE = (
    *("text-id", "only-id", "nulls", "other-types", "huge-numbers", "nul", "surrogate", "odd-dates"),
    *("no-reception", "long", "more-fields", "twice"),
)


class Top(httpx.BaseTransport):
    """A service whose `top` is lower than what is asked for, whatever it is."""

    def __init__(self, inner: httpx.BaseTransport, most: int) -> None:
        self._inner = inner
        self._most = most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if "top" in url.params:
            url = url.copy_set_param("top", str(self._most))
        return self._inner.handle_request(
            httpx.Request(request.method, url, headers=request.headers, content=request.read())
        )


def listed(harness: Harness, *, marked_too: bool = True) -> Cycle:
    """One cycle over the whole history of the first account, to its end."""
    account = next(iter(harness.accounts.values()))
    return list_through(harness, cycle_of(harness, account, marked_too=marked_too))


def found(harness: Harness) -> set[int]:
    return set(entries(harness))


def test_a_history_of_years_is_listed_completely(make: Make) -> None:
    """Windows of at most 364 days back to `history_from`, even by the strictest reading of "365 days"."""
    harness = make(replace(YEARS, inclusive_day_count=True, range_required=True), wishes=SINCE_2019)
    cycle = listed(harness)
    assert found(harness) == set(harness.simulator.ids())
    assert cycle.is_complete
    assert harness.simulator.count("list", status=400) == 0


def test_documents_older_than_history_from_are_not_listed(make: Make) -> None:
    """The operator configures how far back to list."""
    harness = make(YEARS, wishes={"demo1": Wish(history_from=date(2026, 1, 1))})
    listed(harness)
    new = {
        doc_id
        for doc_id in harness.simulator.ids()
        if max(_received(harness, doc_id).date(), _dated(harness, doc_id)) >= date(2026, 1, 1)
    }
    assert found(harness) == new
    assert 0 < len(new) < 40


def _received(harness: Harness, doc_id: int) -> datetime:
    received = harness.simulator.document(doc_id).received
    assert received is not None
    return received


def _dated(harness: Harness, doc_id: int) -> date:
    dated = harness.simulator.document(doc_id).date
    assert dated is not None
    return dated


def test_a_second_cycle_finds_nothing_new(make: Make) -> None:
    """Only new ids are inserted; repeating a listing is safe."""
    harness = make(YEARS, wishes=SINCE_2019)
    first, second = listed(harness), listed(harness)
    assert (first.absorbed.discovered, second.absorbed.discovered) == (40, 0)
    assert (second.absorbed.changed, second.absorbed.relisted) == (0, 0)


@pytest.mark.parametrize("counts", [Counts.MATCH, Counts.ANSWER])
def test_413_halves_the_window_until_the_list_fits(make: Make, counts: Counts) -> None:
    """Everything is found, whether the service limits the matching or the returned elements."""
    harness = make(replace(SMALL, documents=60, list_cap=5, cap_counts=counts))
    cycle = listed(harness)
    assert found(harness) == set(harness.simulator.ids())
    assert harness.simulator.count("list", status=413) > 5
    assert cycle.is_complete


def test_a_total_above_the_count_halves_the_window(make: Make) -> None:
    """The service returns 7 of 60 and says so; a truncated list never counts as complete."""
    harness = make(replace(SMALL, documents=60, total_counts=Counts.MATCH), wrap=lambda inner: Top(inner, 7))
    cycle = listed(harness)
    assert found(harness) == set(harness.simulator.ids())
    assert cycle.is_complete


@dataclass
class FullList:
    """A service that answers as many elements as `top` allows for any window longer than a day, and no total."""

    asked: list[ListQuery] = field(default_factory=list)

    def list_documents(self, query: ListQuery) -> DocumentList:
        self.asked.append(query)
        start, end = query.window.start, query.window.end
        if end - start > timedelta(days=1):
            return DocumentList((), None, (), MOST_LISTED)
        documents = tuple(
            ListedDocument(doc_id=day.toordinal(), raw=b"{}", fingerprint="0" * 64) for day in _midnights(start, end)
        )
        return DocumentList(documents, None, (), len(documents))


def _midnights(start: datetime, end: datetime) -> Iterator[date]:
    day = start.date()
    while day <= end.date():
        if start <= datetime.combine(day, datetime.min.time()) <= end:
            yield day
        day += timedelta(days=1)


def test_as_many_elements_as_top_allows_means_truncation(make: Make) -> None:
    """Without a total, a list of `top` elements counts as truncated, and its window is halved."""
    harness = make()
    service = FullList()
    account = replace(harness.accounts["demo1"], service=cast("EasyTracking", service))
    scope = Scope.between(datetime(2026, 1, 1), datetime(2026, 2, 1), marked_too=False)  # noqa: DTZ001
    cycle = list_through(harness, cycle_of(harness, account, scope))
    assert found(harness) == {date(2026, 1, 1).toordinal() + day for day in range(32)}
    assert cycle.is_complete
    assert {query.top for query in service.asked} == {MOST_LISTED}


def test_a_second_with_more_documents_than_a_list_is_listed_repeatedly(make: Make) -> None:
    """Take in the list of one second, acknowledge, and list again until the second is empty."""
    options = replace(SMALL, documents=0, total_counts=Counts.MATCH)
    harness = make(options, wrap=lambda inner: Top(inner, 3))
    for _ in range(8):
        harness.simulator.add_document("demo1", received_at=SECOND)
    settled = settle(harness)
    assert settled.waiting == 0
    assert_archived(harness)


def test_a_second_that_cannot_be_listed_completely_is_reported_and_skipped(make: Make) -> None:
    """A 413 for one second makes the cycle incomplete and is reported; everything else is found."""
    harness = make(replace(SMALL, list_cap=3))
    crowd = {harness.simulator.add_document("demo1", received_at=SECOND, data=None) for _ in range(5)}
    cycle = listed(harness, marked_too=False)
    assert found(harness) == set(harness.simulator.ids()) - crowd
    at = SECOND.astimezone(ROME).replace(tzinfo=None)
    assert cycle.truncated == [Window(WindowKind.RECEIVED, at, at)]
    assert not cycle.is_complete
    assert cycle.record("sync").outcome == "truncated"
    rest = cycle.remainder
    assert rest is not None
    assert rest.windows == tuple(cycle.truncated)
    assert harness.observer.named("window.truncated")


def test_documents_marked_by_others_are_found_with_both_phases_only(make: Make) -> None:
    """The portal, an ERP or another user may mark documents; `--new-only` ignores them."""
    harness = make()
    theirs = set(harness.simulator.ids()[:5])
    harness.simulator.set_phase(1, theirs)
    listed(harness, marked_too=False)
    assert found(harness) == set(harness.simulator.ids()) - theirs
    listed(harness, marked_too=True)
    assert found(harness) == set(harness.simulator.ids())
    settle(harness)
    assert_archived(harness)


def test_a_document_withdrawn_before_it_was_fetched_becomes_withdrawn(make: Make) -> None:
    """Missing from both complete lists of a window: WITHDRAWN. Listed again: back in the pool."""
    harness = make()
    listed(harness)
    gone = harness.simulator.ids()[3]
    harness.simulator.withdraw(gone)
    harness.clock.forward(timedelta(minutes=15))
    listed(harness)
    assert {doc_id for doc_id, state in states(harness).items() if state is DocumentState.WITHDRAWN} == {gone}
    assert harness.observer.named("documents.withdrawn") == [{"account": "demo1", "count": 1}]
    settle(harness)
    assert_archived(harness)
    assert states(harness)[gone] is DocumentState.WITHDRAWN


def test_only_listings_of_both_phases_can_tell_that_a_document_was_withdrawn(make: Make) -> None:
    """A document missing from the unmarked ones may be among the marked ones."""
    harness = make()
    listed(harness)
    harness.simulator.withdraw(harness.simulator.ids()[3])
    harness.clock.forward(timedelta(minutes=15))
    listed(harness, marked_too=False)
    assert DocumentState.WITHDRAWN not in states(harness).values()


def test_a_stored_document_never_becomes_withdrawn(make: Make) -> None:
    """Stored and acknowledged documents stay, whatever the service lists."""
    harness = make()
    settle(harness)
    harness.simulator.withdraw(harness.simulator.ids()[0])
    harness.clock.forward(timedelta(minutes=15))
    settle(harness)
    assert set(states(harness).values()) == {DocumentState.ACKNOWLEDGED}


def test_a_document_without_reception_time_is_found_by_its_date(make: Make) -> None:
    """No reception window can show it, so document dates are listed too."""
    harness = make()
    undated = harness.simulator.add_document("demo1", dataRicezione=None, data="2026-03-01")
    without = harness.simulator.add_document("demo1", dataRicezione=WITHOUT_FIELD, data="2026-04-01")
    settle(harness)
    assert {undated, without} <= found(harness)
    assert entries(harness)[undated].received is None
    assert_archived(harness)


@pytest.mark.parametrize("variety", READABLE)
def test_an_odd_element_with_a_usable_id_is_fetched_like_any_other(make: Make, variety: str) -> None:
    """RAW-FIRST: every field but `id` may be null, missing or odd."""
    harness = make(replace(SMALL, documents=5))
    odd = harness.simulator.ids()[2]
    harness.simulator.faults = Faults(always={"list": odd_element(variety, odd)})
    settled = settle(harness)
    assert settled.waiting == 0
    assert_archived(harness)
    assert entries(harness)[odd].doc_id == odd


def test_an_element_without_a_usable_id_affects_no_other(make: Make) -> None:
    """The others are fetched; the element is counted and reported."""
    harness = make(replace(SMALL, documents=5))
    odd = harness.simulator.ids()[2]
    for variety in UNREADABLE:
        harness.simulator.faults = Faults(always={"list": odd_element(variety, odd)})
        cycle = listed(harness)
        assert cycle.record("sync").unreadable == cycle.unreadable >= 1, variety
        assert found(harness) == set(harness.simulator.ids()) - {odd}, variety
    assert len(harness.observer.named("element.unreadable")) >= len(UNREADABLE)
    settle(harness)
    assert set(states(harness).values()) == {DocumentState.ACKNOWLEDGED}


def test_a_document_whose_id_became_unreadable_is_not_taken_for_withdrawn(make: Make) -> None:
    """NO-LOSS: a list with an unreadable element does not prove that a document is gone."""
    harness = make(replace(SMALL, documents=5))
    listed(harness)
    harness.simulator.faults = Faults(always={"list": odd_element("null-id", harness.simulator.ids()[2])})
    harness.clock.forward(timedelta(minutes=15))
    listed(harness)
    assert DocumentState.WITHDRAWN not in states(harness).values()


def test_a_window_that_is_refused_once_is_listed_in_its_halves(make: Make) -> None:
    """Nothing is left out, and none of its documents counts as withdrawn."""
    harness = make(wishes=SINCE_2019)
    harness.simulator.script("list", status(400, body=b'{"message": "no"}'))
    cycle = listed(harness)
    assert cycle.is_complete
    assert found(harness) == set(harness.simulator.ids())
    harness.clock.forward(timedelta(minutes=15))
    harness.simulator.script("list", status(403))
    listed(harness)
    assert DocumentState.WITHDRAWN not in states(harness).values()


def test_a_list_step_that_fails_changes_nothing_and_may_be_repeated(make: Make) -> None:
    """The same window is listed again."""
    harness = make()
    harness.simulator.script("list", status(503))
    cycle = cycle_of(harness, harness.accounts["demo1"])
    with pytest.raises(ServiceUnavailable):
        cycle.step()
    assert found(harness) == set()
    while cycle.step():
        pass
    assert found(harness) == set(harness.simulator.ids())
    assert cycle.is_complete


class Busy:
    """An intake whose database fails the first time each list is taken in."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._calls = 0
        self.withdraw = intake.withdraw

    def take_in(self, listed: ReceivedList, now: datetime) -> IntakeCounts:
        self._calls += 1
        if self._calls % 2:
            raise DatabaseUnavailable("away")
        return self._intake.take_in(listed, now)


def test_the_cycles_of_one_rotation_list_the_whole_history(make: Make) -> None:
    """ACK-LIVENESS: the newest window each time, and every other one once, document dates included."""
    harness = make(wishes=SINCE_2019)
    (account,) = harness.accounts.values()
    newest, *older = Scope.whole_history(account, harness.clock.now(), marked_too=False).windows
    assert len(older) > 10
    turns = [harness.archive.accounts.turn(account.id) for _ in older]
    cycles = [Scope.scheduled(account, harness.clock.now(), turn).windows for turn in turns]
    assert {windows[0] for windows in cycles} == {newest}
    assert sorted(windows[1] for windows in cycles) == sorted(older)


def test_a_document_discovered_between_the_two_phases_is_not_taken_for_withdrawn(make: Make) -> None:
    """It arrived after the list of unmarked documents and was found by another cycle, so neither list shows it."""
    harness = make(replace(SMALL, documents=0))
    account = harness.accounts["demo1"]
    at = harness.clock.now().astimezone(ROME).replace(tzinfo=None, microsecond=0)
    scope = Scope.between(at - timedelta(hours=1), at + timedelta(hours=1), marked_too=True)
    slow = cycle_of(harness, account, scope)
    assert slow.step()
    harness.clock.forward(timedelta(seconds=60))
    new = harness.simulator.add_document("demo1", received_at=harness.clock.now())
    list_through(harness, cycle_of(harness, account, scope))
    assert states(harness)[new] == DocumentState.DISCOVERED
    harness.clock.forward(timedelta(seconds=60))
    list_through(harness, slow)
    assert states(harness)[new] == DocumentState.DISCOVERED


class Between:
    """A service with a document between two seconds that shows one of two documents in a list of both seconds."""

    def list_documents(self, query: ListQuery) -> DocumentList:
        if query.window.start == query.window.end:
            return DocumentList((), 0, (), 0)
        return DocumentList((ListedDocument(doc_id=1, raw=b"{}", fingerprint="0" * 64),), 2, (), 1)


def test_a_truncated_list_of_two_seconds_is_taken_in(make: Make) -> None:
    """NO-LOSS: neither second alone shows the document between them."""
    harness = make()
    account = replace(harness.accounts["demo1"], service=cast("EasyTracking", Between()))
    at = SECOND.astimezone(ROME).replace(tzinfo=None)
    list_through(harness, cycle_of(harness, account, Scope.between(at, at + timedelta(seconds=1), marked_too=False)))
    assert found(harness) == {1}


@pytest.mark.parametrize("apart", [0, 1], ids=["in one second", "in two"])
def test_a_truncated_list_that_could_not_be_taken_in_is_listed_again(make: Make, apart: int) -> None:
    """NO-LOSS: at the finest grain the window is listed until its documents were taken in."""
    harness = make(replace(SMALL, documents=0, total_counts=Counts.MATCH), wrap=lambda inner: Top(inner, 3))
    for number in range(4):
        harness.simulator.add_document("demo1", received_at=SECOND + timedelta(seconds=apart * (number % 2)))
    at = SECOND.astimezone(ROME).replace(tzinfo=None)
    scope = Scope.between(at, at + timedelta(seconds=1), marked_too=False)
    cycle = cycle_of(harness, harness.accounts["demo1"], scope)
    cycle._intake = Busy(Intake(harness.archive, harness.engine.policy))
    list_through(harness, cycle)
    assert len(found(harness)) == (4 if apart else 3)
    assert cycle.is_complete == bool(apart)


@pytest.mark.parametrize("field_name", ["piva", "cf"])
def test_receiver_filters_are_sent_and_hidden_documents_are_not_withdrawn(make: Make, field_name: str) -> None:
    """Only this receiver's documents are fetched, and hidden ones never count as withdrawn."""
    unfiltered = make(replace(SMALL, documents=30))
    receivers = {
        doc_id: getattr(unfiltered.simulator.document(doc_id).receiver, field_name)
        for doc_id in unfiltered.simulator.ids()
    }
    one = next(receiver for receiver in receivers.values() if receiver)
    wish = Wish(receiver_piva=one) if field_name == "piva" else Wish(receiver_cf=one)
    harness = make(replace(SMALL, documents=30), wishes={"demo1": wish})
    settle(harness)
    mine = {doc_id for doc_id, receiver in receivers.items() if receiver == one}
    assert found(harness) == mine
    assert 0 < len(mine) < 30
    assert harness.simulator.marked(1) == mine
    listed(unfiltered)
    account = unfiltered.accounts["demo1"]
    filtered = account.settings.model_copy(update={f"receiver_{field_name}": one})
    unfiltered.accounts["demo1"] = replace(account, settings=filtered)
    unfiltered.clock.forward(timedelta(minutes=15))
    listed(unfiltered)
    assert DocumentState.WITHDRAWN not in states(unfiltered).values()


def test_an_account_of_phase_2_lists_and_marks_phase_2_alone(make: Make) -> None:
    """Documents marked with phase 1 by others do not matter."""
    harness = make(wishes={"demo1": Wish(acknowledge=AcknowledgeWith.PHASE2)})
    ids = set(harness.simulator.ids())
    harness.simulator.set_phase(1, list(ids)[:4])
    settle(harness, marked_too=False)
    assert_archived(harness)
    assert harness.simulator.marked(2) == ids
    assert harness.simulator.marked(1) == set(list(ids)[:4])
    assert harness.simulator.count("set-fase-1") == 0


def test_an_account_that_acknowledges_nothing_sets_no_phase(make: Make) -> None:
    """Everything is fetched once, although it stays listed as new."""
    harness = make(wishes={"demo1": Wish(acknowledge=AcknowledgeWith.NONE)})
    settle(harness)
    assert_archived(harness)
    harness.clock.forward(timedelta(hours=1))
    assert settle(harness).steps == 0
    assert harness.simulator.count("phase") == 0
    assert harness.simulator.count("reserve") == 1
    assert all(entry.acknowledged_at is None for entry in entries(harness).values())
