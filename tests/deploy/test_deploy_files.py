"""The files in deploy/ are consistent. The scripts beside this file test real installations, which need root."""

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

from easytracking_sync.alarm_terms import AlarmKind
from easytracking_sync.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ("easytracking-sync", "easytracking-sync-catch-up", "easytracking-sync-credentials")
MOST_EXPOSURE = 1.1


def module(path: Path) -> Any:
    """Import a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


pins = module(DEPLOY / "pins.py")
LOCK = pins.entries((ROOT / "requirements.lock").read_text(encoding="utf-8"))


def pinned(*arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, DEPLOY / "pins.py", *arguments], text=True, capture_output=True, check=True
    )
    return result.stdout


# Pinned packages


def test_run_time_packages_are_pinned_by_hash_without_development_tools() -> None:
    chosen = pins.entries(pinned("--extra", "postgresql", "--extra", "alerts"))
    assert {"httpx", "sqlalchemy", "psycopg", "psycopg-binary", "apprise", "certifi", "pydantic-core"} <= set(chosen)
    assert not {"pytest", "mypy", "ruff", "hatchling", "hypothesis", "atheris"} & set(chosen)
    assert all("--hash=sha256:" in entry for entry in chosen.values())


def test_the_dependencies_of_a_selected_package_are_selected() -> None:
    chosen = pins.entries(pinned("--extra", "postgresql"))
    left_out = {name: entry for name, entry in LOCK.items() if name not in chosen}
    assert not [name for name, entry in left_out.items() if pins.needed_by(entry) & set(chosen)]


def test_an_unknown_extra_or_package_is_an_error() -> None:
    for arguments in (("--extra", "nothing"), ("--package", "nothing")):
        result = subprocess.run([sys.executable, DEPLOY / "pins.py", *arguments], capture_output=True, check=False)
        assert result.returncode != 0


# systemd


@pytest.mark.parametrize("service", SERVICES)
def test_a_units_exposure_is_at_most_what_operations_says(service: str) -> None:
    """Without an allow-list of addresses, which depends on the installation."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = DEPLOY / "systemd" / f"{service}.service"
    assert "IPAddress" not in unit.read_text(encoding="utf-8")
    result = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", unit], text=True, capture_output=True, check=False
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", result.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot analyze a file: {result.stderr.strip()}")
    assert float(found[1]) <= MOST_EXPOSURE
    assert f"**{MOST_EXPOSURE}**" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_all_units_have_the_same_confinement_and_credentials() -> None:
    def confinement(service: str) -> set[str]:
        text = (DEPLOY / "systemd" / f"{service}.service").read_text(encoding="utf-8")
        words = ("Protect", "Private", "Restrict", "SystemCall", "Capability", "LoadCredential", "User=", "UMask")
        return {line for line in text.splitlines() if line.startswith(words) and "RestrictPrevent" not in line} - {
            "RestartPreventExitStatus=2"
        }

    first, *others = map(confinement, SERVICES)
    assert "LoadCredential=easytracking-sync:/etc/easytracking-sync/credentials/" in first
    assert all(other == first for other in others)


def test_the_shell_scripts_pass_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck")
    scripts = sorted(DEPLOY.glob("*/*.sh"))
    assert len(scripts) == 3
    for script in scripts:
        assert script.stat().st_mode & 0o111
        syntax = subprocess.run(["/bin/sh", "-n", script], capture_output=True, text=True, check=False)
        assert syntax.stderr == ""
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: checked only the syntax")
    result = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert result.stdout == ""


