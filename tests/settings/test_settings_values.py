"""What each key takes, what it becomes, and what follows from it."""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.environments import CLIENT_SECRET, ENVIRONMENTS
from easytracking_sync.settings import AccountSettings, Database, Schedule, Settings, Sync
from easytracking_sync.settings.display import brief
from easytracking_sync.terms import AcknowledgeWith, FileType, OnRelist

if TYPE_CHECKING:
    from tests.settings.conftest import Bench

CONTRACT: dict[str, Any] = {
    "timezone": "Europe/Rome",
    "database.url": "sqlite:////var/lib/easytracking-sync/archive.db",
    "storage.backend": "database",
    "storage.path": "",
    "storage.spool": "",
    "storage.min_free_bytes": 1_000_000_000,
    "sync.every": "15m",
    "sync.cron": "",
    "sync.workers": 8,
    "sync.jobs_in_flight": 4,
    "sync.poll_first_seconds": 2,
    "sync.poll_cap_seconds": 30,
    "sync.retry_base_seconds": 1,
    "sync.retry_cap_seconds": 300,
    "sync.job_deadline_seconds": 3600,
    "sync.max_attempts": 8,
    "sync.max_file_bytes": 1_000_000_000,
    "alerts.urls": [],
    "alerts.urls_file": "",
    "alerts.language": "it",
    "alerts.silent_intervals": 4,
    "alerts.backlog_hours": 24,
    "alerts.free_margin_bytes": 1_000_000_000,
    "alerts.new_invoices": False,
    "alerts.digest": "",
    "alerts.heartbeat_url": "",
    "alerts.heartbeat_url_file": "",
    "accounts.acme.environment": "varhub-production",
    "accounts.acme.base_url": "",
    "accounts.acme.auth_base_url": "",
    "accounts.acme.route": "v10",
    "accounts.acme.username": "mario",
    "accounts.acme.password": "********",
    "accounts.acme.password_file": "",
    "accounts.acme.client_secret": "********",
    "accounts.acme.client_secret_file": "",
    "accounts.acme.file_types": ["FA", "MT", "FU"],
    "accounts.acme.acknowledge": "phase1",
    "accounts.acme.on_relist": "acknowledge",
    "accounts.acme.history_from": "2019-01-01",
    "accounts.acme.receiver_piva": "",
    "accounts.acme.receiver_cf": "",
    "accounts.acme.ca_file": "",
    "accounts.acme.proxy": "",
    "accounts.acme.every": "",
    "accounts.acme.cron": "",
}


def account(**keys: Any) -> AccountSettings:
    login = {"environment": "varhub-production", "username": "u", "password": "p"}
    return AccountSettings.model_validate(login | keys)


@pytest.mark.parametrize("key", CONTRACT)
def test_every_key_has_its_default(bench: Bench, acme: str, key: str) -> None:
    value: Any = bench.load(acme).redacted()
    for part in key.split("."):
        value = value[part]
    assert value == CONTRACT[key]


def test_values_are_typed(bench: Bench, acme: str) -> None:
    loaded = bench.load(acme).accounts["acme"]
    assert loaded.file_types == (FileType.FA, FileType.MT, FileType.FU)
    assert loaded.acknowledge is AcknowledgeWith.PHASE1
    assert loaded.on_relist is OnRelist.ACKNOWLEDGE
    assert loaded.history_from == date(2019, 1, 1)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("30", timedelta(seconds=30)),
        (45, timedelta(seconds=45)),
    ],
)
def test_an_interval_is_a_number_of_seconds_or_has_a_unit(text: object, span: timedelta) -> None:
    assert Sync.model_validate({"every": text}).every == span


