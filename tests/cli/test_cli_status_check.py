"""`status --check`: one line and the probes' exit codes, whatever state the installation is in."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind
from easytracking_sync.app.status import DiskLimits, Grade, Health, judge
from easytracking_sync.archive import tables
from easytracking_sync.cli.status import check_line, figures, summary
from easytracking_sync.observe.alarms.rules import Alarm, Disk
from easytracking_sync.terms import PauseReason

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DISK = DiskLimits(Disk("/srv", 1_500), warning_bytes=2_000, critical_bytes=1_000)


def of(*alarms: Alarm, never_ran: tuple[str, ...] = (), disk: DiskLimits | None = None, **facts: Any) -> Health:
    return judge(alarms, [AccountCondition(1, "acme", NOW, **facts)], never_ran, disk, NOW)


def line(health: Health) -> str:
    return check_line(health.grade, summary(health), figures(health))


def alarm(kind: AlarmKind, amount: int = 0) -> Alarm:
    return Alarm(kind, None if kind is AlarmKind.DISK else 1, "acme", amount)


GRADES = {
    AlarmKind.CREDENTIALS: Grade.CRITICAL,
    AlarmKind.PERMISSION: Grade.CRITICAL,
    AlarmKind.UNREACHABLE: Grade.CRITICAL,
    AlarmKind.SILENT: Grade.CRITICAL,
    AlarmKind.BACKLOG: Grade.WARNING,
    AlarmKind.QUARANTINE: Grade.WARNING,
    AlarmKind.UNACKNOWLEDGEABLE: Grade.WARNING,
    AlarmKind.GAP: Grade.WARNING,
    AlarmKind.INCOMPLETE: Grade.WARNING,
    AlarmKind.CHANGED: Grade.WARNING,
    AlarmKind.ROTTEN: Grade.WARNING,
    AlarmKind.DISK: Grade.CRITICAL,
}


@pytest.mark.parametrize("kind", AlarmKind)
def test_problems_that_prevent_fetching_are_critical(kind: AlarmKind) -> None:
    assert of(alarm(kind, 1)).grade is GRADES[kind]


@pytest.mark.parametrize(("free", "grade"), [(1_500, Grade.WARNING), (1_000, Grade.WARNING), (999, Grade.CRITICAL)])
def test_a_disk_below_the_reserve_is_critical(free: int, grade: Grade) -> None:
    assert of(alarm(AlarmKind.DISK, free), disk=DISK).grade is grade


def test_a_healthy_installation_is_ok_with_performance_data() -> None:
    found = of(
        disk=DISK, waiting=3, waiting_since=NOW - timedelta(hours=1), last_success_at=NOW - timedelta(minutes=5)
    )
    assert found.grade is Grade.OK
    assert line(found) == (
        "OK - 1 account OK | waiting=3 quarantined=0 unacknowledgeable=0 incomplete=0 "
        "oldest_waiting=3600s last_success=300s free=1500B;2000:;1000:;0"
    )


def test_the_worst_comes_first_and_decides_and_a_long_list_is_cut_short() -> None:
    many = [Alarm(AlarmKind.QUARANTINE, number, f"a{number}", 2) for number in range(9)]
    found = of(*many, alarm(AlarmKind.CREDENTIALS))
    assert found.grade is Grade.CRITICAL
    assert summary(found).startswith("acme: login refused; a0: documents in quarantine (2); ")
    assert summary(found).endswith("; and 5 more")


def test_an_account_that_never_ran_is_a_warning() -> None:
    assert line(of(never_ran=("beta",))).startswith("WARNING - beta: never ran | ")


def test_the_status_line_is_one_line_with_one_bar() -> None:
    assert check_line(Grade.UNKNOWN, "a|b\nc\x1b", {"waiting": "1"}) == "UNKNOWN - a/b\\nc\\x1b | waiting=1"


def test_status_check_reports_ok_warning_and_critical_by_exit_code_and_line(
    run: Run, builder: ArchiveBuilder
) -> None:
    check = ("--config", builder.config, "status", "--check")
    now = datetime.now(UTC)
    builder.configure(top="[alerts]\nfree_margin_bytes = 0\n")
    builder.update(tables.account, builder.account("acme"), last_success_at=now)
    assert (run(*check).code, run(*check).out.partition(" -")[0]) == (0, "OK")
    builder.quarantined("acme", 1)
    told = run(*check)
    assert (told.code, told.err) == (1, "")
    assert told.out.startswith("WARNING - acme: documents in quarantine (1) | waiting=0 quarantined=1 ")
    assert len(told.out.splitlines()) == 1
    builder.paused("acme", PauseReason.CREDENTIALS, now + timedelta(hours=1), "refused")
    assert run(*check).code == 2
    builder.update(
        tables.account, builder.account("acme"), pause_reason=None, last_success_at=now - timedelta(hours=2)
    )
    assert run(*check).out.startswith("CRITICAL - acme: cannot list documents; ")


def test_an_account_of_the_configuration_that_the_archive_does_not_know_never_ran(
    run: Run, builder: ArchiveBuilder
) -> None:
    builder.configure("acme", "silent", top="[alerts]\nfree_margin_bytes = 0\n")
    builder.update(tables.account, builder.account("acme"), last_success_at=datetime.now(UTC))
    told = run("--config", builder.config, "status", "--check")
    assert (told.code, told.out.partition(" |")[0]) == (1, "WARNING - silent: never ran")


def test_an_impossible_check_is_unknown_on_stdout(run: Run, builder: ArchiveBuilder) -> None:
    builder.configure(top="timezon = 1")
    told = run("--config", builder.config, "status", "--check")
    assert (told.code, told.err) == (3, "")
    assert told.out.startswith("UNKNOWN - ")
    assert "timezone" in told.out
    builder.configure()
    builder.archive.close()
    builder.path.unlink()
    told = run("--config", builder.config, "status", "--check")
    assert (told.code, len(told.out.splitlines())) == (3, 1)
    assert "no archive" in told.out
    assert not builder.path.exists()


def test_a_database_that_cannot_be_trusted_is_critical(run: Run, builder: ArchiveBuilder) -> None:
    builder.archive.close()
    builder.path.write_bytes(b"not a database at all" * 100)
    assert run("--config", builder.config, "status", "--check").code == 2


def test_json_and_check_cannot_be_combined(run: Run, builder: ArchiveBuilder) -> None:
    assert run("--config", builder.config, "status", "--check", "--json").code == 2
