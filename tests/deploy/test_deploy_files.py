"""What is deployed holds together, as far as that can be seen without root; the real tests are scripts beside it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.http_receiver import QuietHandler, http_receiver

from easytracking_sync.observe.alarms.rules import Kind
from easytracking_sync.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ("easytracking-sync", "easytracking-sync-catch-up", "easytracking-sync-credentials")
MOST_EXPOSURE = 1.1


def module(path: Path) -> Any:
    """A script, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


pins = module(DEPLOY / "pins.py")
LOCK = pins.entries((ROOT / "requirements.lock").read_text(encoding="utf-8"))


def pinned(*arguments: str) -> str:
    told = subprocess.run(
        [sys.executable, DEPLOY / "pins.py", *arguments], text=True, capture_output=True, check=True
    )
    return told.stdout


# What is installed


def test_what_runs_is_pinned_by_hash_and_brings_no_tool_of_development() -> None:
    chosen = pins.entries(pinned("--extra", "postgresql", "--extra", "alerts"))
    assert {"httpx", "sqlalchemy", "psycopg", "psycopg-binary", "apprise", "certifi", "pydantic-core"} <= set(chosen)
    assert not {"pytest", "mypy", "ruff", "hatchling", "hypothesis", "atheris"} & set(chosen)
    assert all("--hash=sha256:" in entry for entry in chosen.values())


def test_whatever_a_chosen_package_needs_is_chosen_too() -> None:
    chosen = pins.entries(pinned("--extra", "postgresql"))
    left_out = {name: entry for name, entry in LOCK.items() if name not in chosen}
    assert not [name for name, entry in left_out.items() if pins.needed_by(entry) & set(chosen)]


def test_an_extra_or_a_package_that_is_not_there_is_an_error() -> None:
    for arguments in (("--extra", "nothing"), ("--package", "nothing")):
        told = subprocess.run([sys.executable, DEPLOY / "pins.py", *arguments], capture_output=True, check=False)
        assert told.returncode != 0


