"""A wrong configuration is refused with one line for each problem, with its source, its key and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Settings

if TYPE_CHECKING:
    from tests.settings.conftest import Bench

UNKNOWN = [
    ("[sync]\nwrokers = 3", "config.toml: sync.wrokers is not a key; did you mean sync.workers?"),
    ("workers = 3", "config.toml: workers is not a key; did you mean sync.workers?"),
    ("[snyc]\nworkers = 3", "config.toml: snyc is not a key; did you mean sync?"),
    (
        '[accounts.acme]\npasword = "p"',
        "config.toml: accounts.acme.pasword is not a key; did you mean accounts.acme.password?",
    ),
    ("[accounts.acme.sync]\nworkers = 3", "config.toml: accounts.acme.sync is not a key; valid keys are"),
    ('"two\\nlines" = 1', r"config.toml: 'two\nlines' is not a key; valid keys are"),
    ("qqq = 1", f"config.toml: qqq is not a key; valid keys are {', '.join(sorted(Settings.model_fields))}"),
]


@pytest.mark.parametrize(("toml", "line"), UNKNOWN)
def test_an_unknown_key_in_the_file_is_named_with_the_most_similar_key(bench: Bench, toml: str, line: str) -> None:
    assert any(said.startswith(line) for said in bench.refusal(toml))


@pytest.mark.parametrize("wrong", ["usrname", "user", "login"])
def test_a_misspelled_key_is_not_reported_as_missing_too(bench: Bench, acme: str, wrong: str) -> None:
    (said,) = bench.refusal(acme.replace("username", wrong))
    assert said.startswith(f"config.toml: accounts.acme.{wrong} is not a key; ")
    assert "username" in said


def test_a_history_start_far_in_the_future_is_refused_with_its_source(bench: Bench, acme: str) -> None:
    (said,) = bench.refusal(f"{acme}history_from = 2199-01-01\n")
    assert said.startswith("config.toml: accounts.acme.history_from is 2199-01-01, but must be ")
    (said,) = bench.refusal(acme, EASYTRACKING_ACCOUNTS__ACME__HISTORY_FROM="2199-01-01")
    assert said.startswith("environment EASYTRACKING_ACCOUNTS__ACME__HISTORY_FROM is 2199-01-01")
    soon = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    assert bench.load(f"{acme}history_from = {soon}\n").accounts["acme"].history_from.isoformat() == soon


ALERT_VALUES = [
    'urls = "mailto"',
    "urls = 5",
    "urls = [5]",
    'urls = ["mailto:me@example.com"]',
    'language = "fr"',
    "silent_intervals = 0",
    "backlog_hours = 0",
    "free_margin_bytes = -1",
    'new_invoices = "perhaps"',
    'digest = "7.30"',
    'digest = "24:00"',
    'heartbeat_url = "ftp://monitor.example/x"',
    'urls_file = "/nowhere/urls"',
    'heartbeat_url_file = "/nowhere/url"',
]


@pytest.mark.parametrize("line", ALERT_VALUES)
def test_a_wrong_value_of_alerts_is_refused_by_its_name_and_addresses_are_not_shown(bench: Bench, line: str) -> None:
    (said,) = bench.refusal(f"[alerts]\n{line}")
    assert said.startswith(f"config.toml: alerts.{line.partition(' ')[0]} ")
    assert "me@example.com" not in said
    assert "monitor.example/x" not in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EASYTRACKING_SYNC__WROKERS", "EASYTRACKING_SYNC__WORKERS"),
        ("EASYTRACKING_SNC__WORKERS", "EASYTRACKING_SYNC__WORKERS"),
        ("EASYTRACKING_ACOUNTS__ACME__PASSWORD", "EASYTRACKING_ACCOUNTS__ACME__PASSWORD"),
        ("EASYTRACKING_ACCOUNTS__ACME__PASSWRD", "EASYTRACKING_ACCOUNTS__ACME__PASSWORD"),
        ("EASYTRACKING_SYNC_WORKERS", "EASYTRACKING_SYNC__WORKERS"),
        ("EASYTRACKING_CONFG", "EASYTRACKING_CONFIG"),
    ],
)
def test_an_unknown_variable_is_named_with_the_most_similar_one_and_without_its_value(
    bench: Bench, acme: str, name: str, meant: str
) -> None:
    assert bench.refusal(acme, **{name: "hunter2"}) == [f"environment {name} is not a key; did you mean {meant}?"]


def test_one_underscore_instead_of_two_is_reported_without_the_secret(bench: Bench, acme: str) -> None:
    said = bench.refusal(acme, EASYTRACKING_ACCOUNTS__ACME_PASSWORD="hunter2")
    wrong, right = "EASYTRACKING_ACCOUNTS__ACME_PASSWORD", "EASYTRACKING_ACCOUNTS__ACME__PASSWORD"
    assert said == [f"environment {wrong} is a table and takes no single value; did you mean {right}?"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("accounts__acme__pasword", "accounts__acme__password"),
        ("ACCOUNTS__ACME__PASWORD", "accounts__acme__password"),
        ("accounts_acme_password", "accounts__acme__password"),
    ],
)
def test_an_unknown_credential_is_named_with_the_most_similar_one(
    bench: Bench, acme: str, name: str, meant: str
) -> None:
    bench.credential(name, "hunter2")
    assert bench.refusal(acme) == [f"credential {name} is not a key; did you mean {meant}?"]


def test_a_name_with_other_characters_than_ascii_is_shown_escaped(bench: Bench, acme: str) -> None:
    """An environment in an old encoding reaches Python as signs that nobody can print."""
    wanted = "is not a key; names of keys have ASCII letters only"
    assert bench.refusal(acme, **{"EASYTRACKING_\udce8": "hunter2"}) == [
        f"environment 'EASYTRACKING_\\udce8' {wanted}"
    ]
    assert bench.refusal(acme, **{"EASYTRACKING_A\r\nB": "hunter2"}) == [
        f"environment 'EASYTRACKING_A\\r\\nB' {wanted}"
    ]
    bench.credential("accounts__acme__passwòrd", "hunter2")
    assert bench.refusal(acme) == [f'credential "accounts__acme__passwòrd" {wanted}']


def test_every_problem_has_its_own_line(bench: Bench, acme: str) -> None:
    said = bench.refusal(
        f"[sync]\nwrokers = 3\nmax_attempts = 0\n{acme}",
        EASYTRACKING_SYNC__WROKERS="3",
        EASYTRACKING_SYNC__EVERY="soon",
    )
    assert len(said) == 4
    assert any(line.startswith('environment EASYTRACKING_SYNC__EVERY is "soon", but must be a time') for line in said)
    assert "config.toml: sync.max_attempts is 0, but must be a whole number from 1 to 1_000" in said


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("a = = 1", "config.toml, line 1, column 5: "),
        ("[sync]\nworkers = [1,\n", "config.toml, line 2, column "),
        ("[sync]\n[sync]\n", "config.toml, line 2, column "),
        ("x = " + "[" * 5000, "config.toml: is not valid TOML"),
        ("x = " + "9" * 5000, "config.toml: is not valid TOML"),
    ],
)
def test_wrong_syntax_is_reported_with_file_line_and_column(bench: Bench, toml: str, line: str) -> None:
    (said,) = bench.refusal(toml)
    assert said.startswith(line)


def test_a_file_that_is_not_utf8_is_reported_with_the_line(bench: Bench) -> None:
    bench.file.write_bytes(b"[sync]\n# citt\xe0\n")
    assert bench.refusal(EASYTRACKING_CONFIG=str(bench.file)) == ["config.toml, line 2: is not text in UTF-8"]


def test_a_byte_order_mark_is_accepted(bench: Bench) -> None:
    assert bench.load("\ufeff[sync]\nworkers = 3").sync.workers == 3


SYNC_VALUES = [
    "workers = 0",
    "workers = 65",
    "workers = true",
    f"workers = 0x{'f' * 5000}",
    "workers = 1.5",
    'workers = ""',
    'workers = "many"',
    "workers = [8]",
    "jobs_in_flight = 0",
    "poll_first_seconds = 0",
    "poll_first_seconds = nan",
    "poll_first_seconds = 60",
    "retry_cap_seconds = inf",
    "retry_base_seconds = 301",
    "job_deadline_seconds = 82801",
    "max_attempts = 0",
    "max_file_bytes = 0",
    'every = "15 minutes"',
    'every = "0s"',
    'every = "9999d"',
    'every = ""',
    "every = 07:32:00",
    'every = "1m"\ncron = "* * * * *"',
    'cron = "* * * *"',
    'cron = "60 * * * *"',
    'cron = "* * 0 * *"',
    'cron = "* * * foo *"',
    'cron = "*/0 * * * *"',
    'cron = "@daily"',
    'cron = "5-1 * * * *"',
    'cron = "* * * * fri-mon"',
    'cron = "* * * jan-sun *"',
    'cron = "0 0 30 2 *"',
    'cron = "0 0 31 2,4,6,9,11 *"',
]


@pytest.mark.parametrize("line", SYNC_VALUES)
def test_a_wrong_value_of_sync_is_refused_by_its_name(bench: Bench, line: str) -> None:
    said = bench.refusal(f"[sync]\n{line}")
    assert len(said) == 1
    wrong = line.splitlines()[-1].partition(" ")[0]
    assert said[0].startswith(f"config.toml: sync.{wrong} ")


ACCOUNT_VALUES = [
    'environment = "varhub"',
    'route = "10"',
    'username = ""',
    "username = 5",
    'password = ""',
    "password = 12345",
    "file_types = []",
    'file_types = ["FA", "FA"]',
    'file_types = ["XX"]',
    'file_types = "FA;MT"',
    'acknowledge = "phase3"',
    'on_relist = "ignore"',
    'history_from = "yesterday"',
    "history_from = 2019-01-01T00:00:00",
    "history_from = 1999-12-31",
    'receiver_piva = "IT 123"',
    'ca_file = "/absent/authority.pem"',
    f'ca_file = "{"x" * 5000}"',
    'proxy = "proxy:3128"',
    'proxy = "socks5://proxy:1080"',
    'every = "soon"',
    'cron = "often"',
]


@pytest.mark.parametrize("line", ACCOUNT_VALUES)
def test_a_wrong_value_of_an_account_is_refused_by_its_name(bench: Bench, line: str) -> None:
    keys = {"environment": '"varhub-production"', "username": '"u"', "password": '"p"'}
    name, _, value = line.partition(" = ")
    keys[name] = value
    said = bench.refusal("[accounts.acme]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items()))
    assert len(said) == 1
    assert said[0].startswith(f"config.toml: accounts.acme.{name} ")


@pytest.mark.parametrize(
    "url",
    [
        "http://servizi.varhub.it",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "https://u:hunter2@servizi.varhub.it",
        "https://servizi.varhub.it/?key=hunter2",
        "https://servizi.varhub.it/#x",
        "ftp://servizi.varhub.it",
        "https://",
        "https://[::1",
        "https://h:99999",
        "servizi.varhub.it",
        "https://servizi .varhub.it",
    ],
)
def test_an_address_must_be_https_and_bare_unless_it_is_loopback(bench: Bench, url: str) -> None:
    keys = f'[accounts.a]\nusername = "u"\npassword = "p"\nbase_url = "{url}"\nauth_base_url = "https://a.example"'
    (said,) = bench.refusal(keys)
    assert said.startswith("config.toml: accounts.a.base_url ")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("", "accounts.a.environment is missing"),
        ('base_url = "https://a.example"', "accounts.a.auth_base_url is missing"),
        ('auth_base_url = "https://a.example"', "accounts.a.base_url is missing"),
        (
            'environment = "varhub-staging"\nbase_url = "https://a.example"',
            "accounts.a.environment conflicts with",
        ),
        (
            'environment = "varhub-staging"\nevery = "1h"\ncron = "* * * * *"',
            "accounts.a.cron conflicts with every",
        ),
    ],
)
def test_an_account_has_one_address_and_one_schedule(bench: Bench, keys: str, named: str) -> None:
    (said,) = bench.refusal(f'[accounts.a]\nusername = "u"\npassword = "p"\n{keys}')
    assert named in said


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory",
        "postgres://u:hunter2@db/x",
        "postgresql://u:hunter2@db/x",
        "postgresql+asyncpg://u:hunter2@db/x",
        "mysql://u:hunter2@db/x",
        "archive.db",
    ],
)
def test_the_database_is_a_file_or_postgresql_by_psycopg(bench: Bench, url: str) -> None:
    (said,) = bench.refusal(f'[database]\nurl = "{url}"')
    assert said.startswith("config.toml: database.url must be ")
    assert "hunter2" not in said


@pytest.mark.parametrize("zone", ["Europe/Roma", "../etc/passwd", "Europe", "", "x\\u0000y"])
def test_an_unknown_time_zone_is_refused_with_one_that_exists(bench: Bench, zone: str) -> None:
    (said,) = bench.refusal(f'timezone = "{zone}"')
    assert 'the name of a time zone, like "' in said


@pytest.mark.parametrize("label", ["no good", "x" * 65, "è", ""])
def test_a_label_is_short_and_has_plain_characters(bench: Bench, acme: str, label: str) -> None:
    (said,) = bench.refusal(acme.replace("accounts.acme", f'accounts."{label}"'))
    assert "is not a valid account name" in said


def test_labels_that_differ_only_in_case_are_refused(bench: Bench, acme: str) -> None:
    (said,) = bench.refusal(acme + acme.replace("acme", "Acme"))
    assert said == "config.toml: accounts.Acme is defined twice (labels ignore case); remove one"


def test_two_accounts_with_one_address_and_user_name_are_refused(bench: Bench, acme: str) -> None:
    twin = """[accounts.twin]
