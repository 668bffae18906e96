"""`catch-up` and `demo` for real, against the simulator over a socket; `simulator` as a process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.app import AccountCount, CatchUpOutcome, demo
from easytracking_sync.app.bundled_simulator import SimulatedService, simulated_services
from easytracking_sync.cli.catch_up import warn_of_problems

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder


def configure(folder: Path, services: dict[str, SimulatedService], *, password: str | None = None) -> Path:
    config = demo.write_configuration(folder, services)
    if password is not None:
        config.write_text(re.sub(r'password = ".*"', f'password = "{password}"', config.read_text()))
    return config


def beside_progress(err: str) -> list[str]:
    """What stderr says besides how far the work is, which a busy machine takes long enough to be told."""
    return [line for line in err.splitlines() if not line.endswith(" waiting")]


def test_catch_up_reports_quarantined_and_unacknowledgeable_documents_separately(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn_of_problems(CatchUpOutcome(counts=(AccountCount("acme", quarantined=2, unacknowledgeable=1),)))
    first, second = capsys.readouterr().err.splitlines()
    assert first == "easytracking-sync: 2 documents in quarantine; see `easytracking-sync quarantine list`"
    assert second.startswith(
        "easytracking-sync: 1 document stored, but the service refuses the acknowledgement; see `"
    )


def test_catch_up_archives_everything_and_prints_where_the_archive_is(run: Run, tmp_path: Path) -> None:
    with simulated_services({"acme": 12, "acme-romania": 3}, seed=3) as services:
        config = configure(tmp_path, services)
        told = run("--config", config, "catch-up")
        assert (told.code, beside_progress(told.err)) == (0, [])
        assert "Fetched: 15 documents, 45 files" in told.out
        assert str(tmp_path / "archive.db") in told.out
        assert [line.split()[:2] for line in told.out.splitlines()[1:3]] == [["acme", "12"], ["acme-romania", "3"]]
        assert all(service.marked() == service.hashes().keys() for service in services.values())
        reserved = sum(service.reservations() for service in services.values())
        again = run("--config", config, "catch-up")
        assert again.code == 0
        assert "Fetched: 0 documents" in again.out
        assert sum(service.reservations() for service in services.values()) == reserved


def test_a_dry_run_counts_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    with simulated_services({"acme": 5}, seed=3) as services:
        config = configure(tmp_path, services)
        told = run("--config", config, "catch-up", "--dry-run")
        assert told.code == 0
        assert told.out.splitlines()[1].split() == ["acme", "5"]
        assert services["acme"].reservations() == 0
        assert services["acme"].marked() == frozenset()
    assert not (tmp_path / "archive.db").exists()


def test_refused_credentials_end_with_4_and_name_the_account(run: Run, tmp_path: Path) -> None:
    with simulated_services({"acme": 1}, seed=3) as services:
        told = run("--config", configure(tmp_path, services, password="wrong"), "catch-up")
    assert told.code == 4
    assert any("acme: the service refuses the credentials" in line for line in told.err.splitlines())


def test_a_first_day_in_the_future_is_refused(run: Run, builder: ArchiveBuilder) -> None:
    """A slip of the year would look like a catch-up that found nothing."""
    told = run("--config", builder.config, "catch-up", "--from", "2099-01-01")
    assert (told.code, told.out) == (2, "")
    assert "--from: 2099-01-01 is in the future" in told.err


def test_an_unreachable_service_ends_with_75_at_the_deadline(builder: ArchiveBuilder) -> None:
    command = [
        sys.executable,
        "-m",
        "easytracking_sync",
        "--config",
        str(builder.config),
        "catch-up",
        "--deadline",
        "0.5",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 75
    assert "not finished: the deadline of 0.5 seconds passed" in done.stderr.splitlines()[-1]


def test_the_demo_archives_everything_and_proves_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "DOCUMENTS", {"acme-italia": 8, "acme-romania": 4})
    told = run("demo", "--dir", tmp_path / "demo")
    assert (told.code, beside_progress(told.err)) == (0, [])
    assert told.out.count("proven") == 3
    assert "FAILED" not in told.out
    assert "What to try next" in told.out
    config = tmp_path / "demo" / demo.CONFIG
    listed = run("--config", config, "invoices", "list", "--json").out.splitlines()
    assert {json.loads(line)["country_channel"] for line in listed} == {0, 1}
    assert run("demo", "--dir", tmp_path / "demo").code == 0


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_the_demo_does_not_overwrite_what_it_did_not_create(run: Run, tmp_path: Path, there: str) -> None:
    target, kept = tmp_path / "target", tmp_path / "mine"
    kept.mkdir()
    (kept / "precious").write_text("x")
    if there == "folder":
        kept.rename(target)
    elif there == "file":
        target.write_text("x")
    else:
        (kept / demo.MARKER).write_text("x")
        target.symlink_to(kept)
    told = run("demo", "--dir", target)
    assert told.code == 2
    assert "not overwritten" in told.complaint
    assert target.read_text() == "x" if there == "file" else (target / "precious").read_text() == "x"


def test_the_simulator_prints_a_configuration_that_works_and_stops_when_told(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "easytracking_sync", "simulator", "--documents", "4", "--port", "0"]
    config = tmp_path / "practice.toml"
    with (
        config.open("w") as published,
        subprocess.Popen(command, stdout=published, stderr=subprocess.PIPE, text=True) as running,
    ):
        assert running.stderr is not None
        assert any("Ctrl-C" in line for line in running.stderr)
        config.write_text(config.read_text().replace("easytracking-archive.db", f"{tmp_path}/archive.db"))
        told_check = run("--config", config, "catch-up", "--dry-run")
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=20) == 0
    assert (told_check.code, told_check.out.splitlines()[1].split()) == (0, ["demo1", "4"])