@given(st.integers(1, 31 * 86400))
def test_an_interval_is_shown_as_it_can_be_configured(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert Sync.model_validate({"every": brief(span)}).every == span


def test_an_account_s_own_schedule_replaces_the_common_one() -> None:
    own = {"a": account(), "b": account(username="v", every="1h"), "c": account(username="w", cron="0 6 * * mon-fri")}
    common = Sync.model_validate({"cron": "*/15 6-22 * * *"})
    settings = Settings(sync=common, accounts=own)
    assert settings.schedule("a") == Schedule(timedelta(minutes=15), "*/15 6-22 * * *")
    assert settings.schedule("b") == Schedule(timedelta(hours=1), "")
    assert settings.schedule("c").cron == "0 6 * * mon-fri"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_sets_two_addresses(name: str) -> None:
    assert account(environment=name).endpoint == ENVIRONMENTS[name]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://Servizi.VarHub.IT/", "https://servizi.varhub.it"),
        ("HTTPS://servizi.varhub.it:443", "https://servizi.varhub.it"),
        ("https://proxy.example:8443/et/", "https://proxy.example:8443/et"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:80/", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_the_same_however_it_is_written(written: str, normal: str) -> None:
    mine = account(environment="", base_url=written, auth_base_url="https://auth.example")
    assert mine.identity == (normal, "u")


def test_the_published_client_secret_is_the_default() -> None:
    assert account().client_secret.get_secret_value() == CLIENT_SECRET
    assert account(client_secret="").client_secret.get_secret_value() == CLIENT_SECRET
    assert account(client_secret="other").client_secret.get_secret_value() == "other"


def test_spool_and_blobs_are_beside_the_archive_by_default() -> None:
    relative = Settings(database=Database.model_validate({"url": "sqlite:///here/archive.db"}))
    assert (relative.spool_path, relative.blobs_path) == (Path("here/spool"), Path("here/blobs"))
    assert relative.database.sqlite_path == Path("here/archive.db")
    server = Settings(database=Database.model_validate({"url": "postgresql+psycopg://u:p@db/archive"}))
    assert server.spool_path == Path("/var/lib/easytracking-sync/spool")
    assert server.database.sqlite_path is None
    told = Settings.model_validate({"storage": {"spool": "/fast/spool", "path": "/large/blobs"}})
    assert (told.spool_path, told.blobs_path) == (Path("/fast/spool"), Path("/large/blobs"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mailtos://user:p@ss@mail.example?to=me@example.com", "mailtos://mail.example"),
        ("json://127.0.0.1:8000/hook/s3cret", "json://127.0.0.1"),
        ("tgram://123456:token/42", "tgram://********"),
        ("slack://tokenA/tokenB/tokenC", "slack://********"),
        ("https://monitor.example/ping/s3cret", "https://monitor.example"),
    ],
)
def test_an_alert_address_is_shown_as_scheme_and_host(bench: Bench, acme: str, url: str, shown: str) -> None:
    """Some kinds have a token where others have the host."""
    written = bench.load(f'[alerts]\nurls = ["{url}"]\n{acme}').redacted()["alerts"]
    assert written["urls"] == [shown]


def test_alert_addresses_may_be_in_a_list_a_variable_or_a_file(bench: Bench, acme: str) -> None:
    two = ["json://one.example/a", "json://two.example/b"]
    (bench.folder / "urls").write_text("\n".join(two) + "\n\n")
    for settings in (
        bench.load(f"[alerts]\nurls = {json.dumps(two)}\n{acme}"),
        bench.load(acme, EASYTRACKING_ALERTS__URLS=" ".join(two)),
        bench.load(f'[alerts]\nurls_file = "{bench.folder}/urls"\n{acme}'),
    ):
        assert [url.get_secret_value() for url in settings.alerts.urls] == two


def test_a_time_and_a_boolean_are_read_from_text(bench: Bench, acme: str) -> None:
    alerts = bench.load(acme, EASYTRACKING_ALERTS__DIGEST="7:30", EASYTRACKING_ALERTS__NEW_INVOICES="true").alerts
    assert (alerts.digest, alerts.new_invoices) == (time(7, 30), True)


def test_possible_secrets_in_an_alert_address_are_known(bench: Bench, acme: str) -> None:
    urls = [
        "mailtos://user:pw-1@mail.example?to=m@e.it",
        "tgram://123456789:abcdef-token/42",
        "json://a.example/hook-one?overflow=split&password=query-one&query-two=",
    ]
    secrets = set(bench.load(f"[alerts]\nurls = {json.dumps(urls)}\n{acme}").alerts.secrets)
    assert {*urls, "pw-1", "123456789", "abcdef-token", "hook-one", "query-one", "query-two"} <= secrets
    assert not secrets & {"mail.example", "user", "to", "42", "overflow", "password"}
