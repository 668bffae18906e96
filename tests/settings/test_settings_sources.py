"""Where values come from, which one wins, and that each tells its origin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.errors import UsageError
from easytracking_sync.settings import AccountSettings, Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.settings.conftest import Bench


def password(settings: Settings, label: str = "acme") -> str:
    return settings.accounts[label].password.get_secret_value()


def test_no_file_and_no_variable_give_the_defaults_and_no_account(bench: Bench) -> None:
    settings = bench.load()
    assert settings.sync.workers == 8
    assert settings.accounts == {}
    assert set(settings.sources.values()) == {"default"}


def test_later_sources_win_file_then_environment_then_credentials(bench: Bench, acme: str) -> None:
    assert password(bench.load(acme)) == "s3cret-of-acme"
    assert password(bench.load(acme, EASYTRACKING_ACCOUNTS__ACME__PASSWORD="from-environment")) == "from-environment"
    bench.credential("accounts__acme__password", "from-credential\n")
    settings = bench.load(acme, EASYTRACKING_ACCOUNTS__ACME__PASSWORD="from-environment")
    assert password(settings) == "from-credential"


def test_credentials_from_a_folder_of_systemd_have_a_prefix(bench: Bench, acme: str) -> None:
    bench.credential("easytracking-sync_accounts__acme__password", "from-folder")
    settings = bench.load(acme)
    assert password(settings) == "from-folder"
    assert settings.sources["accounts.acme.password"] == "credential easytracking-sync_accounts__acme__password"


def test_every_value_has_its_source(bench: Bench, acme: str) -> None:
    bench.credential("ACCOUNTS__ACME__PASSWORD", "p")
    sources = bench.load(acme, EASYTRACKING_SYNC__WORKERS="3").sources
    assert sources["accounts.acme.username"] == f"file {bench.file}"
    assert sources["accounts.acme.password"] == "credential ACCOUNTS__ACME__PASSWORD"
    assert sources["sync.workers"] == "environment EASYTRACKING_SYNC__WORKERS"
    assert sources["sync.every"] == "default"


def test_the_source_of_a_secret_in_a_file_is_the_key_that_names_the_file(bench: Bench, acme: str) -> None:
    (bench.folder / "pw").write_text("in-a-file\n")
    toml = acme.replace('password = "s3cret-of-acme"', f'password_file = "{bench.folder}/pw"')
    settings = bench.load(toml)
    assert password(settings) == "in-a-file"
    assert settings.sources["accounts.acme.password"] == f"file {bench.file} (a file's name)"


def test_labels_ignore_case_between_sources(bench: Bench, acme: str) -> None:
    settings = bench.load(acme.replace("acme", "ACME"), EASYTRACKING_ACCOUNTS__Acme__USERNAME="luigi")
    assert list(settings.accounts) == ["acme"]
    assert settings.accounts["acme"].username == "luigi"


def test_an_underscore_in_a_variable_means_a_dash_in_a_label(bench: Bench, acme: str) -> None:
    toml = acme.replace("accounts.acme", "accounts.acme-srl")
    assert password(bench.load(toml, EASYTRACKING_ACCOUNTS__ACME_SRL__PASSWORD="new"), "acme-srl") == "new"


def test_an_account_may_come_from_the_environment_alone(bench: Bench) -> None:
    account = bench.load(
        EASYTRACKING_ACCOUNTS__SOLO__ENVIRONMENT="ditech-staging",
        EASYTRACKING_ACCOUNTS__SOLO__USERNAME="u",
        EASYTRACKING_ACCOUNTS__SOLO__PASSWORD="p",
        EASYTRACKING_ACCOUNTS__SOLO__FILE_TYPES="FA, FI",
        EASYTRACKING_ACCOUNTS__SOLO__HISTORY_FROM="2024-02-29",
    ).accounts["solo"]
    assert [kind.value for kind in account.file_types] == ["FA", "FI"]
    assert account.history_from.isoformat() == "2024-02-29"


def test_an_empty_variable_overrides_the_file(bench: Bench, acme: str) -> None:
    settings = bench.load(f'{acme}receiver_piva = "123"', EASYTRACKING_ACCOUNTS__ACME__RECEIVER_PIVA="")
    assert settings.accounts["acme"].receiver_piva == ""


def test_a_secrets_directory_is_read_like_credentials_and_credentials_win(bench: Bench, acme: str) -> None:
    secrets = bench.folder / "secrets"
    secrets.mkdir()
    (secrets / "accounts__acme__password").write_text("from-secrets")
    (secrets / "..data").mkdir()
    assert password(bench.load(acme, EASYTRACKING_SECRETS_DIR=str(secrets))) == "from-secrets"
    bench.credential("accounts__acme__password", "from-credential")
    assert password(bench.load(acme, EASYTRACKING_SECRETS_DIR=str(secrets))) == "from-credential"


def test_a_credential_that_a_file_key_names_is_not_a_key(bench: Bench, acme: str) -> None:
    bench.credential("the-password", "p\n")
    path = bench.folder / "credentials" / "the-password"
    toml = acme.replace('password = "s3cret-of-acme"', f'password_file = "{path}"')
    assert password(bench.load(toml)) == "p"


@pytest.mark.parametrize(("content", "secret"), [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")])
def test_only_one_final_newline_is_removed_from_a_secret(bench: Bench, acme: str, content: str, secret: str) -> None:
    bench.credential("accounts__acme__password", content)
    assert password(bench.load(acme)) == secret


def test_the_file_is_the_options_then_the_variables_then_the_fallback(bench: Bench) -> None:
    files = {}
    for workers, name in enumerate(("option", "variable", "fallback"), start=1):
        files[name] = bench.folder / f"{name}.toml"
        files[name].write_text(f"[sync]\nworkers = {workers}\n")
    environ = {"EASYTRACKING_CONFIG": str(files["variable"])}
    fallback = files["fallback"]
    assert load_settings(files["option"], environ, fallback=fallback).sync.workers == 1
    assert load_settings(None, environ, fallback=fallback).sync.workers == 2
    assert load_settings(None, {}, fallback=fallback).sync.workers == 3


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_named_configuration_file_must_exist(tmp_path: Path, by: str) -> None:
    absent = tmp_path / "absent.toml"
    environ = {"EASYTRACKING_CONFIG": str(absent)} if by == "variable" else {}
    with pytest.raises(UsageError, match=r"absent.toml.*No such file"):
        load_settings(absent if by == "option" else None, environ)


def test_the_environment_of_the_process_is_not_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYTRACKING_SYNC__WORKERS", "3")
    monkeypatch.setenv("SYNC", "{}")
    monkeypatch.setenv("TIMEZONE", "Asia/Tokyo")
    assert bench.load().sync.workers == 8
    assert Settings().timezone.key == "Europe/Rome"


def test_settings_built_directly_take_arguments_and_validate_them() -> None:
    account = AccountSettings.model_validate({"environment": "varhub-staging", "username": "u", "password": "p"})
    assert Settings(accounts={"Acme": account}).accounts["acme"].identity == ("https://servizitest.varhub.it", "u")


def test_settings_are_frozen(bench: Bench) -> None:
    settings = bench.load()
    with pytest.raises(ValueError, match="frozen"):
        settings.sync.workers = 3


def test_redacted_settings_are_json_without_secrets(bench: Bench, acme: str) -> None:
    toml = f"""
[database]
url = "postgresql+psycopg://archive:db-s3cret@db/archive?password=query-s3cret"
{acme}client_secret = "own-s3cret"
proxy = "http://me:proxy-s3cret@proxy:3128"
"""
    settings = bench.load(toml)
    text = json.dumps(settings.redacted()) + repr(settings) + str(settings.sources)
    assert "s3cret" not in text
    assert settings.redacted()["database"]["url"] == "postgresql+psycopg://archive:********@db/archive?********"
    assert settings.redacted()["accounts"]["acme"]["proxy"] == "http://me:********@proxy:3128"
    assert settings.redacted()["accounts"]["acme"]["password"] == "********"
    assert set(settings.sources) >= {"timezone", "sync.every", "accounts.acme.history_from"}
