"""The pool: a listing adds each new document once and records changes; only a complete listing withdraws."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.archive.archive_harness import ArchiveHarness, listed

from easytracking_sync.archive import tables
from easytracking_sync.list_element import read_element
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.machine.batch import BatchHappened
from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.machine.intake import IntakeCounts
from easytracking_sync.terms import (
    BatchState,
    DocumentState,
    ListedWindow,
    OnRelist,
    PauseReason,
    Purpose,
    Window,
    WindowKind,
)

MORNING = datetime(2026, 5, 4, 9, 0)  # noqa: DTZ001  reception times are naive
SHARED_SHELF = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


def acknowledged(archive_harness: ArchiveHarness, *doc_ids: int) -> int:
    """These documents, home and acknowledged; the account's id."""
    account_id = archive_harness.planned(doc_ids)
    archive_harness.happen(archive_harness.store(account_id), BatchHappened.ACCEPTED)
    archive_harness.clock.forward(60)
    assert set(archive_harness.states(account_id).values()) == {"acknowledged"}
    return account_id


def test_a_listed_document_is_discovered_once_however_often_it_is_listed(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    assert archive_harness.take_in(account_id, [1, 2, 3]) == IntakeCounts(listed=3, discovered=3)
    before = archive_harness.dump()
    archive_harness.clock.forward(60)
    assert archive_harness.take_in(account_id, [3, 2, 1]) == IntakeCounts(listed=3)
    assert archive_harness.dump() == before
    assert archive_harness.take_in(account_id, [3, 4]) == IntakeCounts(listed=2, discovered=1)
    assert archive_harness.states(account_id) == dict.fromkeys((1, 2, 3, 4), "discovered")


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1234])
def test_chunks_neither_lose_nor_repeat_a_document(archive_harness: ArchiveHarness, count: int) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, count + 1, 3))
    absorbed = archive_harness.take_in(account_id, range(1, count + 1))
    assert absorbed.listed == count
    assert sorted(archive_harness.states(account_id)) == list(range(1, count + 1))


def test_every_field_of_the_list_and_its_own_bytes_are_kept(archive_harness: ArchiveHarness) -> None:
    """RAW-FIRST: the element as it came stands beside the fields that were understood."""
    fields: dict[str, Any] = {
        "sender_piva": "01234567890", "sender_cf": "RSSMRA80A01H501U", "receiver_piva": "09876543210",
        "receiver_cf": "", "document_date": MORNING.date(), "number": "77/C", "document_type": "TD01",
        "sdi_id": "111", "received": MORNING, "received_text": "2026-05-04 09:00:00", "file_name": "IT1_x.xml.p7m",
        "annual_progressive": 2**62, "country_channel": 0,
    }  # fmt: skip
    element = listed(2**63 - 1, **fields)
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [element])
    row = archive_harness.document(account_id, 2**63 - 1)
    assert {name: getattr(row, name) for name in fields} == fields
    assert (row.raw, row.fingerprint) == (element.raw, element.fingerprint)


def test_the_same_id_of_two_accounts_is_two_documents(archive_harness: ArchiveHarness) -> None:
    """NO-CROSS-ACCOUNT."""
    first, second = archive_harness.account("acme"), archive_harness.account("beta")
    archive_harness.take_in(first, [1, 2])
    assert archive_harness.take_in(second, [2, 3]).discovered == 2
    assert (set(archive_harness.states(first)), set(archive_harness.states(second))) == ({1, 2}, {2, 3})
    assert set(archive_harness.archive.documents.known(second, [1, 2, 3, 4])) == {2, 3}


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        ("discovered", "discovered"), ("batched", "batched"), ("stored", "stored"), ("accepted", "accepted"),
        ("acknowledged", "discovered"), ("quarantined", "discovered"), ("withdrawn", "discovered"),
    ],
)  # fmt: skip
def test_other_list_fields_under_a_known_id_are_noted_and_fetched_anew(
    archive_harness: ArchiveHarness, state: str, becomes: str
) -> None:
    """The older element stays in the journal; only what is at rest is set in motion, and not what was accepted."""
    account_id = archive_harness.account()
    old, new = listed(1, number="1"), listed(1, number="1/bis")
    archive_harness.take_in(account_id, [old])
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(state=state, attempts=5, suspect=True))
    archive_harness.clock.forward(60)
    assert archive_harness.take_in(account_id, [new]) == IntakeCounts(listed=1, changed=1)
    row = archive_harness.document(account_id, 1)
    assert (row.state, row.number, row.raw, row.wanted_at) == (becomes, "1/bis", new.raw, archive_harness.now)
    assert row.attempts == (0 if becomes == "discovered" != state else 5)
    (event,) = archive_harness.events("document.changed")
    assert json.loads(event.detail) == {"before": old.raw.decode()}
    assert archive_harness.take_in(account_id, [new]) == IntakeCounts(listed=1)


