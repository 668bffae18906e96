"""Who looks on: alive while the loop turns, ready while the database answers, and nothing before its time."""

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
from tests.support.watched import watched

from easytracking_sync.app.composition import existing_archive, station
from easytracking_sync.app.http_pages import HEALTHY_SECONDS, Lookout
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.machine.observer import Silent
from easytracking_sync.settings import Settings

empty_archive: Callable[[], bytes] = importlib.import_module("stocked")._empty_archive
NOBODY = "http://127.0.0.1:9"


class StillClock:
    """Stands until a test moves it; what another thread does is really waited for."""

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


def test_the_service_is_alive_until_its_loop_has_not_turned_for_too_long(tmp_path: Path) -> None:
    clock = StillClock()
    lookout = Lookout(settings_in(tmp_path), Effects(clock=clock))
    clock.passed = HEALTHY_SECONDS - 1
    assert lookout.unhealthy() == ""
    clock.passed = HEALTHY_SECONDS + 1
    assert lookout.unhealthy() == "the service's loop has not turned for 121 seconds"


def test_it_is_not_ready_before_it_began_and_after_its_end_began(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    settings = settings_in(tmp_path, listen="")
    lookout = Lookout(settings, Effects())
    assert lookout.unready() == "the service is starting or ending"
    with contextlib.ExitStack() as closing:
        at_work = closing.enter_context(station(settings, (), Silent(), effects=Effects(), doing="test"))
        beat = closing.enter_context(lookout.watch(at_work, Silent()))
        assert "http" not in {thread.name for thread in threading.enumerate()}, "there is no address to serve at"
        beat.started()
        assert lookout.unready() == ""
        beat.stopping()
        assert lookout.unready() == "the service is starting or ending"


def test_a_database_at_another_schema_is_not_ready_and_the_service_is_alive(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    with watched(settings_in(tmp_path)) as service:
        service.until("service.started")
        connection = sqlite3.connect(tmp_path / "archive.db", timeout=10)
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()
        answer = service.get("/readyz")
        assert (answer.status_code, answer.text.startswith("the database: ")) == (503, True)
        assert "9999" in answer.text
        assert service.get("/healthz").status_code == 200


def test_a_port_in_use_ends_the_start_with_the_key_s_name(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UsageError, match=r"^http\.listen: "), watched(settings_in(tmp_path, listen)):
            pass


def test_a_default_port_in_use_is_told_and_done_without_unless_somebody_chose_it(tmp_path: Path) -> None:
    """Two services on one machine share a PostgreSQL database: the second must not end because of a default."""
    notes: list[tuple[str, str, str]] = []

    class Noting:
        def note(self, name: str, /, level: str = "info", **facts: object) -> None:
            notes.append((name, level, str(facts.get("reason", ""))))

    (tmp_path / "archive.db").write_bytes(empty_archive())
    with contextlib.ExitStack() as closing:
        with contextlib.suppress(OSError):  # somebody else has it: that will do
            closing.enter_context(socket.create_server(("127.0.0.1", 8464)))
        settings = settings_in(tmp_path, None)
        at_work = closing.enter_context(station(settings, (), Silent(), effects=Effects(), doing="test"))
        with Lookout(settings, Effects()).watch(at_work, Noting()) as beat:
            beat.started()
        ((name, level, reason),) = notes
        assert (name, level) == ("http.unavailable", "warning")
        assert reason.startswith("http.listen: 127.0.0.1:8464 is taken")
        chosen = Lookout(settings_in(tmp_path, "127.0.0.1:8464"), Effects())
        with pytest.raises(UsageError, match=r"^http\.listen: "), chosen.watch(at_work, Silent()):
            pass


def test_an_account_that_was_renamed_meanwhile_keeps_its_metrics_under_the_name_the_service_knows(
    tmp_path: Path,
) -> None:
    (tmp_path / "archive.db").write_bytes(empty_archive())
    with watched(settings_in(tmp_path)) as service:
        service.until("service.started")
        with existing_archive(settings_in(tmp_path)) as archive:
            archive.accounts.rename("acme", "italia", datetime.now(UTC))
        found = service.metrics()
    assert found['easytracking_documents{account="acme",state="stored"}'] == 0
    assert found['easytracking_documents_waiting{account="acme"}'] == 0
