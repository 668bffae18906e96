"""The use cases as whoever is not the command line calls them: values in, frozen values out, and nothing printed."""

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
    from tests.support.archive_builder import Stock

stocked = importlib.import_module("tests.support.archive_builder")
stock, NOW, NEVER = stocked.stock, stocked.NOW, stocked.NEVER
LATER = NOW + timedelta(hours=1)


def settings_of(stock: Stock) -> Settings:
    return load_settings(stock.config, {})


def expected(stock: Stock, named: str = "acme/1") -> tuple[Expectation, ...]:
    return explain_document(stock.archive, settings_of(stock), named, NOW).expectations


def test_they_return_frozen_values_and_print_nothing(stock: Stock, capfd: pytest.CaptureFixture[str]) -> None:
    stock.document("acme", 1, files={"FA": ("a.xml", b"one")})
    stock.quarantined("acme", 2)
    archive, settings, effects = stock.archive, settings_of(stock), Effects()
    target = stock.folder / "out"
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


def test_status_knows_the_configurations_accounts_and_when_each_is_listed_next(stock: Stock) -> None:
    """Not before a pause is over in which the account is not even listed; never for one that is not configured."""
    stock.configure("acme", "paused", "late", "new")
    for label in ("acme", "paused", "late", "gone"):
        stock.account(label)
    runs = {"acme": LATER, "paused": LATER, "gone": LATER, "late": NOW - timedelta(minutes=2)}
    stock.archive.accounts.note_next_runs({stock.account(label): at for label, at in runs.items()})
    stock.paused("paused", PauseReason.CREDENTIALS, NEVER, "refused")
    found = {one.overview.account: one for one in status_of(stock.archive, settings_of(stock), NOW).accounts}
    assert list(found) == ["acme", "gone", "late", "new", "paused"]
    assert {label: one.next_run_at for label, one in found.items()} == runs | {
        "paused": NEVER,
        "gone": None,
        "new": None,
    }
    assert {label for label, one in found.items() if one.is_overdue} == {"late"}
    assert {label for label, one in found.items() if one.is_paused} == {"paused"}
    assert {label for label, one in found.items() if one.configured_as is None} == {"gone"}


def test_status_of_an_archive_that_is_not_there_makes_none(stock: Stock) -> None:
    stock.archive.close()
    stock.path.unlink()
    found = status_of(stock.archive, settings_of(stock), NOW)
    assert (found.exists, found.shortage, [one.overview.account for one in found.accounts]) == (False, None, ["acme"])
    assert not stock.path.exists()


def test_health_is_graded_by_its_worst_reason_and_names_accounts_that_never_ran(stock: Stock) -> None:
    stock.configure("acme", "new", top="[alerts]\nfree_margin_bytes = 0\n")
    now = datetime.now(UTC)
    stock.update(tables.account, stock.account("acme"), last_success_at=now)
    found = health_of(stock.archive, settings_of(stock), now)
    assert [(one.grade, one.subject, one.alarm) for one in found.reasons] == [(Grade.WARNING, "new", None)]
    stock.paused("acme", PauseReason.CREDENTIALS, now + timedelta(hours=1), "refused")
    found = health_of(stock.archive, settings_of(stock), now)
    assert (found.grade, [one.subject for one in found.reasons]) == (Grade.CRITICAL, ["acme", "new"])


def test_an_explanation_says_what_happens_next_and_what_keeps_it(stock: Stock) -> None:
    stock.document("gone", 1, DocumentState.DISCOVERED, next_attempt_at=LATER, attempts=2, reason="torn")
    stock.paused("gone", PauseReason.PERMISSION, NEVER, "refused")
    stock.update(tables.account, stock.account("gone"), trouble="no answer")
    assert expected(stock, "gone/1") == (
        Expectation(Prospect.ATTEMPTS_FAILED, LATER, "torn", 2, 8),
        Expectation(Prospect.ACCOUNT_PAUSED, NEVER, "refused"),
        Expectation(Prospect.LIST_FAILS, reason="no answer"),
        Expectation(Prospect.NOT_CONFIGURED),
    )
    row = stock.document("acme", 1, DocumentState.BATCHED)
    assert expected(stock) == (Expectation(Prospect.NO_BATCH),)
    stock.batch("acme", row, state=BatchState.RESERVED, next_attempt_at=LATER)
    (one,) = expected(stock)
    assert (one.what, one.at, one.carrying_batch and one.carrying_batch.state) == (
        Prospect.IN_BATCH,
        LATER,
        BatchState.RESERVED,
    )
    stock.document("acme", 2, acknowledged_at=NOW, held=True, missing_types="MT,FU")
    assert expected(stock, "acme/2") == (
        Expectation(Prospect.DONE),
        Expectation(Prospect.INCOMPLETE, reason="MT, FU"),
        Expectation(Prospect.HELD, number=1),
    )


def test_a_full_disk_keeps_what_is_still_to_be_fetched_and_nothing_else(stock: Stock) -> None:
    stock.config.write_text(stock.config.read_text().replace("min_free_bytes = 0", f"min_free_bytes = {10**15}"))
    stock.document("acme", 1, DocumentState.DISCOVERED, next_attempt_at=NOW)
    stock.document("acme", 2, acknowledged_at=NOW)
    settings = settings_of(stock)
    with contextlib.closing(archive_of(settings, Effects())) as archive:
        waiting, home = (explain_document(archive, settings, named, NOW).expectations for named in ("1", "2"))
    assert [one.what for one in waiting] == [Prospect.FETCHED, Prospect.DISK_FULL]
    assert [one.what for one in home] == [Prospect.DONE]


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_no_document_is_accepted_without_a_reason(stock: Stock, reason: str) -> None:
    row = stock.quarantined("acme", 1)
    with pytest.raises(UsageError, match="reason"):
        accept_document(stock.archive, "acme/1", reason, NOW)
    assert stock.value(tables.document.c.state, row) == DocumentState.QUARANTINED


def test_documents_are_found_once_each_and_accounts_that_do_not_exist_are_refused(stock: Stock) -> None:
    stock.document("acme", 1)
    assert [one.doc_id for one in find_documents(stock.archive, ["1", "acme/1", "1"])] == [1, 1]
    with pytest.raises(UsageError, match="there is no account 'acne'; there are acme"):
        list_documents(stock.archive, settings_of(stock), DocumentFilter(accounts=("acne",)))
    with pytest.raises(UsageError, match="no account"):
        export_documents(
            stock.archive,
            settings_of(stock),
            DocumentFilter(accounts=("acne",)),
            stock.folder / "out",
            Effects().files,
        )
    assert not (stock.folder / "out").exists()


def test_a_label_that_the_configuration_has_is_never_taken_from_it(stock: Stock) -> None:
    """The next start would give the old label back, and commands and service would differ until then."""
    stock.configure("acme", "beta")
    stock.account("acme")
    for new in ("other", "beta"):
        with pytest.raises(UsageError):
            rename_account(stock.archive, settings_of(stock), "acme", new, NOW)
    assert stock.archive.document_search.labels() == ("acme",)


def test_a_finding_has_the_error_that_it_is(stock: Stock) -> None:
    """Whoever shows it decides what that means: an exit code, a colour."""
    stock.config.chmod(0o600)
    stock.path.chmod(0o644)
    faults = [one.fault for one in run_checks(settings_of(stock), Effects(), offline=True) if one.fault is not None]
    assert len(faults) == 1
    assert issubclass(faults[0], SyncError)