def element_of(**members: Any) -> ListedDocument:
    """An element as the service sends it."""
    read = read_element(json.dumps({"id": 1} | members).encode())
    assert read is not None
    return read


def test_another_notation_of_the_same_fields_changes_nothing(archive_harness: ArchiveHarness) -> None:
    """The fingerprint may be another program's, or another notation's: what was stored is read again first."""
    account_id = archive_harness.account()
    old = element_of(number="77", senderPIVA="01234567890", dataRicezione="2026-05-04 09:00:00")
    archive_harness.take_in(account_id, [replace(old, fingerprint="0" * 64)])
    before = archive_harness.document(account_id, 1)
    new = element_of(number=77, senderPIVA=1234567890, dataRicezione="2026-05-04T09:00:00.000")
    archive_harness.clock.forward(60)
    assert archive_harness.take_in(account_id, [new]) == IntakeCounts(listed=1)
    row = archive_harness.document(account_id, 1)
    assert (row.raw, row.fingerprint) == (new.raw, new.fingerprint)
    assert (row.state, row.wanted_at, row.received) == (before.state, before.wanted_at, MORNING)
    assert archive_harness.events("document.changed") == []
    unreadable = element_of(number=77, senderPIVA=1234567890, dataRicezione="04/05/2026 9.00")
    assert archive_harness.take_in(account_id, [unreadable]) == IntakeCounts(listed=1)
    assert archive_harness.document(account_id, 1) == row, (
        "a value that cannot be read takes the place of none that can"
    )


@pytest.mark.parametrize("listed_before", [False, True])
def test_a_field_that_was_not_known_before_is_taken_in_and_is_no_change(
    archive_harness: ArchiveHarness, *, listed_before: bool
) -> None:
    """The day a fourteenth field is known, the archive is not fetched again; from then on its changes count."""
    account_id = archive_harness.account()
    known = replace(element_of(number="1"), fingerprint="0" * 64)
    archive_harness.take_in(
        account_id, [replace(known, raw=element_of(number="1", sdiId="9").raw) if listed_before else known]
    )
    with archive_harness.archive.database.write() as connection:
        connection.execute(
            sa.update(tables.document).values(state="acknowledged", acknowledged_at=archive_harness.now)
        )
    before = archive_harness.document(account_id, 1)
    archive_harness.clock.forward(60)
    more = element_of(number="1", sdiId="9")
    assert archive_harness.take_in(account_id, [more], unmarked=False) == IntakeCounts(listed=1)
    row = archive_harness.document(account_id, 1)
    assert (row.sdi_id, row.raw, row.fingerprint) == ("9", more.raw, more.fingerprint)
    assert (row.state, row.wanted_at) == ("acknowledged", before.wanted_at)
    assert archive_harness.events("document.changed") == []
    assert archive_harness.take_in(account_id, [element_of(number="1")], unmarked=False) == IntakeCounts(listed=1)
    assert archive_harness.document(account_id, 1) == row, "an element that has less takes nothing away"
    assert archive_harness.take_in(account_id, [element_of(number="1", sdiId="10")], unmarked=False).changed == 1