# systemd


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_is_confined_as_far_as_operations_says(service: str) -> None:
    """Without an allow-list of addresses, which only an administrator can write."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = DEPLOY / "systemd" / f"{service}.service"
    assert "IPAddress" not in unit.read_text(encoding="utf-8")
    told = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", unit], text=True, capture_output=True, check=False
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", told.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot look at a file: {told.stderr.strip()}")
    assert float(found[1]) <= MOST_EXPOSURE
    assert f"**{MOST_EXPOSURE}**" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_units_confine_alike_and_take_the_same_credentials() -> None:
    def confinement(service: str) -> set[str]:
        text = (DEPLOY / "systemd" / f"{service}.service").read_text(encoding="utf-8")
        words = ("Protect", "Private", "Restrict", "SystemCall", "Capability", "LoadCredential", "User=", "UMask")
        return {line for line in text.splitlines() if line.startswith(words) and "RestrictPrevent" not in line} - {
            "RestartPreventExitStatus=2"
        }

    first, *others = map(confinement, SERVICES)
    assert "LoadCredential=easytracking-sync:/etc/easytracking-sync/credentials/" in first
    assert all(other == first for other in others)


def test_the_shell_scripts_are_clean() -> None:
    shellcheck = shutil.which("shellcheck")
    scripts = sorted(DEPLOY.glob("*/*.sh"))
    assert len(scripts) == 3
    for script in scripts:
        assert script.stat().st_mode & 0o111
        syntax = subprocess.run(["/bin/sh", "-n", script], capture_output=True, text=True, check=False)
        assert syntax.stderr == ""
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: only the syntax was looked at")
    told = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert told.stdout == ""


def test_the_installer_tells_how_it_is_used_and_refuses_what_it_does_not_know() -> None:
    script = DEPLOY / "systemd" / "install.sh"
    told = subprocess.run(["/bin/sh", script, "--help"], capture_output=True, text=True, check=True)
    assert "--rollback" in told.stdout
    assert "set -eu" not in told.stdout
    wrong = subprocess.run(["/bin/sh", script, "--frob"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "--frob" in wrong.stderr) == (2, True)


# The image, and compose

COMPOSE = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_is_built_on_a_base_of_ones_choice_and_runs_without_root() -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("ARG BASE=")
    assert [line for line in lines if line.startswith("FROM ")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert re.search(r"^USER [1-9][0-9]+:[1-9][0-9]+$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "HEALTHCHECK" in DOCKERFILE


def test_what_the_image_is_made_of_is_let_through_to_its_build() -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert any(source == one or source.startswith(f"{one}/") for one in let_through)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_of_compose_has_the_least_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "healthcheck" in service or name == "easytracking-sync"  # which has its image's own
    assert not [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert "profiles" in service if name in {"prometheus", "grafana"} else "profiles" not in service
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DEPLOY / "docker" / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_the_database_of_compose_is_reached_by_the_program_alone() -> None:
    assert COMPOSE["networks"]["archive"] == {"internal": True}
    users = [name for name, service in COMPOSE["services"].items() if "archive" in service["networks"]]
    assert sorted(users) == ["easytracking-sync", "postgres"]
    assert COMPOSE["services"]["postgres"]["networks"] == ["archive"]


def test_the_secrets_that_are_made_and_the_configuration_make_a_valid_one(tmp_path: Path) -> None:
    """Repeating the script changes no secret."""
    folder = tmp_path / "docker"
    shutil.copytree(DEPLOY / "docker", folder, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run(["/bin/sh", folder / "secrets.sh"], check=True, capture_output=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in (folder / "secrets").iterdir()}
    subprocess.run(["/bin/sh", folder / "secrets.sh"], check=True, capture_output=True)
    assert {path.name: path.read_text(encoding="utf-8") for path in (folder / "secrets").iterdir()} == made
    assert set(made) | {"accounts__acme__password"} == set(COMPOSE["secrets"])
    service = COMPOSE["services"]["easytracking-sync"]
    mounted = tmp_path / "run-secrets"
    mounted.mkdir()
    for name in service["secrets"]:
        (mounted / name).write_text(made.get(name, "the password"), encoding="utf-8")
    environ = {**service["environment"], "EASYTRACKING_SECRETS_DIR": str(mounted)}
    settings = load_settings(folder / "config.toml", environ)
    assert settings.database.url.get_secret_value() == made["database__url"]
    assert settings.http.token.get_secret_value() == made["http__token"]
    assert settings.accounts["acme"].password.get_secret_value() == "the password"


def test_prometheus_and_grafana_of_compose_find_what_they_show() -> None:
    scrape = yaml.safe_load((DEPLOY / "docker" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"][0]
    assert scrape["job_name"] == "easytracking-sync"  # as the alert rules expect it
    assert scrape["static_configs"] == [{"targets": ["easytracking-sync:8464"]}]
    assert scrape["authorization"]["credentials_file"] == "/run/secrets/http__token"
    dashboards = yaml.safe_load((DEPLOY / "docker" / "grafana" / "dashboards.yaml").read_text(encoding="utf-8"))
    path = dashboards["providers"][0]["options"]["path"]
    assert any(f":{path}/" in volume for volume in COMPOSE["services"]["grafana"]["volumes"])


# The health check of the image

healthcheck = module(DEPLOY / "docker" / "healthcheck.py")


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """A page at a port of its own, which answers with `status`."""
    told: dict[str, Any] = {"status": 200}

    class Page(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802  http.server's name
            told["path"] = self.path
            self.answer(told["status"], body=b"the loop has not turned for 99 seconds\n")

    with http_receiver(Page) as told["port"]:
        yield told


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (401, 1)])
def test_the_container_is_healthy_where_the_health_page_says_so(
    page: dict[str, Any], status: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page["status"] = status
    monkeypatch.setenv("EASYTRACKING_HTTP__LISTEN", f"0.0.0.0:{page['port']}")
    assert healthcheck.main() == code
    assert page["path"] == "/healthz"
    assert "99 seconds" in capsys.readouterr().out


def test_where_nothing_listens_the_container_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYTRACKING_HTTP__LISTEN", "127.0.0.1:1")
    assert healthcheck.main() == 1


# The documents

ALARMS = {
    "credentials": "Credentials refused",
    "permission": "Permission lost",
    "silent": "No listing succeeds",
    "backlog": "Documents wait too long",
    "quarantine": "Documents in quarantine",
    "unacknowledgeable": "Acknowledgements refused",
    "incomplete": "Files missing",
    "changed": "Documents changed",
    "rotten": "Stored files damaged",
    "disk": "Disk nearly full",
    "unreachable": "Address unreachable",
}


@pytest.mark.parametrize("kind", Kind)
def test_operations_says_what_to_do_on_every_alarm(kind: Kind) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {ALARMS[kind.value]}\n\n(.+?)(?=^#)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert len(section[1].split()) > 15


@pytest.mark.parametrize("name", ["docs/operations.md", "README.it.md", "README.md"])
def test_links_between_the_documents_lead_somewhere(name: str) -> None:
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        target, _, anchor = link.partition("#")
        found = path.parent / target if target else path
        assert found.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}, link


def test_the_dashboard_that_compose_mounts_is_json() -> None:
    assert json.loads((DEPLOY / "grafana" / "easytracking-sync.json").read_text(encoding="utf-8"))["panels"]
