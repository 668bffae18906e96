"""Reconcile: when the proof holds, what is a finding, what is not, and what is repaired."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa

from easytracking_simulator import Faults, odd_element, status
from easytracking_sync.app.reconcile import Proof, compare, repair
from easytracking_sync.archive import tables
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.settings import Settings
from easytracking_sync.terms import AcknowledgeWith, DocumentState

if TYPE_CHECKING:
    from tests.support.harness import Harness

Make = Callable[..., "Harness"]


def support() -> Any:
    from tests.support import harness  # noqa: PLC0415  the path is set by the conftest

    return harness


def settings_of(harness: Harness, **keys: Any) -> Settings:
    """Settings that match a harness."""
    (login,) = harness.simulator.accounts
    account: dict[str, Any] = {
        "base_url": "http://127.0.0.1:1",
        "auth_base_url": "http://127.0.0.1:1",
        "username": login.username,
        "password": login.password,
        "history_from": "2025-06-01",
        "acknowledge": harness.wishes["demo1"].acknowledge.value,
    }
    return Settings(
        database={"url": f"sqlite:///{harness.folder}/archive.db"},  # type: ignore[arg-type]
        storage={"min_free_bytes": 0},  # type: ignore[arg-type]
        accounts={"demo1": account | keys},  # type: ignore[dict-item]
    )


def prove(harness: Harness, start: date | None = None, end: date | None = None, **keys: Any) -> Proof:
    """The current proof of the harness's account."""
    (proof,) = compare(
        settings_of(harness, **keys),
        harness.archive,
        ["demo1"],
        start,
        end,
        effects=harness.effects,
        observer=harness.observer,
    )
    return proof


def mend(harness: Harness, proof: Proof) -> Any:
    """Repair what the proof found."""
    return repair(
        settings_of(harness),
        harness.archive,
        [proof],
        None,
        None,
        effects=replace(harness.effects, clock=Hurried(harness)),
        observer=harness.observer,
    )


class Hurried:
    """The harness's clock for threads: a wait takes a moment of real time and moves the clock much further."""

    def __init__(self, harness: Harness) -> None:
        self._clock = harness.clock
        self.now, self.monotonic = self._clock.now, self._clock.monotonic

    def wait(self, wake: Any, seconds: float) -> bool:
        self._clock.forward(timedelta(seconds=min(seconds, 0.5)))
        return bool(wake.wait(0.002))


def home(harness: Harness) -> list[int]:
    """Fetch everything the service has; the docIds."""
    assert support().settle(harness).waiting == 0
    return sorted(harness.simulator.ids())


def update(harness: Harness, doc_ids: Collection[int], **values: Any) -> None:
    with harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).where(tables.document.c.doc_id.in_(doc_ids)).values(**values))


def spoil(harness: Harness, doc_id: int) -> None:
    """Damage the stored files of a document."""
    entry = harness.archive.document_search.find(str(doc_id))
    with harness.archive.database.write() as connection:
        connection.execute(
            sa.update(tables.blob_chunk)
            .where(tables.blob_chunk.c.sha256.in_([part.sha256 for part in entry.files]))
            .values(content=b"rotten")
        )


@pytest.mark.parametrize("acknowledge", list(AcknowledgeWith))
def test_the_proof_holds_if_everything_is_stored_and_marked_as_configured(
    make: Make, acknowledge: AcknowledgeWith
) -> None:
    few = replace(support().SMALL, documents=3)
    harness = make(options=few, wishes={"demo1": support().Wish(acknowledge=acknowledge)})
    ids = home(harness)
    proof = prove(harness)
    assert proof.holds
    assert (proof.listed, proof.home, proof.files) == (len(ids), len(ids), 3 * len(ids))
    assert proof.bytes == sum(
        part.size for doc in harness.simulator.truth() for part in doc.files if part.type != "FI"
    )


