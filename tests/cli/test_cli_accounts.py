"""`accounts`: list the accounts of archive and configuration; rename one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.archive import tables
from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.errors import UsageError

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

NOW = importlib.import_module("tests.support.archive_builder").NOW


def test_every_account_is_listed_with_its_documents_and_whether_it_is_configured(
    run: Run, builder: ArchiveBuilder
) -> None:
    builder.configure("acme", "silent")
    builder.document("acme", 1)
    builder.document("acme", 2)
    builder.document("gone", 3)
    builder.update(tables.account, builder.account("acme"), last_success_at=NOW)
    told = run("--config", builder.config, "accounts", "list")
    assert told.code == 0
    rows = [line.split() for line in told.out.splitlines()[1:]]
    assert rows == [
        ["acme", "http://127.0.0.1:9", "acme-user", "2", "2026-11-22", "13:00", "yes"],
        ["gone", "http://127.0.0.1:9", "gone-user", "1", "never", "no"],
        ["silent", "http://127.0.0.1:9", "silent-user", "0", "never", "yes"],
    ]


def test_an_account_with_another_label_in_the_configuration_is_reported(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    builder.config.write_text(builder.config.read_text().replace("[accounts.acme]", "[accounts.italia]"))
    assert "as italia" in run("--config", builder.config, "accounts", "list").out
    builder.configure("acme")
    builder.config.write_text(builder.config.read_text().replace("acme-user", "another-user"))
    assert "another account has this label" in run("--config", builder.config, "accounts", "list").out


def test_a_label_that_the_configuration_still_has_is_refused_with_what_to_do_first(
    run: Run, builder: ArchiveBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start would restore the old label, and until then commands and service would differ."""
    builder.document("acme", 1)
    monkeypatch.setenv("EASYTRACKING_ACCOUNTS__ACME__PASSWORD", "canary-elsewhere")
    told = run("--config", builder.config, "accounts", "rename", "acme", "acme-italia")
    assert told.code == 2
    assert "rename its table [accounts.acme] to [accounts.acme-italia]" in told.complaint
    assert "environment EASYTRACKING_ACCOUNTS__ACME__PASSWORD" in told.complaint
    assert "canary" not in told.complaint
    assert tuple(entry.label for entry in builder.archive.accounts.entries()) == ("acme",)


def test_an_account_is_only_renamed_to_its_label_in_the_configuration(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    builder.config.write_text(builder.config.read_text().replace("[accounts.acme]", "[accounts.italia]"))
    told = run("--config", builder.config, "accounts", "rename", "acme", "other")
    assert (told.code, "the configuration calls acme italia" in told.complaint) == (2, True)


def test_rename_keeps_the_documents_and_works_beside_a_running_service(run: Run, builder: ArchiveBuilder) -> None:
    row = builder.document("acme", 1)
    builder.config.write_text(builder.config.read_text().replace("[accounts.acme]", "[accounts.acme-italia]"))
    with instance_lock(builder.archive.database, {"pid": "1"}):
        told = run("--config", builder.config, "accounts", "rename", "ACME", "acme-italia")
    assert (told.code, told.out) == (0, "acme is now called acme-italia in the archive.\n")
    assert builder.archive.document_search.find("acme-italia/1").row_id == row
    with builder.archive.database.read() as connection:
        events = connection.execute(tables.event.select().where(tables.event.c.name == "account.renamed")).all()
    assert len(events) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("acme", "beta", "beta is the label of another account"),
        ("acme", "configured", "another account in the configuration"),
        ("nobody", "new", "the archive has no account nobody"),
        ("acme", "a b", "'a b' is not a label"),
        ("acme", "acme", "the account is already called acme"),
    ],
)
def test_a_wrong_new_label_is_one_clear_line(
    run: Run, builder: ArchiveBuilder, old: str, new: str, said: str
) -> None:
    builder.configure("acme", "configured")
    builder.document("acme", 1)
    builder.document("beta", 1)
    told = run("--config", builder.config, "accounts", "rename", old, new)
    assert told.code == 2
    assert said in told.complaint
    assert tuple(entry.label for entry in builder.archive.accounts.entries()) == ("acme", "beta")


def test_an_unconfigured_account_may_get_any_label(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("gone", 1)
    assert run("--config", builder.config, "accounts", "rename", "gone", "former").code == 0
    assert tuple(entry.label for entry in builder.archive.accounts.entries()) == ("former",)


def test_an_account_that_moved_keeps_its_documents_and_its_history(run: Run, builder: ArchiveBuilder) -> None:
    row = builder.document("acme", 1)
    account_id = builder.account("acme")
    builder.config.write_text(builder.config.read_text().replace("127.0.0.1:9", "127.0.0.1:10"))
    with instance_lock(builder.archive.database, {"pid": "1"}):
        told = run("--config", builder.config, "accounts", "move", "acme")
    assert (told.code, told.out) == (0, "acme is now acme-user at http://127.0.0.1:10 in the archive.\n")
    assert builder.archive.accounts.register("acme", "http://127.0.0.1:10", "acme-user", NOW) == account_id
    assert builder.archive.document_search.find("acme/1").row_id == row
    with builder.archive.database.read() as connection:
        (event,) = connection.execute(tables.event.select().where(tables.event.c.name == "account.moved")).all()
    assert "acme-user at http://127.0.0.1:9" in event.detail


def test_the_case_of_a_user_name_can_be_moved(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    builder.config.write_text(builder.config.read_text().replace('"acme-user"', '"ACME-User"'))
    assert run("--config", builder.config, "accounts", "move", "acme").code == 0
    (entry,) = builder.archive.accounts.entries()
    assert entry.username == "ACME-User"


def test_an_account_with_another_identity_is_refused_with_the_command_that_moves_it(builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    with pytest.raises(UsageError, match="run `easytracking-sync accounts move acme`"):
        builder.archive.accounts.register("acme", "http://127.0.0.1:10", "acme-user", NOW)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("acme", "change the address or the user name in the configuration first"),
        ("gone", "the configuration has no account gone"),
        ("new", "the archive has no account new"),
    ],
)
def test_what_cannot_be_moved_is_one_clear_line(run: Run, builder: ArchiveBuilder, label: str, said: str) -> None:
    builder.configure("acme", "new")
    builder.document("acme", 1)
    builder.document("gone", 1)
    told = run("--config", builder.config, "accounts", "move", label)
    assert told.code == 2
    assert said in told.complaint


def test_an_account_never_takes_over_the_documents_of_another(run: Run, builder: ArchiveBuilder) -> None:
    builder.configure("acme")
    builder.document("acme", 1)
    builder.document("beta", 1)
    builder.config.write_text(builder.config.read_text().replace('"acme-user"', '"beta-user"'))
    told = run("--config", builder.config, "accounts", "move", "acme")
    assert (told.code, "another account for beta-user" in told.complaint) == (2, True)
    assert [entry.username for entry in builder.archive.accounts.entries()] == ["acme-user", "beta-user"]


def test_check_warns_of_two_accounts_with_the_same_documents(run: Run, builder: ArchiveBuilder) -> None:
    """One account under two identities: every document is fetched and kept twice."""
    builder.configure("acme", "again")
    for label, doc_id in (("acme", 1), ("acme", 2), ("again", 1), ("again", 2), ("again", 3)):
        builder.document(label, doc_id)
    told = run("--config", builder.config, "check")
    assert "acme and again have 2 documents in common" in told.out
