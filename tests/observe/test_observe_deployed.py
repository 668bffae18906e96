"""What lies in deploy/ for Prometheus and Grafana speaks of metrics that a running service really shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.support.running_service import running_service
from tests.support.simulator_server import SMALL

from easytracking_simulator import Simulator
from easytracking_simulator.command import WallClock
from easytracking_simulator.server import serve
from easytracking_sync.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "easytracking-sync.json"
NAME = re.compile(r"\b(?:easytracking|process)_[a-z0-9_]+\b")
SELECTOR = re.compile(r"\b((?:easytracking|process)_[a-z0-9_]+)\{([^}]*)\}")
EXACT = re.compile(r'(\w+)="([^"$]+)"')
PROMETHEUS_OWN = {"job", "instance"}

Sample = tuple[str, dict[str, str]]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Every sample of a scrape, once something has come home."""
    folder = tmp_path_factory.mktemp("scraped")
    simulator = Simulator(replace(SMALL, documents=2), WallClock())
    with serve(simulator) as url:
        (login,) = simulator.accounts
        account = {"base_url": url, "auth_base_url": url, "username": login.username, "password": login.password}
        settings = Settings.model_validate(
            {
                "database": {"url": f"sqlite:///{folder}/archive.db"},
                "storage": {"min_free_bytes": 0},
                "sync": {"poll_first_seconds": 0.01, "workers": 2},
                "http": {"listen": "127.0.0.1:0"},
                "accounts": {"demo1": {**account, "history_from": "2026-06-01"}},
            }
        )
        with running_service(settings) as service:
            service.until("batch.acknowledged")
            text = service.get("/metrics").text
    return [(one.name, dict(one.labels)) for family in text_string_to_metric_families(text) for one in family.samples]


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions() -> list[str]:
    """All that is asked of Prometheus, in the rules and in the dashboard."""
    board = dashboard()
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [one["query"]["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return asked + [rule["expr"] for rule in rules()]


def test_every_metric_used_in_deploy_exists(samples: list[Sample]) -> None:
    there = {name for name, _ in samples}
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 20
    assert asked - there == set()


def test_every_label_value_used_in_deploy_exists(samples: list[Sample]) -> None:
    for expression in expressions():
        for name, matchers in SELECTOR.findall(expression):
            wanted = {label: value for label, value in EXACT.findall(matchers) if label not in PROMETHEUS_OWN}
            assert any(found == name and wanted.items() <= labels.items() for found, labels in samples), expression


def test_every_metric_of_ours_is_shown_in_the_dashboard_or_watched_by_a_rule(samples: list[Sample]) -> None:
    """One that nobody looks at is not worth its name; parts of a histogram go together."""
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    ours = {re.sub(r"_duration_seconds_(bucket|sum|count)$", "_duration_seconds_bucket", name) for name, _ in samples}
    assert {name for name in ours if name.startswith("easytracking_")} - asked == set()


def test_metric_names_follow_the_conventions(samples: list[Sample]) -> None:
    for name, labels in samples:
        if name.startswith("easytracking_"):
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", name)
            assert not re.search(r"(milli|_ms|minutes|hours|_mb|_kb|percent)", name), "base units"
            assert set(labels) <= {
                "account",
                "state",
                "reason",
                "call",
                "status",
                "outcome",
                "event",
                "level",
                "place",
            } | {
                "le",
                "version",
                "python",
            }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_rule_has_a_severity_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Easytracking[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "action"}
    assert len(rule["annotations"]["action"]) > 60
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))


def test_the_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or len(panel["description"]) > 8
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_scrape_example_names_the_rules_and_the_port_of_the_default() -> None:
    example = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yaml").read_text(encoding="utf-8"))
    assert example["rule_files"] == [RULES.name]
    (job,) = example["scrape_configs"]
    assert job["job_name"] == "easytracking-sync"
    assert job["static_configs"][0]["targets"] == [Settings().http.listen]