def test_documents_unknown_to_the_archive_are_missing_marked_or_not(make: Make) -> None:
    harness = make()
    ids = sorted(harness.simulator.ids())
    harness.simulator.set_phase(1, ids[:5])
    proof = prove(harness)
    assert sorted(proof.missing) == ids
    assert not proof.holds
    assert not harness.archive.account_statuses.overviews()[0].by_state, "the comparison changes nothing"


def test_only_stored_documents_count_as_stored_and_accepted_ones_are_counted_separately(make: Make) -> None:
    harness = make()
    ids = home(harness)
    states = (DocumentState.DISCOVERED, DocumentState.BATCHED, DocumentState.QUARANTINED, DocumentState.WITHDRAWN)
    for doc_id, state in zip(ids, (*states, DocumentState.ACCEPTED, DocumentState.STORED), strict=False):
        update(harness, [doc_id], state=state)
    proof = prove(harness)
    assert proof.missing == ids[: len(states)]
    assert (proof.accepted, proof.home) == (1, len(ids) - len(states) - 1)
    update(harness, ids[: len(states)], state=DocumentState.ACKNOWLEDGED)
    assert prove(harness).holds


def test_a_document_recorded_as_stored_without_a_file_is_missing(make: Make) -> None:
    harness = make()
    ids = home(harness)
    row_id = harness.archive.document_search.find(str(ids[0])).row_id
    with harness.archive.database.write() as connection:
        connection.execute(sa.delete(tables.file).where(tables.file.c.document_id == row_id))
    proof = prove(harness)
    assert proof.missing == proof.bare == [ids[0]]


def test_a_stored_document_listed_as_new_is_unmarked_unless_it_is_held(make: Make) -> None:
    harness = make()
    ids = home(harness)
    harness.clock.forward(timedelta(minutes=1))
    harness.simulator.set_phase(1, ids[:2], on=False)
    update(harness, ids[1:2], held=True)
    assert prove(harness).unmarked == ids[:1]


def test_a_document_marked_during_the_listing_is_not_unmarked(make: Make) -> None:
    """A running service may acknowledge a document between the list and the comparison."""
    harness = make()
    ids = home(harness)
    harness.simulator.set_phase(1, ids[:1], on=False)
    update(harness, ids[:1], acknowledged_at=harness.clock.now() + timedelta(seconds=1))
    assert prove(harness).holds


def test_a_document_no_longer_listed_is_no_finding_and_counts_once(make: Make) -> None:
    harness = make()
    ids = home(harness)
    harness.clock.forward(timedelta(minutes=1))
    harness.simulator.withdraw(ids[0])
    proof = prove(harness)
    assert proof.unlisted == {ids[0]}
    assert proof.holds


def test_a_document_without_reception_time_is_compared_in_the_whole_history(make: Make) -> None:
    harness = make()
    home(harness)
    day = (harness.clock.now() - timedelta(days=3)).date().isoformat()
    lonely = harness.simulator.add_document("demo1", dataRicezione=None, data=day)
    assert prove(harness).missing == [lonely]


def test_only_the_days_asked_for_are_listed_and_hashed(make: Make) -> None:
    harness = make()
    home(harness)
    entries = [harness.archive.document_search.find(str(doc_id)) for doc_id in harness.simulator.ids()]
    days = sorted(entry.received.date() for entry in entries if entry.received)
    first, last = days[2], days[5]
    inside = [entry for entry in entries if entry.received and first <= entry.received.date() <= last]
    proof = prove(harness, first, last)
    assert proof.listed == proof.home == len(inside)
    assert proof.files == sum(len(entry.files) for entry in inside)
    assert proof.holds


def test_a_refused_window_makes_the_comparison_incomplete(make: Make) -> None:
    harness = make()
    home(harness)
    harness.simulator.faults = Faults(poison={"list": {harness.simulator.ids()[0]: status(400)}})
    proof = prove(harness)
    assert not proof.is_complete
    assert not proof.has_findings
    assert not proof.unlisted, "a window that was not listed proves nothing about what is gone"


