"""`explain`: the history of one document, and what happens next and why."""

from __future__ import annotations

import importlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from easytracking_sync.archive import journal, tables
from easytracking_sync.terms import BatchState, DocumentState, PauseReason

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

    from easytracking_sync.events import EventName

archive_builder = importlib.import_module("tests.support.archive_builder")
NOW: datetime = archive_builder.NOW
LATER = archive_builder.NEVER


def explained(run: Run, builder: ArchiveBuilder, doc_id: int = 1) -> str:
    told = run("--config", builder.config, "explain", doc_id)
    assert (told.code, told.err) == (0, "")
    return told.out


def happen(builder: ArchiveBuilder, name: str, minutes: int, **of: Any) -> None:
    with builder.archive.database.write() as connection:
        journal.record(connection, cast("EventName", name), NOW + timedelta(minutes=minutes), **of)


def told_next(out: str) -> str:
    return out.partition("What happens next\n")[2]


def test_explain_shows_fields_file_versions_and_events_in_local_time(run: Run, builder: ArchiveBuilder) -> None:
    row = builder.document("acme", 1, number="7/A", acknowledged_at=NOW, files={"FA": ("a.xml", b"one")})
    builder.file(row, "FA", "b.xml", b"two")
    batch = builder.batch("acme", row, state=BatchState.ACKNOWLEDGED)
    happen(builder, "batch.reserved", 1, batch_id=batch, detail={"documents": 40, "reason": ""})
    happen(builder, "document.bytes_changed", 2, document_id=row, batch_id=batch, detail={"type": "FA"})
    happen(builder, "something.unheard_of", 3, document_id=row, detail={"reason": "a \x1b[31mstranger"})
    out = explained(run, builder)
    lines = out.splitlines()
    assert "number        7/A" in lines
    assert [line.split()[:3] for line in lines if line.startswith("FA ")] == [
        ["FA", "1", "a.xml"],
        ["FA", "2", "b.xml"],
    ]
    assert any(line.startswith("2026-11-22 13:00:00") and "for the first time" in line for line in lines)
    assert any(line.startswith("2026-11-22 13:01:00  batch 1") and "in the batch: 40" in line for line in lines)
    assert "both versions are kept" in out
    assert "something.unheard_of" in out
    assert "\x1b" not in out
    assert told_next(out) == "Nothing: it is stored and acknowledged.\n"


