"""Which documents a search finds, and in which order."""

from __future__ import annotations

import importlib
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.archive import document_search, journal, tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.errors import UsageError
from easytracking_sync.events import EventName
from easytracking_sync.terms import BatchState, DocumentState, PauseReason
from easytracking_sync.transition import Detail

if TYPE_CHECKING:
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
builder, local, NOW = archive_builder.builder, archive_builder.local, archive_builder.NOW


def ids(builder: ArchiveBuilder, **filters: object) -> list[int]:
    return [entry.doc_id for entry in builder.archive.document_search.documents(DocumentFilter(**filters))]  # type: ignore[arg-type]


def test_documents_come_account_by_account_in_the_order_of_reception_the_undated_last(
    builder: ArchiveBuilder,
) -> None:
    builder.document("beta", 1, received=local("2020-01-01"))
    builder.document("acme", 2, received=local("2026-01-02"))
    builder.document("acme", 3, received=None)
    builder.document("acme", 4, received=local("2026-01-01"))
    builder.document("acme", 5, received=local("2026-01-01"))
    found = [entry.shown_id for entry in builder.archive.document_search.documents(DocumentFilter())]
    assert found == ["acme/4", "acme/5", "acme/2", "acme/3", "beta/1"]


@pytest.mark.parametrize("few", [0, 20_000])
@pytest.mark.parametrize("page", [1, 2, 3, 500])
def test_every_page_size_and_either_way_of_searching_give_the_same_documents(
    builder: ArchiveBuilder, monkeypatch: pytest.MonkeyPatch, page: int, few: int
) -> None:
    """Many documents share a second, some have no reception time: none is missed, none comes twice."""
    monkeypatch.setattr(document_search, "PAGE", page)
    monkeypatch.setattr(document_search, "FEW", few)
    for doc_id in range(1, 14):
        moment = None if doc_id % 5 == 0 else local("2026-01-01") + timedelta(seconds=doc_id // 4)
        builder.document("acme", doc_id, received=moment)
    expected = [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 5, 10]
    assert ids(builder) == expected
    assert ids(builder, states=(DocumentState.ACKNOWLEDGED,)) == expected
    assert ids(builder, states=(DocumentState.ACKNOWLEDGED,), limit=4) == expected[:4]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"accounts": ("beta",)}, [3]),
        ({"accounts": ("nobody",)}, []),
        ({"states": (DocumentState.QUARANTINED, DocumentState.STORED)}, [2]),
        ({"received_from": date(2026, 2, 1)}, [2, 3]),
        ({"received_to": date(2026, 2, 1)}, [1, 2]),
        ({"received_from": date(2026, 2, 1), "received_to": date(2026, 2, 1)}, [2]),
        ({"received_to": date.max}, [1, 2, 3]),
        ({"document_date_from": date(2026, 1, 31)}, [2]),
        ({"document_date_to": date(2026, 1, 30)}, [1]),
        ({"sender": "IT01234567890"}, [1]),
        ({"sender": "01234567890"}, [1]),
        ({"sender": "rssmra80a01h501u"}, [2]),
        ({"receiver": "09876543210"}, [3]),
        ({"number": "7/A"}, [1]),
        ({"number": "7"}, []),
        ({"document_types": ("TD04", "TD01")}, [1, 2]),
        ({"incomplete": True}, [2]),
        ({"limit": 2}, [1, 2]),
    ],
)
def test_each_filter_keeps_what_matches(
    builder: ArchiveBuilder, filters: dict[str, object], expected: list[int]
) -> None:
    builder.document(
        "acme",
        1,
        received=local("2026-01-31 23:59:59"),
        document_date=date(2026, 1, 30),
        sender_piva="01234567890",
        number="7/A",
        document_type="TD01",
    )
    builder.document(
        "acme",
        2,
        DocumentState.QUARANTINED,
        received=local("2026-02-01 23:59:59"),
        document_date=date(2026, 1, 31),
        sender_cf="RSSMRA80A01H501U",
        document_type="TD04",
        missing_types="MT,FU",
    )
    builder.document("beta", 3, received=local("2026-02-02"), receiver_piva="IT09876543210")
    assert ids(builder, **filters) == expected


def test_a_document_comes_with_all_versions_of_its_files_in_order(builder: ArchiveBuilder) -> None:
    row_id = builder.document("acme", 1, files={"FA": ("../a\x00\udc80.xml", b"one"), "MT": ("m.xml", b"meta")})
    builder.file(row_id, "FA", "a.xml", b"two")
    (entry,) = builder.archive.document_search.documents(DocumentFilter())
    assert [(part.type, part.name, part.size) for part in entry.files] == [
        ("FA", "../a\x00\udc80.xml", 3),
        ("MT", "m.xml", 4),
        ("FA", "a.xml", 3),
    ]