base_url = "https://SERVIZI.varhub.it/"
auth_base_url = "https://isentry.varhub.it"
username = "mario"
password = "p"
"""
    (said,) = bench.refusal(acme + twin)
    assert (
        said
        == "config.toml: accounts.twin has the same address and user name as accounts.acme; remove one of the two"
    )


def test_an_account_created_by_a_misspelled_variable_is_reported_with_the_variable(bench: Bench, acme: str) -> None:
    said = bench.refusal(acme, EASYTRACKING_ACCOUNTS__ACNE__PASSWORD="hunter2")
    only = "for acne only EASYTRACKING_ACCOUNTS__ACNE__PASSWORD is set"
    assert said == [f"accounts.acne.username is missing ({only})"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"x" * 70_000, "is longer than 65536 bytes"),
    ],
)
@pytest.mark.parametrize(
    "key", ["accounts.acme.password_file", "accounts.acme.client_secret_file", "database.url_file"]
)
def test_a_secret_file_must_exist_and_contain_text(
    bench: Bench, acme: str, key: str, content: bytes | None, reason: str
) -> None:
    path = bench.folder / "secret"
    if content is not None:
        path.write_bytes(content)
    section, _, name = key.rpartition(".")
    login = acme.replace('password = "s3cret-of-acme"\n', "") if name == "password_file" else acme
    toml = f'{login}{name} = "{path}"' if section != "database" else f'{acme}[database]\n{name} = "{path}"'
    (said,) = bench.refusal(toml)
    assert said.startswith(f'config.toml: {key} names "secret", which {reason}')


def test_a_secret_and_its_file_conflict(bench: Bench, acme: str) -> None:
    assert bench.refusal(f'{acme}password_file = "/some/where"') == [
        "config.toml: accounts.acme.password_file conflicts with password; set one of the two"
    ]


def test_an_empty_credential_and_a_missing_folder_are_reported(bench: Bench, acme: str) -> None:
    bench.credential("accounts__acme__password", "\n")
    assert bench.refusal(acme) == ["credential accounts__acme__password is empty"]
    (said,) = bench.refusal(acme, CREDENTIALS_DIRECTORY=str(bench.folder / "absent"))
    assert said == 'CREDENTIALS_DIRECTORY names "absent", which cannot be read: No such file or directory'


@pytest.mark.parametrize(
    "toml",
    [
        "accounts = 1",
        "[[accounts]]\nx = 1",
        "[[accounts.acme]]\nx = 1",
        'accounts.acme = "hunter2"',
        'sync = ["hunter2"]',
        '[accounts.acme.password]\nx = "hunter2"',
        '[database]\nurl = ["hunter2"]',
        '[database]\nurl_file = "a\\u0000b"',
    ],
)
def test_a_table_instead_of_a_value_or_the_reverse_is_reported_without_its_content(bench: Bench, toml: str) -> None:
    said = bench.refusal(toml)
    assert all(line.startswith("config.toml: ") for line in said)
    assert "hunter2" not in str(said)


def test_two_variables_for_one_key_are_refused_with_both_names(bench: Bench, acme: str) -> None:
    first, second = "EASYTRACKING_ACCOUNTS__ACME__PASSWORD", "EASYTRACKING_ACCOUNTS__acme__PASSWORD"
    (said,) = bench.refusal(acme, **{first: "a", second: "b"})
    assert said == f"environment {second} and {first} set the same key; remove one of them"


@given(st.text(max_size=40), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
@example("[KEY]", "0")
@example("ACCOUNTS__[KEY]__PASSWORD", "0")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_variable_gives_settings_or_printable_lines_without_its_value(
    bench: Bench, name: str, secret: str
) -> None:
    mark = f"hunter2{secret}hunter2"
    variable = f"EASYTRACKING_{name}"
    try:
        bench.load(None, **{variable: mark})
    except UsageError as error:
        said = str(error)
    else:
        said = ""
    assert "hunter2" not in said or name.upper() in {"TIMEZONE", "CONFIG", "SECRETS_DIR"}
    assert all(line.isprintable() for line in said.split("\n"))
    assert said or not name