def test_an_element_without_an_id_is_a_finding(make: Make) -> None:
    harness = make()
    home(harness)
    harness.simulator.script("list", None)  # the list of what is unmarked is empty
    harness.simulator.script("list", odd_element("null"))
    proof = prove(harness)
    assert (proof.unreadable, proof.is_complete, proof.holds) == (1, True, False)


def test_a_refused_login_is_reported_and_pauses_no_account(make: Make) -> None:
    harness = make()
    home(harness)
    proof = prove(harness, password="wrong")
    assert proof.credentials_refused
    assert not proof.holds
    assert harness.archive.accounts.paused(harness.accounts["demo1"].id, harness.clock.now()) is None


def test_a_service_that_does_not_answer_is_given_up_after_five_minutes(make: Make) -> None:
    harness = make()
    begun = harness.clock.monotonic()
    settings = settings_of(harness)
    gone = httpx.MockTransport(lambda request: httpx.Response(503, request=request))
    (proof,) = compare(
        settings, harness.archive, ["demo1"], None, None,
        effects=replace(harness.effects, network=gone), observer=harness.observer,
    )  # fmt: skip
    assert not proof.is_complete
    assert 300 <= harness.clock.monotonic() - begun < 1000


def test_repair_fetches_missing_and_damaged_documents_and_marks_unmarked_ones(make: Make) -> None:
    harness = make()
    ids = home(harness)
    spoil(harness, ids[0])
    bare = harness.archive.document_search.find(str(ids[1])).row_id
    with harness.archive.database.write() as connection:
        connection.execute(sa.delete(tables.file).where(tables.file.c.document_id == bare))
    harness.clock.forward(timedelta(minutes=1))
    harness.simulator.set_phase(1, ids[2:3], on=False)
    update(
        harness, ids[3:4], state=DocumentState.QUARANTINED, next_attempt_at=harness.clock.now() + timedelta(days=1)
    )
    arrived = harness.simulator.add_document("demo1")
    harness.simulator.set_phase(1, [arrived])
    proof = prove(harness)
    assert (len(proof.missing), len(proof.unmarked)) == (3, 1)
    assert {one.doc_id for one in proof.rotten} == {ids[0]}
    repaired = mend(harness, proof)
    assert repaired.outcome.finished
    again = prove(harness)
    assert again.holds
    assert again.home == len(ids) + 1


def test_a_held_document_with_damaged_files_is_fetched_again_and_not_marked(make: Make) -> None:
    harness = make()
    ids = home(harness)
    entry = harness.archive.document_search.find(str(ids[0]))
    Corrections(harness.archive).hold([entry], harness.clock.now(), held=True)
    harness.simulator.set_phase(1, ids[:1], on=False)
    spoil(harness, ids[0])
    harness.clock.forward(timedelta(minutes=1))
    (page,) = harness.archive.scrubber.scrub()
    assert Corrections(harness.archive).fetch_rotten(page.rotten, harness.clock.now()) == 1
    home(harness)
    assert harness.archive.document_search.find(str(ids[0])).state is DocumentState.ACKNOWLEDGED
    assert ids[0] not in harness.simulator.marked(1)
    assert prove(harness).holds


def test_a_document_held_before_it_is_fetched_is_stored_and_not_marked(make: Make) -> None:
    harness = make()
    for cycle in (support().cycle_of(harness, harness.accounts["demo1"]),):
        support().list_through(harness, cycle)
    first, *others = sorted(harness.simulator.ids())
    Corrections(harness.archive).hold(
        [harness.archive.document_search.find(str(first))], harness.clock.now(), held=True
    )
    home(harness)
    assert harness.simulator.marked(1) == set(others)
    assert harness.archive.document_search.find(str(first)).state is DocumentState.ACKNOWLEDGED