def test_a_document_is_found_by_its_id_alone_where_that_says_enough(builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    builder.document("beta", 1)
    builder.document("beta", 2)
    find = builder.archive.document_search.find
    assert find("2").shown_id == "beta/2"
    assert find("acme/1").shown_id == "acme/1"
    with pytest.raises(UsageError, match="acme/1, beta/1"):
        find("1")


@pytest.mark.parametrize("named", ["", "x", "acme/", "acme/x", "9", "acme/9", "nobody/1", "-1", "1.0", "²", "9" * 30])
def test_what_names_no_document_is_a_usage_error(builder: ArchiveBuilder, named: str) -> None:
    builder.document("acme", 1)
    with pytest.raises(UsageError):
        builder.archive.document_search.find(named)


def test_a_documents_history_is_its_own_and_its_batches(builder: ArchiveBuilder) -> None:
    row_id, other = builder.document("acme", 1), builder.document("acme", 2)
    batch_id = builder.batch("acme", row_id, other)
    events = [
        (EventName.BATCH_STORED, batch_id, None),
        (EventName.DOCUMENT_FAILED, batch_id, row_id),
        (EventName.DOCUMENT_BATCHED, batch_id, other),
    ]
    with builder.archive.database.write() as connection:
        for name, batch, document in (*events, (EventName.BATCH_STORED, batch_id + 1, None)):
            journal.record(connection, name, NOW, batch_id=batch, document_id=document, detail={"reason": name})
    found = builder.archive.document_search.history(builder.archive.document_search.find("acme/1"))
    assert [(one.name, one.detail["reason"]) for one in found] == [
        (EventName.BATCH_STORED, EventName.BATCH_STORED),
        (EventName.DOCUMENT_FAILED, EventName.DOCUMENT_FAILED),
    ]


@pytest.mark.parametrize(
    ("own", "detail", "minutes", "told"),
    [
        (EventName.DOCUMENT_STORED, {}, 0, False),
        (EventName.DOCUMENT_STORED_AGAIN, {}, 0, False),
        (EventName.DOCUMENT_STORED, {"missing": "FU"}, 0, True),  # this document's alone
        (EventName.DOCUMENT_STORED, {}, 1, True),  # another time
        (EventName.DOCUMENT_ASKED_AGAIN, {"reason": "without FU"}, 0, True),
        (EventName.DOCUMENT_FAILED, {"attempts": 1}, 0, True),
        (EventName.DOCUMENT_BYTES_CHANGED, {"type": "FA"}, 0, True),
    ],
)
def test_of_what_a_document_and_its_batch_both_tell_the_batch_s_line_is_enough(
    builder: ArchiveBuilder, own: EventName, detail: Detail, minutes: int, *, told: bool
) -> None:
    row_id = builder.document("acme", 1)
    batch_id = builder.batch("acme", row_id)
    at = NOW + timedelta(minutes=minutes)
    with builder.archive.database.write() as connection:
        journal.record(connection, EventName.DOCUMENT_BATCHED, NOW, batch_id=batch_id, document_id=row_id)
        journal.record(
            connection, EventName.BATCH_STORED, NOW, batch_id=batch_id, detail={"documents": 1, "epoch": 3}
        )
        journal.record(connection, own, at, batch_id=batch_id, document_id=row_id, detail=detail)
        journal.record(connection, EventName.DOCUMENT_STORED, NOW, batch_id=batch_id + 1, document_id=row_id)
    found = builder.archive.document_search.history(builder.archive.document_search.find("acme/1"))
    assert [one.name for one in found] == [EventName.BATCH_STORED, *[own] * told, EventName.DOCUMENT_STORED]


def test_a_document_whose_batch_has_no_line_yet_tells_that_it_was_put_into_one(builder: ArchiveBuilder) -> None:
    row_id = builder.document("acme", 1, DocumentState.BATCHED)
    batch_id = builder.batch("acme", row_id, state=BatchState.PLANNED)
    with builder.archive.database.write() as connection:
        journal.record(connection, EventName.DOCUMENT_BATCHED, NOW, batch_id=batch_id, document_id=row_id)
    found = builder.archive.document_search.history(builder.archive.document_search.find("acme/1"))
    assert [(one.name, one.batch) for one in found] == [(EventName.DOCUMENT_BATCHED, batch_id)]


def test_a_standing_counts_by_state_and_tells_what_waits_and_what_is_wrong(builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, missing_types="MT")
    builder.document("acme", 2, DocumentState.DISCOVERED, wanted_at=NOW - timedelta(days=2), next_attempt_at=NOW)
    builder.document("acme", 3, DocumentState.BATCHED, wanted_at=NOW - timedelta(days=1))
    builder.quarantined("acme", 4)
    builder.unacknowledgeable("acme", 5, next_attempt_at=NOW - timedelta(hours=1))
    builder.insert(tables.cycle, account_id=builder.account("acme"), kind="sync", begun_at=NOW, unreadable=3)
    builder.paused("acme", PauseReason.CREDENTIALS, NOW, "401")
    builder.account("beta")
    acme, beta = builder.archive.account_statuses.overviews()
    assert {state: acme.count(state) for state in DocumentState} == {
        DocumentState.DISCOVERED: 1,
        DocumentState.BATCHED: 1,
        DocumentState.STORED: 1,
        DocumentState.ACKNOWLEDGED: 1,
        DocumentState.QUARANTINED: 1,
        DocumentState.WITHDRAWN: 0,
        DocumentState.ACCEPTED: 0,
    }
    assert (acme.unacknowledgeable, acme.incomplete, acme.unreadable) == (1, 1, 3)
    assert acme.oldest_waiting_at == NOW - timedelta(days=2)
    assert acme.next_attempt_at == NOW - timedelta(hours=1)
    assert (acme.pause_reason, acme.paused_until, acme.pause_message) == (PauseReason.CREDENTIALS, NOW, "401")
    assert (beta.account, dict(beta.by_state), beta.oldest_waiting_at) == ("beta", {}, None)
    assert builder.archive.account_statuses.overviews(["beta"]) == (beta,)


def test_trouble_is_what_is_quarantined_and_what_cannot_be_acknowledged(builder: ArchiveBuilder) -> None:
    builder.quarantined("acme", 1)
    builder.document("acme", 2)
    builder.unacknowledgeable("beta", 3)
    builder.document("acme", 4, unacknowledgeable=True)  # acknowledged in the end
    found = list(builder.archive.document_search.troubled())
    assert [entry.shown_id for entry in found] == ["acme/1", "beta/3"]
    assert all(entry.in_trouble for entry in found)