def test_a_document_listed_again_after_its_acknowledgement_is_only_acknowledged_again(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = acknowledged(archive_harness, 1, 2, 3)
    assert archive_harness.take_in(account_id, [1, 3]) == IntakeCounts(listed=2, relisted=2)
    assert archive_harness.states(account_id) == {1: "stored", 2: "acknowledged", 3: "stored"}
    claim = archive_harness.claim(account_id)
    assert (claim.batch.state, claim.batch.purpose) == (BatchState.STORED, Purpose.RELISTED)
    assert claim.doc_ids == (1, 3)
    assert archive_harness.take_in(account_id, [1, 3]) == IntakeCounts(listed=2)


def test_more_than_a_hundred_listed_again_go_in_batches_of_a_hundred(archive_harness: ArchiveHarness) -> None:
    """BOUNDED: a call takes a hundred ids."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, 251))
    with archive_harness.archive.database.write() as connection:
        connection.execute(
            sa.update(tables.document).values(state="acknowledged", acknowledged_at=archive_harness.now)
        )
    archive_harness.clock.forward(1)
    assert archive_harness.take_in(account_id, range(1, 251)).relisted == 250
    assert archive_harness.batches("state", "size") == [("stored", 100), ("stored", 100), ("stored", 50)]


@pytest.mark.parametrize(
    "listing",
    [{"begun_at": timedelta(seconds=-61)}, {"unmarked": False}, {"acknowledges": False}],
    ids=["begun before the acknowledgement", "of the marked ones", "of an account that leaves no trace"],
)
def test_a_listing_that_proves_nothing_sets_nothing_in_motion(
    archive_harness: ArchiveHarness, listing: dict[str, Any]
) -> None:
    account_id = acknowledged(archive_harness, 1)
    before = archive_harness.dump()
    how = {name: archive_harness.now + value if name == "begun_at" else value for name, value in listing.items()}
    assert archive_harness.take_in(account_id, [1], **how).relisted == 0
    assert archive_harness.dump() == before


def test_where_the_account_wants_it_a_document_listed_again_is_fetched_again(archive_harness: ArchiveHarness) -> None:
    account_id = acknowledged(archive_harness, 1)
    assert archive_harness.take_in(account_id, [1], on_relist=OnRelist.REFETCH).relisted == 1
    row = archive_harness.document(account_id, 1)
    assert (row.state, row.wanted_at) == ("discovered", archive_harness.now)
    assert len(archive_harness.events("document.refetched")) == 1


def test_a_held_document_is_left_alone_whatever_is_listed(archive_harness: ArchiveHarness) -> None:
    account_id = acknowledged(archive_harness, 1)
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(held=True))
    before = archive_harness.dump()
    assert archive_harness.take_in(account_id, [1]) == IntakeCounts(listed=1)
    assert archive_harness.take_in(account_id, [listed(1, number="2")]) == IntakeCounts(listed=1)
    assert archive_harness.dump() == before


WINDOW = Window(WindowKind.RECEIVED, MORNING, MORNING + timedelta(hours=1))


def test_what_a_complete_listing_no_longer_has_is_withdrawn_and_comes_back_when_it_is_listed(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [listed(doc_id, received=MORNING) for doc_id in (1, 2, 3)])
    archive_harness.clock.forward(60)
    assert archive_harness.intake().withdraw(ListedWindow(account_id, WINDOW, {1, 3}, archive_harness.now)) == 1
    assert archive_harness.states(account_id) == {1: "discovered", 2: "withdrawn", 3: "discovered"}
    assert len(archive_harness.events("document.withdrawn")) == 1
    assert archive_harness.intake().withdraw(ListedWindow(account_id, WINDOW, {1, 3}, archive_harness.now)) == 0
    archive_harness.take_in(account_id, [listed(2, received=MORNING)])
    assert archive_harness.states(account_id)[2] == "discovered"
    assert len(archive_harness.events("document.returned")) == 1


STAYS: dict[str, dict[str, Any]] = {
    "outside the window": {"received": MORNING - timedelta(seconds=1)},
    "after the window": {"received": MORNING + timedelta(hours=1, seconds=1)},
    "without a reception time": {"received": None},
    "wanted since the listing began": {"wanted_at": timedelta(seconds=60)},
    "home": {"state": "acknowledged"},
    "on its way": {"state": "batched"},
    "stored": {"state": "stored"},
    "stored once, and wanted anew": {"stored_at": timedelta(0)},
    "accepted": {"state": "accepted"},
}


@pytest.mark.parametrize("case", STAYS)
def test_what_the_listing_says_nothing_about_stays(archive_harness: ArchiveHarness, case: str) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [listed(1, received=MORNING)])
    values = {
        name: archive_harness.now + value if isinstance(value, timedelta) else value
        for name, value in STAYS[case].items()
    }
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.document).values(**values))
    archive_harness.clock.forward(60)
    before = archive_harness.dump()
    assert archive_harness.intake().withdraw(ListedWindow(account_id, WINDOW, (), archive_harness.now)) == 0
    assert archive_harness.dump() == before


def test_what_a_worker_takes_while_it_is_looked_for_is_not_withdrawn(
    archive_harness: ArchiveHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO-LOSS: between the look and the withdrawal another transaction may have sent it on its way."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, [listed(1, received=MORNING)])
    archive_harness.clock.forward(60)
    write = archive_harness.archive.database.write

    @contextmanager
    def late() -> Iterator[sa.Connection]:
        with write() as connection:
            connection.execute(sa.update(tables.document).values(state="batched"))
        with write() as connection:
            yield connection

    monkeypatch.setattr(archive_harness.archive.database, "write", late)
    assert archive_harness.intake().withdraw(ListedWindow(account_id, WINDOW, (), archive_harness.now)) == 0
    assert archive_harness.states(account_id) == {1: "batched"}


def test_a_filtered_listing_takes_away_only_what_its_filter_would_show(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    receivers = {1: "111", 2: "222", 3: None}
    archive_harness.take_in(
        account_id, [listed(one, received=MORNING, receiver_piva=piva) for one, piva in receivers.items()]
    )
    archive_harness.clock.forward(60)
    assert (
        archive_harness.intake().withdraw(
            ListedWindow(account_id, WINDOW, (), archive_harness.now, receiver_piva="111")
        )
        == 1
    )
    assert archive_harness.states(account_id) == {1: "withdrawn", 2: "discovered", 3: "discovered"}


def test_another_accounts_documents_are_not_withdrawn(archive_harness: ArchiveHarness) -> None:
    first, second = archive_harness.account("acme"), archive_harness.account("beta")
    for account_id in (first, second):
        archive_harness.take_in(account_id, [listed(1, received=MORNING)])
    archive_harness.clock.forward(60)
    archive_harness.intake().withdraw(ListedWindow(first, WINDOW, (), archive_harness.now))
    assert (archive_harness.states(first), archive_harness.states(second)) == ({1: "withdrawn"}, {1: "discovered"})


def test_planning_makes_batches_of_at_most_a_hundred_and_no_more_than_may_be_in_flight(
    archive_harness: ArchiveHarness,
) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, 351))
    assert archive_harness.plan([account_id], 3) == 3
    assert archive_harness.plan([account_id], 3) == 0
    assert archive_harness.batches("state", "purpose", "size") == [("planned", "fresh", 100)] * 3
    states = list(archive_harness.states(account_id).values())
    assert (states.count("batched"), states.count("discovered")) == (300, 50)


def test_suspects_and_single_documents_never_travel_with_fresh_ones(archive_harness: ArchiveHarness) -> None:
    """NO-POISON: one batch of suspects, one document alone, and the fresh ones first."""
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, 9))
    document = tables.document
    with archive_harness.archive.database.write() as connection:
        for doc_ids, values in (
            ((1, 2), {"suspect": True}),
            ((3, 4), {"state": DocumentState.QUARANTINED, "suspect": True}),
            ((5,), {"alone": True}),
        ):
            connection.execute(sa.update(document).where(document.c.doc_id.in_(doc_ids)).values(**values))
    assert archive_harness.plan([account_id], 10) == 3
    loads = {claim.batch.purpose: claim.doc_ids for claim in archive_harness.claims(account_id)}
    assert loads == {Purpose.FRESH: (6, 7, 8), Purpose.SUSPECT: (1, 2), Purpose.ALONE: (3,)}


@pytest.mark.parametrize("reason", PauseReason)
def test_nothing_is_planned_for_a_paused_account_nor_before_a_document_is_due(
    archive_harness: ArchiveHarness, reason: PauseReason
) -> None:
    paused, late = archive_harness.account("paused"), archive_harness.account("late")
    for account_id in (paused, late):
        archive_harness.take_in(account_id, [1])
    archive_harness.pause(paused, reason, timedelta(minutes=5))
    document = tables.document
    with archive_harness.archive.database.write() as connection:
        later = archive_harness.now + timedelta(minutes=5)
        connection.execute(sa.update(document).where(document.c.account_id == late).values(next_attempt_at=later))
    archive_harness.clock.forward(299)
    assert archive_harness.plan([paused, late], 4) == 0
    archive_harness.clock.forward(1)
    assert archive_harness.plan([paused, late], 4) == 2


@SHARED_SHELF
@given(rounds=st.lists(st.integers(1, 140), min_size=1, max_size=4), in_flight=st.integers(1, 4))
def test_a_document_is_in_one_live_batch_at_most_however_listing_and_planning_alternate(
    archive_harness: ArchiveHarness, rounds: list[int], in_flight: int
) -> None:
    account_id = archive_harness.account()
    last = max(archive_harness.states(account_id), default=0)
    for count in rounds:
        archive_harness.take_in(account_id, range(last + 1, last + count + 1))
        last += count
        archive_harness.plan([account_id], in_flight)
    carried = tables.batch_document.c
    loads = archive_harness.rows(sa.select(sa.func.count()).group_by(carried.document_id).where(carried.carried))
    assert {row[0] for row in loads} <= {1}
    assert list(archive_harness.states(account_id).values()).count("batched") == len(loads)


def test_what_came_of_a_document_belongs_to_the_version_that_was_fetched(archive_harness: ArchiveHarness) -> None:
    """NO-LOSS: once the list says something else, the files that are there are an older version's."""
    account_id = archive_harness.planned([1])
    claim = archive_harness.store(account_id, lambda _: {"FA": b"<a/>", "MT": b"<m/>"})
    archive_harness.take_in(account_id, [listed(1, number="2")])
    (files,) = archive_harness.archive.document_files.of(claim.document_ids).values()
    assert {one.version for one in files} == {1}
    assert archive_harness.document(account_id, 1).version == 2


def test_what_waits_is_what_is_neither_home_nor_given_up_on(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.account()
    archive_harness.take_in(account_id, range(1, len(DocumentState) + 2))
    document = tables.document
    with archive_harness.archive.database.write() as connection:
        for doc_id, state in enumerate(DocumentState, start=1):
            connection.execute(sa.update(document).where(document.c.doc_id == doc_id).values(state=state))
        stuck = document.c.doc_id == len(DocumentState) + 1
        connection.execute(sa.update(document).where(stuck).values(state="stored", unacknowledgeable=True))
    assert archive_harness.archive.documents.waiting([account_id]) == {account_id: 3}
    assert archive_harness.archive.documents.waiting([]) == {}


def test_a_document_asked_for_again_is_due_when_the_machine_says(archive_harness: ArchiveHarness) -> None:
    account_id = archive_harness.planned([1])
    claim = archive_harness.reach(account_id, BatchState.FETCHED)
    files = archive_harness.files({"FA": b"<a/>"})
    asked = archive_harness.verdict(claim.documents[0], DocumentHappened.ASKED_AGAIN, files, reason="without MT")
    archive_harness.happen(claim, BatchHappened.NOTHING_USABLE, [asked])
    row = archive_harness.document(account_id, 1)
    assert (row.state, row.asks, row.attempts, row.reason) == ("discovered", 1, 0, "without MT")
    assert row.next_attempt_at == archive_harness.now + timedelta(seconds=1)
