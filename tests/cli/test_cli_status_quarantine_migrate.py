"""`status`, `quarantine` and `migrate`: what the operator sees and can do."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from easytracking_sync.archive import tables
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.terms import BatchState, DocumentState, PauseReason

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
NOW, NEVER = archive_builder.NOW, archive_builder.NEVER
ROME = ZoneInfo("Europe/Rome")


def test_status_shows_every_account_and_what_is_wrong_with_it(run: Run, builder: ArchiveBuilder) -> None:
    builder.configure("acme", "silent")
    builder.document("acme", 1)
    builder.document("acme", 2, DocumentState.DISCOVERED, next_attempt_at=NOW, wanted_at=NOW - timedelta(days=400))
    builder.quarantined("acme", 3)
    builder.unacknowledgeable("acme", 4)
    builder.paused("acme", PauseReason.CREDENTIALS, NEVER, "refused \x1b[31m")
    builder.document("gone", 5)
    told = run("--config", builder.config, "status")
    assert told.code == 0
    lines = told.out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["acme", "gone", "silent"]
    assert "never" in lines[3]
    assert "paused until" in told.out
    assert "quarantine list" in told.out
    assert "gone: not in the configuration" in told.out
    assert "\x1b" not in told.out


def test_status_as_json_is_one_object(run: Run, builder: ArchiveBuilder) -> None:
    builder.configure("acme", "silent")
    builder.unacknowledgeable("acme", 1)
    fields = json.loads(run("--config", builder.config, "status", "--json").out)
    acme, silent = fields["accounts"]
    assert (acme["account"], acme["documents"]["stored"], acme["unacknowledgeable"]) == ("acme", 1, 1)
    assert acme["next_attempt_at"] == "9000-01-01T00:00:00Z"
    assert (silent["account"], silent["last_success_at"], silent["paused"]) == ("silent", None, None)


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_status_before_the_first_run_says_what_to_do_and_creates_nothing(
    run: Run, builder: ArchiveBuilder, option: list[str]
) -> None:
    builder.archive.close()
    builder.path.unlink()
    told = run("--config", builder.config, "status", *option)
    assert (told.code, told.err) == (0, "")
    assert len(told.out.splitlines()) == 1
    assert not builder.path.exists()


def test_status_and_list_work_while_another_process_writes(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    with builder.archive.database.write() as connection:
        connection.exec_driver_sql("UPDATE document SET number = 'half'")
        assert run("--config", builder.config, "status").code == 0
        assert "half" not in run("--config", builder.config, "invoices", "list").out


def test_an_archive_of_a_newer_program_is_refused_with_what_to_do(run: Run, builder: ArchiveBuilder) -> None:
    with builder.archive.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for command in (["status"], ["invoices", "list"], ["migrate"]):
        told = run("--config", builder.config, *command)
        assert told.code == 2
        assert "newer" in told.complaint


def test_quarantine_list_shows_reasons_and_what_to_do(run: Run, builder: ArchiveBuilder) -> None:
    assert run("--config", builder.config, "quarantine", "list").code == 0
    builder.quarantined("acme", 1, reason="no original\x1b[2J")
    builder.unacknowledgeable("acme", 2)
    told = run("--config", builder.config, "quarantine", "list")
    assert told.code == 3
    assert "no original\\x1b[2J" in told.out
    assert "unacknowledgeable" in told.out
    assert "quarantine accept DOC --reason R" in told.out


def test_quarantine_retry_retries_all_or_the_named_documents(run: Run, builder: ArchiveBuilder) -> None:
    row_id = builder.quarantined("acme", 1)
    builder.quarantined("acme", 2)
    builder.unacknowledgeable("acme", 3)
    retry = ("--config", builder.config, "quarantine", "retry")
    assert run(*retry, "acme/1").out == "1 document due to be fetched now\n"
    assert builder.value(tables.document.c.next_attempt_at, row_id) <= datetime.now(UTC)
    assert run(*retry).out == "2 documents due to be fetched now; 1 document due to be acknowledged now\n"


def test_quarantine_retry_refuses_other_documents_and_changes_nothing(run: Run, builder: ArchiveBuilder) -> None:
    row_id = builder.quarantined("acme", 1)
    builder.document("acme", 2)
    told = run("--config", builder.config, "quarantine", "retry", "acme/1", "acme/2")
    assert told.code == 2
    assert "acme/2 is acknowledged, not in quarantine" in told.complaint
    assert builder.value(tables.document.c.next_attempt_at, row_id) == NEVER


def test_quarantine_accept_closes_a_document_with_its_reason(run: Run, builder: ArchiveBuilder) -> None:
    row_id = builder.quarantined("acme", 1)
    told = run("--config", builder.config, "quarantine", "accept", "1", "--reason", "sent by mail \udc80")
    assert told.code == 0
    assert builder.value(tables.document.c.state, row_id) == DocumentState.ACCEPTED
    assert builder.value(tables.document.c.reason, row_id) == "sent by mail ?"
    assert run("--config", builder.config, "quarantine", "list").code == 0


def test_a_lease_of_a_killed_run_does_not_prevent_accepting_a_document(run: Run, builder: ArchiveBuilder) -> None:
    """On SQLite a lease ends with the instance; where none holds the lock, it means nothing."""
    forever = NEVER
    _, batch_id = builder.unacknowledgeable("acme", 1, lease_owner="killed", lease_until=forever)
    accept = ("--config", builder.config, "quarantine", "accept", "1", "--reason", "x")
    with instance_lock(builder.archive.database, {"pid": "1"}):
        told = run(*accept)
        assert told.code == 75
        assert "being worked on right now" in told.complaint
    assert run(*accept).code == 0
    assert builder.value(tables.batch.c.state, batch_id) == BatchState.ABANDONED


def test_migrate_creates_an_archive_and_then_has_nothing_to_do(run: Run, builder: ArchiveBuilder) -> None:
    builder.archive.close()
    builder.path.unlink()
    made = run("--config", builder.config, "migrate").out
    assert made == f"Created sqlite:///{builder.path} at schema {tables.SCHEMA}.\n"
    assert "is already at schema" in run("--config", builder.config, "migrate").out
    assert builder.path.stat().st_mode & 0o777 == 0o600


def test_migrate_refuses_an_archive_in_use(run: Run, builder: ArchiveBuilder) -> None:
    with instance_lock(builder.archive.database, {"pid": "4711"}):
        told = run("--config", builder.config, "migrate")
    assert told.code == 5
    assert "4711" in told.complaint


def test_no_secret_of_the_configuration_is_ever_shown(run: Run, builder: ArchiveBuilder, tmp_path: Path) -> None:
    builder.document("acme", 1)
    for command in (
        ["status"],
        ["status", "--check"],
        ["check"],
        ["invoices", "list"],
        ["quarantine", "list"],
        ["migrate"],
    ):
        told = run("--log-level", "debug", "--config", builder.config, *command)
        assert "canary-acme" not in told.out + told.err


def test_status_shows_the_next_run_and_why_an_account_cannot_be_listed(run: Run, builder: ArchiveBuilder) -> None:
    builder.configure("acme", "idle", "refused")
    soon, later = datetime.now(UTC) + timedelta(minutes=10), datetime.now(UTC) + timedelta(days=2)
    for label in ("acme", "idle", "refused", "gone"):
        builder.archive.accounts.note_next_runs({builder.account(label): soon})
    builder.archive.accounts.note_trouble(builder.account("acme"), "acme: no connection to 127.0.0.1:9")
    builder.paused("refused", PauseReason.CREDENTIALS, later, "the login is refused")
    builder.archive.accounts.note_trouble(builder.account("refused"), "the login is refused")
    told = run("--config", builder.config, "status")
    shown = {line.split()[0]: line.split()[-2:] for line in told.out.splitlines()[1:5]}
    there, then = (at.astimezone(ROME).strftime("%Y-%m-%d %H:%M").split() for at in (soon, later))
    assert (shown["acme"], shown["idle"], shown["refused"], shown["gone"][-1]) == (there, there, then, "-")
    assert "acme: cannot be listed: no connection to 127.0.0.1:9" in told.out
    assert told.out.count("the login is refused") == 1
    assert "overdue" not in told.out
    fields = json.loads(run("--config", builder.config, "status", "--json").out)
    acme, gone, _, refused = fields["accounts"]
    assert (acme["trouble"], acme["overdue"], gone["next_run_at"]) == (
        "acme: no connection to 127.0.0.1:9",
        False,
        None,
    )
    assert refused["next_run_at"] == f"{later:%Y-%m-%dT%H:%M:%S}Z"
    assert fields["shortage"] is None


def test_a_missed_run_is_overdue_after_a_minute(run: Run, builder: ArchiveBuilder) -> None:
    for late, overdue in ((20, False), (70, True)):
        due = datetime.now(UTC) - timedelta(seconds=late)
        builder.archive.accounts.note_next_runs({builder.account("acme"): due})
        told = run("--config", builder.config, "status")
        assert (", overdue" in told.out) is overdue
        assert ("check that the service is running" in told.out) is overdue
        (acme,) = json.loads(run("--config", builder.config, "status", "--json").out)["accounts"]
        assert acme["overdue"] is overdue


def test_status_names_the_full_disk_that_stops_fetching(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, DocumentState.DISCOVERED, next_attempt_at=NOW)
    builder.config.write_text(builder.config.read_text().replace("min_free_bytes = 0", f"min_free_bytes = {10**15}"))
    told = run("--config", builder.config, "status")
    assert told.code == 0
    (line,) = [line for line in told.out.splitlines() if line.startswith("Disk nearly full: ")]
    assert str(builder.folder) in line
    assert "storage.min_free_bytes (1,000,000,000 MB)" in line
    short = json.loads(run("--config", builder.config, "status", "--json").out)["shortage"]
    assert short["needed_bytes"] == 10**15
    assert 0 < short["free_bytes"] < 10**15
    assert short["folder"].startswith(str(builder.folder))
    explained = run("--config", builder.config, "explain", "acme/1")
    assert "Nothing new is fetched until there is disk space" in explained.out


def test_an_account_is_identified_by_its_login_not_by_its_label(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, DocumentState.DISCOVERED, next_attempt_at=NOW)
    builder.config.write_text(builder.config.read_text().replace("[accounts.acme]", "[accounts.italia]"))
    told = run("--config", builder.config, "status")
    assert "not in the configuration" not in told.out
    assert "acme: called italia in the configuration" in told.out
    assert "never" in told.out.splitlines()[1]
    assert not told.out.splitlines()[2].startswith("italia")
    assert "has no account" not in run("--config", builder.config, "explain", "acme/1").out
