"""The HTTP pages: healthy while the loop runs, ready while the database answers."""

from __future__ import annotations

import contextlib
import importlib
import socket
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.running_service import running_service

from easytracking_sync.app.composition import existing_archive, open_instance
from easytracking_sync.app.http_pages import HEALTHY_SECONDS, HttpPages
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Silent
from easytracking_sync.settings import Settings

empty_archive: Callable[[], bytes] = importlib.import_module("tests.support.archive_builder")._empty_archive
NOBODY = "http://127.0.0.1:9"


class StillClock:
    """Moves only when a test moves it; waits for other threads in real time."""

    passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(5)


def settings_in(folder: Path, listen: str | None = "127.0.0.1:0") -> Settings:
    login = {"base_url": NOBODY, "auth_base_url": NOBODY, "username": "mario", "password": "s3cret"}
    tree: dict[str, Any] = {
        "database": {"url": f"sqlite:///{folder}/archive.db"},
        "storage": {"min_free_bytes": 0},
        "http": {} if listen is None else {"listen": listen},
        "accounts": {"acme": login},
    }
    return Settings.model_validate(tree)


def test_a_service_that_was_not_alive_for_too_long_is_unhealthy(tmp_path: Path) -> None:
    clock = StillClock()
    pages = HttpPages(settings_in(tmp_path), Effects(clock=clock))
    clock.passed = HEALTHY_SECONDS - 1
    assert pages.unhealthy() == ""
    clock.passed = HEALTHY_SECONDS + 1
    assert pages.unhealthy() == "the service has not been alive for 121 seconds"


def test_the_service_is_not_ready_before_it_starts_and_while_it_stops(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    settings = settings_in(tmp_path, listen="")
    pages = HttpPages(settings, Effects())
    assert pages.unready() == "the service is starting or stopping"
    with contextlib.ExitStack() as closing:
        instance = closing.enter_context(open_instance(settings, (), Silent(), effects=Effects(), command="test"))
        liveness = closing.enter_context(pages.serve(instance, Silent()))
        assert "http" not in {thread.name for thread in threading.enumerate()}, "no address is configured"
        liveness.started()
        assert pages.unready() == ""
        liveness.stopping()
        assert pages.unready() == "the service is starting or stopping"


def test_with_another_schema_version_the_service_is_healthy_but_not_ready(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    with running_service(settings_in(tmp_path)) as service:
        service.until("service.started")
        connection = sqlite3.connect(tmp_path / "archive.db", timeout=10)
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()
        answer = service.get("/readyz")
        assert (answer.status_code, answer.text.startswith("the database: ")) == (503, True)
        assert "9999" in answer.text
        assert service.get("/healthz").status_code == 200


def test_a_configured_port_in_use_ends_the_start_and_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UsageError, match=r"^http\.listen: "), running_service(settings_in(tmp_path, listen)):
            pass


def test_a_default_port_in_use_is_reported_and_the_service_runs_without_pages(tmp_path: Path) -> None:
    """Two services on one machine may share a PostgreSQL database. A configured port in use is an error."""
    notes: list[tuple[str, str, str]] = []

    class Noting:
        def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
            notes.append((name, level or name.level, str(facts.get("reason", ""))))

    (tmp_path / "archive.db").write_bytes(empty_archive())
    with contextlib.ExitStack() as closing:
        with contextlib.suppress(OSError):  # it is in use already
            closing.enter_context(socket.create_server(("127.0.0.1", 8464)))
        settings = settings_in(tmp_path, None)
        instance = closing.enter_context(open_instance(settings, (), Silent(), effects=Effects(), command="test"))
        with HttpPages(settings, Effects()).serve(instance, Noting()) as liveness:
            liveness.started()
        ((name, level, reason),) = notes
        assert (name, level) == ("http.unavailable", "warning")
        assert reason.startswith("http.listen: 127.0.0.1:8464 is in use")
        chosen = HttpPages(settings_in(tmp_path, "127.0.0.1:8464"), Effects())
        with pytest.raises(UsageError, match=r"^http\.listen: "), chosen.serve(instance, Silent()):
            pass


def test_metrics_of_a_renamed_account_keep_the_label_of_the_running_service(
    tmp_path: Path,
) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    with running_service(settings_in(tmp_path)) as service:
        service.until("service.started")
        with existing_archive(settings_in(tmp_path)) as archive:
            archive.accounts.rename("acme", "italia", datetime.now(UTC))
        found = service.metrics()
    assert found['easytracking_documents{account="acme",state="stored"}'] == 0
    assert found['easytracking_documents_waiting{account="acme"}'] == 0
