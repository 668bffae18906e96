"""The use cases without the command line: values in, frozen values out, and nothing printed."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from easytracking_sync.app.accounts import list_accounts, rename_account
from easytracking_sync.app.check import run_checks
from easytracking_sync.app.composition import archive_of
from easytracking_sync.app.documents import (
    accept_document,
    find_documents,
    list_documents,
    list_troubled,
    retry_troubled,
)
from easytracking_sync.app.explain import Expectation, Prospect, explain_document
from easytracking_sync.app.export import export_documents
from easytracking_sync.app.status import Grade, health_of, status_of
from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.effects import Effects
from easytracking_sync.errors import SyncError, UsageError
from easytracking_sync.settings import Settings, load_settings
from easytracking_sync.terms import BatchState, DocumentState, PauseReason

if TYPE_CHECKING:
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
builder, NOW, NEVER = archive_builder.builder, archive_builder.NOW, archive_builder.NEVER
LATER = NOW + timedelta(hours=1)


def settings_of(builder: ArchiveBuilder) -> Settings:
    return load_settings(builder.config, {})


def expected(builder: ArchiveBuilder, named: str = "acme/1") -> tuple[Expectation, ...]:
    return explain_document(builder.archive, settings_of(builder), named, NOW).expectations


def test_they_return_frozen_values_and_print_nothing(
    builder: ArchiveBuilder, capfd: pytest.CaptureFixture[str]
) -> None:
    builder.document("acme", 1, files={"FA": ("a.xml", b"one")})
    builder.quarantined("acme", 2)
    archive, settings, effects = builder.archive, settings_of(builder), Effects()
    target = builder.folder / "out"
    answers: list[Any] = [
        status_of(archive, settings, NOW),
        health_of(archive, settings, NOW),
        explain_document(archive, settings, "acme/1", NOW),
        export_documents(archive, settings, DocumentFilter(), target, effects.files),
        retry_troubled(archive, (), NOW),
        *list_documents(archive, settings, DocumentFilter()),
        *list_troubled(archive),
        *list_accounts(archive, settings),
        *run_checks(settings, effects, offline=True),
        accept_document(archive, "acme/2", "sent again", NOW),
    ]
    for answer in answers:
        with pytest.raises(FrozenInstanceError):
            setattr(answer, fields(answer)[0].name, None)
    assert capfd.readouterr() == ("", "")


def test_status_knows_the_configurations_accounts_and_when_each_is_listed_next(builder: ArchiveBuilder) -> None:
    """Not before a pause is over in which the account is not even listed; never for one that is not configured."""
    builder.configure("acme", "paused", "late", "new")
    for label in ("acme", "paused", "late", "gone"):
        builder.account(label)
    runs = {"acme": LATER, "paused": LATER, "gone": LATER, "late": NOW - timedelta(minutes=2)}
    builder.archive.accounts.note_next_runs({builder.account(label): at for label, at in runs.items()})
    builder.paused("paused", PauseReason.CREDENTIALS, NEVER, "refused")
    found = {one.overview.account: one for one in status_of(builder.archive, settings_of(builder), NOW).accounts}
    assert list(found) == ["acme", "gone", "late", "new", "paused"]
    assert {label: one.next_run_at for label, one in found.items()} == runs | {
        "paused": NEVER,
        "gone": None,
        "new": None,
    }
    assert {label for label, one in found.items() if one.is_overdue} == {"late"}
    assert {label for label, one in found.items() if one.is_paused} == {"paused"}
    assert {label for label, one in found.items() if one.configured_as is None} == {"gone"}


def test_status_of_a_missing_archive_creates_none(builder: ArchiveBuilder) -> None:
    builder.archive.close()
    builder.path.unlink()
    found = status_of(builder.archive, settings_of(builder), NOW)
    assert (found.exists, found.shortage, [one.overview.account for one in found.accounts]) == (False, None, ["acme"])
    assert not builder.path.exists()


def test_health_is_graded_by_its_worst_reason_and_names_accounts_that_never_ran(builder: ArchiveBuilder) -> None:
    builder.configure("acme", "new", top="[alerts]\nfree_margin_bytes = 0\n")
    now = datetime.now(UTC)
    builder.update(tables.account, builder.account("acme"), last_success_at=now)
    found = health_of(builder.archive, settings_of(builder), now)
    assert [(one.grade, one.subject, one.alarm) for one in found.reasons] == [(Grade.WARNING, "new", None)]
    builder.paused("acme", PauseReason.CREDENTIALS, now + timedelta(hours=1), "refused")
    found = health_of(builder.archive, settings_of(builder), now)
    assert (found.grade, [one.subject for one in found.reasons]) == (Grade.CRITICAL, ["acme", "new"])


def test_an_explanation_says_what_happens_next_and_what_prevents_it(builder: ArchiveBuilder) -> None:
    builder.document("gone", 1, DocumentState.DISCOVERED, next_attempt_at=LATER, attempts=2, reason="torn")
    builder.paused("gone", PauseReason.PERMISSION, NEVER, "refused")
    builder.update(tables.account, builder.account("gone"), trouble="no answer")
    assert expected(builder, "gone/1") == (
        Expectation(Prospect.ATTEMPTS_FAILED, LATER, "torn", 2, 8),
        Expectation(Prospect.ACCOUNT_PAUSED, NEVER, "refused"),
        Expectation(Prospect.LIST_FAILS, reason="no answer"),
        Expectation(Prospect.NOT_CONFIGURED),
    )
    row = builder.document("acme", 1, DocumentState.BATCHED)
    assert expected(builder) == (Expectation(Prospect.NO_BATCH),)
    builder.batch("acme", row, state=BatchState.RESERVED, next_attempt_at=LATER)
    (one,) = expected(builder)
    assert (one.what, one.at, one.batch and one.batch.state) == (
        Prospect.IN_BATCH,
        LATER,
        BatchState.RESERVED,
    )
    builder.document("acme", 2, acknowledged_at=NOW, held=True, missing_types="MT,FU")
    assert expected(builder, "acme/2") == (
        Expectation(Prospect.DONE),
        Expectation(Prospect.INCOMPLETE, reason="MT, FU"),
        Expectation(Prospect.HELD, number=1),
    )


def test_a_full_disk_stops_only_fetching(builder: ArchiveBuilder) -> None:
    builder.config.write_text(builder.config.read_text().replace("min_free_bytes = 0", f"min_free_bytes = {10**15}"))
    builder.document("acme", 1, DocumentState.DISCOVERED, next_attempt_at=NOW)
    builder.document("acme", 2, acknowledged_at=NOW)
    settings = settings_of(builder)
    with contextlib.closing(archive_of(settings, Effects())) as archive:
        waiting, home = (explain_document(archive, settings, named, NOW).expectations for named in ("1", "2"))
    assert [one.what for one in waiting] == [Prospect.FETCHED, Prospect.DISK_FULL]
    assert [one.what for one in home] == [Prospect.DONE]


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_no_document_is_accepted_without_a_reason(builder: ArchiveBuilder, reason: str) -> None:
    row = builder.quarantined("acme", 1)
    with pytest.raises(UsageError, match="reason"):
        accept_document(builder.archive, "acme/1", reason, NOW)
    assert builder.value(tables.document.c.state, row) == DocumentState.QUARANTINED


def test_documents_are_found_once_each_and_accounts_that_do_not_exist_are_refused(builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    assert [one.doc_id for one in find_documents(builder.archive, ["1", "acme/1", "1"])] == [1, 1]
    with pytest.raises(UsageError, match="unknown account 'acne'; known accounts: acme"):
        list_documents(builder.archive, settings_of(builder), DocumentFilter(accounts=("acne",)))
    with pytest.raises(UsageError, match="unknown account"):
        export_documents(
            builder.archive,
            settings_of(builder),
            DocumentFilter(accounts=("acne",)),
            builder.folder / "out",
            Effects().files,
        )
    assert not (builder.folder / "out").exists()


def test_a_label_that_the_configuration_has_is_never_taken_from_it(builder: ArchiveBuilder) -> None:
    """The next start would give the old label back, and commands and service would differ until then."""
    builder.configure("acme", "beta")
    builder.account("acme")
    for new in ("other", "beta"):
        with pytest.raises(UsageError):
            rename_account(builder.archive, settings_of(builder), "acme", new, NOW)
    assert tuple(entry.label for entry in builder.archive.accounts.entries()) == ("acme",)


def test_a_finding_has_its_kind_of_error(builder: ArchiveBuilder) -> None:
    """The caller decides what it means: an exit code, a colour."""
    builder.config.chmod(0o600)
    builder.path.chmod(0o644)
    faults = [one.fault for one in run_checks(settings_of(builder), Effects(), offline=True) if one.fault is not None]
    assert len(faults) == 1
    assert issubclass(faults[0], SyncError)
