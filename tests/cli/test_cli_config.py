"""`config show`: every key in force, where it came from, and never a secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.settings import load_settings
from easytracking_sync.settings.display import leaves

if TYPE_CHECKING:
    from tests.cli.conftest import Run

CONFIG = """
[database]
url = "postgresql+psycopg://sync:canary-database@db.example/archive?sslpassword=canary-query"
[sync]
every = "90s"
[accounts.acme]
environment = "varhub-production"
username = "mario"
password_file = "{folder}/password"
client_secret = "canary-client"
proxy = "http://user:canary-proxy@proxy.example:3128"
history_from = 2024-02-29
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("canary-password\n")
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def test_every_key_is_shown_as_toml_with_its_source(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYTRACKING_SYNC__WORKERS", "3")
    told = run("--config", file, "config", "show")
    assert (told.code, told.err) == (0, "")
    settings = load_settings(file, {"EASYTRACKING_SYNC__WORKERS": "3"})
    assert tomllib.loads(told.out) == settings.redacted()
    assert len([line for line in told.out.splitlines() if " = " in line]) == len(leaves(settings.redacted()))
    shown = {
        line.split(" = ")[0].strip(): line.partition("  # ")[2] for line in told.out.splitlines() if " = " in line
    }
    assert shown["workers"] == "environment EASYTRACKING_SYNC__WORKERS"
    assert shown["every"] in {f"file {file}", "default"}
    assert shown["password"] == f"file {file} (a file's name)"
    assert shown["timezone"] == "default"
    assert shown["spool"] == "default: /var/lib/easytracking-sync/spool"


def test_no_secret_is_ever_shown(run: Run, file: Path) -> None:
    told = run("--config", file, "--log-level", "debug", "config", "show")
    assert "canary" not in told.out + told.err
    assert 'password           = "********"' in told.out
    assert "sync:********@db.example" in told.out


def test_a_wrong_configuration_is_not_shown(run: Run, file: Path) -> None:
    file.write_text(file.read_text() + "pasword = 'canary-mislaid'\n")
    told = run("--config", file, "config", "show")
    assert told.code == 2
    assert "pasword" in told.complaint
    assert "canary" not in told.err