def test_a_document_in_a_batch_is_explained_without_repeating_the_batch(run: Run, builder: ArchiveBuilder) -> None:
    row = builder.document("acme", 1, DocumentState.STORED, missing_types="FU")
    batch = builder.batch("acme", row)
    happen(builder, "document.discovered", 0, document_id=row)
    happen(builder, "document.batched", 0, document_id=row, batch_id=batch)
    happen(builder, "batch.reserved", 1, batch_id=batch)
    happen(builder, "batch.stored", 2, batch_id=batch)
    happen(builder, "document.stored", 2, document_id=row, batch_id=batch, detail={"missing": "FU"})
    happen(builder, "batch.refused", 3, batch_id=batch, detail={"reason": "403", "documents": 1})
    happen(builder, "document.refused", 3, document_id=row, batch_id=batch, detail={"reason": "403"})
    story = explained(run, builder).partition("History\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert len(story) == 5
    wanted = (
        "listed by the service for the first time",
        "a job was reserved for the batch",
        "the parcel's files were stored and committed",
        "stored without file types that the service did not give when asked several times missing: FU",
        "the service refused the acknowledgement; it is tried again daily 403",
    )
    assert all(words in " ".join(line.split()) for words, line in zip(wanted, story, strict=True))


def test_events_of_a_batch_after_the_document_left_it_are_not_shown(run: Run, builder: ArchiveBuilder) -> None:
    row = builder.document(
        "acme", 1, DocumentState.DISCOVERED, next_attempt_at=LATER, reason="without MT; asked again"
    )
    batch = builder.batch("acme", row, state=BatchState.ACKNOWLEDGED)
    with builder.archive.database.write() as connection:
        connection.execute(tables.batch_document.update().values(carried=False))
    for minute, name in enumerate(("batch.reserved", "batch.stored", "batch.acknowledged")):
        happen(builder, name, minute, batch_id=batch)
    out = explained(run, builder)
    assert "its batch went on without it: to be fetched again" in out
    assert "acknowledged" not in out
    assert "fetched again after 9000-01-01 01:00:00: without MT; asked again." in told_next(out)


@pytest.mark.parametrize(
    ("state", "values", "says"),
    [
        ("discovered", {"next_attempt_at": NOW - timedelta(days=900)}, "as soon as possible, by the running"),
        ("discovered", {"next_attempt_at": LATER, "attempts": 2, "reason": "r"}, "2 of 8 attempts failed: r."),
        (
            "quarantined",
            {"attempts": 8, "reason": "r", "next_attempt_at": LATER},
            "in quarantine after 8 attempts: r",
        ),
        ("quarantined", {}, "quarantine retry acme/1"),
        ("acknowledged", {"acknowledged_at": None}, "It is acknowledged when it is listed again"),
        ("acknowledged", {"acknowledged_at": NOW, "held": True}, "easytracking-sync phase set 1 acme/1"),
        ("acknowledged", {"acknowledged_at": NOW, "missing_types": "MT,FU"}, "gave no MT, FU"),
        ("withdrawn", {}, "does not list it any more"),
        ("accepted", {"reason": "sent again"}, "accepted it as it is (sent again)"),
        ("batched", {}, "No batch carries it"),
    ],
)
def test_what_happens_next_is_said_for_every_state(
    run: Run, builder: ArchiveBuilder, state: str, values: dict[str, Any], says: str
) -> None:
    builder.document("acme", 1, DocumentState(state), **values)
    assert says in told_next(explained(run, builder))


def test_the_batch_that_carries_it_is_named_with_what_it_waits_for(run: Run, builder: ArchiveBuilder) -> None:
    rows = [builder.document("acme", doc_id, DocumentState.BATCHED) for doc_id in (1, 2)]
    builder.batch("acme", *rows, state=BatchState.RESERVED, next_attempt_at=LATER, losses=1, failures=2)
    says = told_next(explained(run, builder))
    assert "batch 1 with 1 other; after 9000-01-01 01:00:00 its job is asked for the parcel" in says
    assert "lost 1 time" in says
    assert "last 2 attempts failed" in says


def test_an_unacknowledgeable_document_is_explained_with_what_to_do(run: Run, builder: ArchiveBuilder) -> None:
    builder.unacknowledgeable("acme", 1)
    says = told_next(explained(run, builder))
    assert "refuses its acknowledgement: set-fase-1 refused (403)" in says
    assert "quarantine accept acme/1" in says


def test_a_paused_or_unconfigured_account_is_named_as_the_obstacle(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("gone", 1, DocumentState.DISCOVERED, next_attempt_at=NOW)
    pause = {"pause_reason": PauseReason.CREDENTIALS, "paused_until": LATER, "pause_message": "login refused"}
    builder.update(tables.account, builder.account("gone"), **pause)
    says = told_next(explained(run, builder))
    assert "paused until 9000-01-01 01:00: login refused" in says
    assert "no account gone" in says


def test_a_reason_with_line_breaks_adds_no_lines(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, DocumentState.ACCEPTED, reason="sent again\nNothing: it is stored\x1b[2J")
    assert told_next(explained(run, builder)) == (
        "Nothing: an operator accepted it as it is (sent again\\nNothing: it is stored\\x1b[2J).\n"
    )


def test_an_account_with_acknowledge_none_acknowledges_nothing(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    builder.config.write_text(builder.config.read_text() + 'acknowledge = "none"\n')
    assert 'acknowledge = "none"' in told_next(explained(run, builder))


@pytest.mark.parametrize(
    ("named", "said"), [("7", "acme/7, beta/7"), ("acme/8", "no document"), ("x", "is not a document id")]
)
def test_an_unknown_or_ambiguous_document_is_one_clear_line(
    run: Run, builder: ArchiveBuilder, named: str, said: str
) -> None:
    for label in ("acme", "beta"):
        builder.document(label, 7)
    told = run("--config", builder.config, "explain", named)
    assert told.code == 2
    assert said in told.complaint
    assert run("--config", builder.config, "explain", "ACME/7").code == 0