def test_the_installer_has_help_and_refuses_unknown_options() -> None:
    script = DEPLOY / "systemd" / "install.sh"
    result = subprocess.run(["/bin/sh", script, "--help"], capture_output=True, text=True, check=True)
    assert "--rollback" in result.stdout
    assert "set -eu" not in result.stdout
    wrong = subprocess.run(["/bin/sh", script, "--frob"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "--frob" in wrong.stderr) == (2, True)


# The image, and compose

COMPOSE = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_has_a_configurable_base_and_runs_without_root() -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("ARG BASE=")
    assert [line for line in lines if line.startswith("FROM ")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert re.search(r"^USER [1-9][0-9]+:[1-9][0-9]+$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "HEALTHCHECK" in DOCKERFILE


def test_the_docker_context_includes_every_copied_file() -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert any(source == one or source.startswith(f"{one}/") for one in let_through)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_compose_service_has_least_privilege(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "healthcheck" in service or name == "easytracking-sync"  # its image has a health check
    assert not [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert "profiles" in service if name in {"prometheus", "grafana"} else "profiles" not in service
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DEPLOY / "docker" / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_only_the_program_reaches_the_database_of_compose() -> None:
    assert COMPOSE["networks"]["archive"] == {"internal": True}
    users = [name for name, service in COMPOSE["services"].items() if "archive" in service["networks"]]
    assert sorted(users) == ["easytracking-sync", "postgres"]
    assert COMPOSE["services"]["postgres"]["networks"] == ["archive"]


def test_the_created_secrets_complete_the_configuration_of_compose(tmp_path: Path) -> None:
    """Running the script again changes no secret."""
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


def test_prometheus_and_grafana_of_compose_are_connected() -> None:
    scrape = yaml.safe_load((DEPLOY / "docker" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"][0]
    assert scrape["job_name"] == "easytracking-sync"  # the alert rules require this name
    assert scrape["static_configs"] == [{"targets": ["easytracking-sync:8464"]}]
    assert scrape["authorization"]["credentials_file"] == "/run/secrets/http__token"
    dashboards = yaml.safe_load((DEPLOY / "docker" / "grafana" / "dashboards.yaml").read_text(encoding="utf-8"))
    path = dashboards["providers"][0]["options"]["path"]
    assert any(f":{path}/" in volume for volume in COMPOSE["services"]["grafana"]["volumes"])


# The health check of the image

healthcheck = module(DEPLOY / "docker" / "healthcheck.py")


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """A page on a free port that answers with `status`."""
    state: dict[str, Any] = {"status": 200}

    class Page(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802  http.server's name
            state["path"] = self.path
            self.answer(state["status"], body=b"the loop has not turned for 99 seconds\n")

    with http_receiver(Page) as state["port"]:
        yield state


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (401, 1)])
def test_the_container_is_healthy_if_the_health_page_answers_200(
    page: dict[str, Any], status: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page["status"] = status
    monkeypatch.setenv("EASYTRACKING_HTTP__LISTEN", f"0.0.0.0:{page['port']}")
    assert healthcheck.main() == code
    assert page["path"] == "/healthz"
    assert "99 seconds" in capsys.readouterr().out


def test_the_container_is_unhealthy_if_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYTRACKING_HTTP__LISTEN", "127.0.0.1:1")
    assert healthcheck.main() == 1


# The documents

ALARMS = {
    "credentials": "Credentials refused",
    "permission": "Permission lost",
    "silent": "Cannot list documents",
    "gap": "Seconds not listed",
    "restored": "Database restored",
    "backlog": "Documents wait too long",
    "quarantine": "Documents in quarantine",
    "unacknowledgeable": "Acknowledgements refused",
    "incomplete": "Files missing",
    "changed": "Documents changed",
    "rotten": "Stored files damaged",
    "disk": "Disk nearly full",
    "unreachable": "Address unreachable",
}


@pytest.mark.parametrize("kind", AlarmKind)
def test_operations_has_a_section_for_every_alarm(kind: AlarmKind) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {ALARMS[kind.value]}\n\n(.+?)(?=^#)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert len(section[1].split()) > 15


@pytest.mark.parametrize("name", ["docs/operations.md", "README.it.md", "README.md"])
def test_links_in_the_documents_have_targets(name: str) -> None:
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


def test_the_dashboard_is_valid_json() -> None:
    assert json.loads((DEPLOY / "grafana" / "easytracking-sync.json").read_text(encoding="utf-8"))["panels"]
