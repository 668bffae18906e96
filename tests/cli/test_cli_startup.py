"""What all commands share: start-up, usage errors, exit codes, and no tracebacks."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync import __version__, errors
from easytracking_sync.app import AccountCount, CatchUpOutcome
from easytracking_sync.archive.tables import SCHEMA
from easytracking_sync.cli import COMMANDS, commands, output
from easytracking_sync.cli.exit_codes import WORST_FIRST, code_of, exit_code, worst

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

HEAVY = {"sqlalchemy", "httpx", "rich", "pydantic", "structlog", "alembic", "msgspec", "easytracking_simulator"}


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["no-such-command"]])
def test_commands_without_an_archive_start_without_loading_it(arguments: list[str]) -> None:
    script = (
        "import sys; from easytracking_sync.cli import execute; execute(sys.argv[1:]); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1].replace("'", '"')))
    assert not loaded & HEAVY


def test_version_names_everything_a_report_needs(run: Run) -> None:
    told = run("version")
    assert told.code == 0
    assert [line.split()[0] for line in told.out.splitlines()] == ["easytracking-sync", "Python", "SQLite", "schema"]
    assert __version__ in told.out
    assert told.out.split()[-1] == SCHEMA


def test_python_dash_m_is_the_command() -> None:
    command = [sys.executable, "-m", "easytracking_sync", "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "version"])
def test_every_command_explains_itself_with_an_example_and_its_exit_codes(run: Run, name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    for own in ([within] for within in command.commands) if isinstance(command, click.Group) else ([],):
        told = run(name, *own, "--help")
        assert told.code == 0
        assert "easytracking-sync" in told.out
        assert "Example" in told.out
        assert "Exit codes" in told.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_page_has_a_summary_an_example_and_no_cut_sentence(run: Run, name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    pages = [[name]] + [[name, within] for within in getattr(command, "commands", ())]
    for page in pages:
        lines = run(*page, "--help").out.splitlines()
        assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage: ")]
        assert not [line for line in lines if "Examples:" in line.removeprefix("  Examples:")]


@pytest.mark.parametrize("columns", [10, 80, 100, 200])
def test_no_terminal_width_breaks_a_heading_a_date_or_a_number(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long text folds within its column; on a narrower terminal, lines are not folded."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    moments = ["2026-11-22 15:43", "2026-11-22 15:58"]
    heads = ("ACCOUNT", "LAST SUCCESS", "QUARANTINE", "INCOMPLETE", "NEXT RUN", "REASON")
    output.show_table(heads, [("acme", moments[0], "123456", "0", moments[1], "refused " * 8)], numbers={2, 3})
    out = capsys.readouterr().out
    assert all(part in out for part in (*heads, *moments, "123456"))
    assert out.count("refused") == 8


def test_help_lists_every_command(run: Run) -> None:
    out = run("--help").out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["statsu"], "did you mean status?"),
        (["frobnicate"], "there are run, catch-up"),
        (["--no-such-option"], "--no-such-option"),
        (["catch-up", "--from", "2026-13-01"], "'2026-13-01' is not a day"),
        (["catch-up", "--from", "yesterday\x1b[31m"], "is not a day"),
        (["catch-up", "--from", "2026-02-01", "--to", "2026-01-01"], "2026-01-01 is before 2026-02-01"),
        (["catch-up", "--deadline", "0"], "seconds above 0"),
        (["catch-up", "--deadline", "nan"], "seconds above 0"),
        (["catch-up", "--account", "acne"], "acne"),
        (["catch-up", "extra"], "extra"),
        (["invoices", "list", "--account", "acne"], "known accounts: acme"),
        (["invoices", "list", "--state", "lost"], "lost"),
        (["invoices", "list", "--limit", "0"], "--limit"),
        (["invoices", "list", "--type", ","], "is empty; give one or more"),
        (["invoices", "list", "--sender", ""], "is empty"),
        (["invoices", "list", "--receiver", " "], "is empty"),
        (["invoices", "list", "--number", ""], "is empty"),
        (["invoices", "export", "--to", ""], "is empty"),
        (["database", "backup", "--to", ""], "is empty"),
        (["invoices", "list", "--from", "2026-02-01", "--until", "2026-01-01"], "before"),
        (["invoices", "list", "--to", "2026-02-01", "--until", "2026-01-01"], "give only one of them"),
        (["invoices", "show", "acme/9"], "there is no document acme/9"),
        (["invoices", "show", "nine"], "is not a document id"),
        (["invoices", "export"], "--to"),
        (["quarantine", "accept", "acme/9"], "--reason"),
        (["quarantine", "accept", "acme/9", "--reason", " "], "empty"),
        (["simulator", "--host", "0.0.0.0"], "loopback"),
        (["simulator", "--faults", "2"], "--faults"),
        (["--log-level", "loud", "version"], "loud"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line_and_exit_2(
    run: Run, builder: ArchiveBuilder, arguments: list[str], said: str
) -> None:
    builder.document("acme", 1)
    told = run("--config", builder.config, *arguments)
    assert told.code == 2
    assert said in told.complaint
    assert "\x1b" not in told.err


@pytest.mark.parametrize(
    "command", [["status"], ["catch-up"], ["invoices", "list"], ["check"], ["quarantine", "list"]]
)
def test_a_wrong_key_is_named_with_the_nearest_right_one_and_exit_2(
    run: Run, builder: ArchiveBuilder, command: list[str]
) -> None:
    builder.configure(top="timezon = 'Europe/Rome'")
    told = run("--config", builder.config, *command)
    assert told.code == 2
    assert "timezon" in told.err + told.out
    assert "timezone" in told.err + told.out
    assert "Traceback" not in told.err


def test_several_mistakes_in_the_configuration_are_a_line_each(run: Run, builder: ArchiveBuilder) -> None:
    builder.configure(top="timezon = 1\nacounts = 2")
    told = run("--config", builder.config, "status")
    assert told.code == 2
    assert len(told.err.splitlines()) == 2
    assert all(line.startswith("easytracking-sync: ") for line in told.err.splitlines())


def test_a_missing_configuration_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    told = run("--config", tmp_path / "none.toml", "status")
    assert told.code == 2
    assert "none.toml" in told.complaint


def test_no_command_at_all_shows_the_help_and_exits_2(run: Run) -> None:
    told = run()
    assert (told.code, told.out) == (2, "")
    assert "Commands:" in told.err


@pytest.mark.parametrize("level", [[], ["--log-level", "debug"]])
def test_a_bug_prints_one_line_and_its_traceback_goes_to_the_debug_log_only(
    run: Run, builder: ArchiveBuilder, level: list[str]
) -> None:
    """An archive with this schema version but without its tables causes a bug."""
    with builder.archive.database.write() as connection:
        connection.execute(sa.text("DROP TABLE file"))
    builder.document("acme", 1)
    told = run(*level, "--config", builder.config, "invoices", "list")
    assert told.code == 1
    assert "this is a bug" in told.err.splitlines()[-1]
    assert ("Traceback" in told.err) is bool(level)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.CredentialsRefused("x"), 4),
        (errors.LockHeld("x"), 5),
        (errors.StorageFault("x"), 74),
        (errors.StorageBroken("x"), 74),
        (errors.ServiceUnavailable("x"), 75),
        (errors.DatabaseUnavailable("x"), 75),
        (errors.Refused("x", status=403), 3),
    ],
)
def test_every_error_has_its_exit_code(error: errors.SyncError, code: int) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (CatchUpOutcome(), 0),
        (CatchUpOutcome(counts=(AccountCount("a", incomplete=1, acknowledged=9),)), 0),
        (CatchUpOutcome(counts=(AccountCount("a"), AccountCount("b", quarantined=1))), 3),
        (CatchUpOutcome(counts=(AccountCount("a", unacknowledgeable=1),)), 3),
        (CatchUpOutcome(unreadable=1), 3),
        (CatchUpOutcome(finished=False), 75),
        (CatchUpOutcome(storage_failure="disk full"), 74),
        (CatchUpOutcome(refused_accounts=("a",)), 4),
        (CatchUpOutcome(bugs=1), 1),
    ],
)
def test_an_outcome_has_its_exit_code(outcome: CatchUpOutcome, code: int) -> None:
    assert exit_code(outcome) == code


def test_the_first_that_applies_of_1_2_4_74_75_3_0_counts() -> None:
    assert WORST_FIRST == (1, 2, 4, 74, 75, 3, 0)
    for one, other in itertools.combinations(WORST_FIRST, 2):
        assert worst(other, one) == worst(one, other) == one


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_the_worst_result_decides_the_exit_code(bug: bool, refused: bool, full: bool, late: bool, sick: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
    outcome = CatchUpOutcome(
        bugs=int(bug),
        refused_accounts=("a",) if refused else (),
        storage_failure="full" if full else None,
        finished=not late,
        counts=(AccountCount("a", quarantined=int(sick)),),
    )
    expected = next(
        (code for applies, code in zip((bug, refused, full, late, sick), (1, 4, 74, 75, 3), strict=True) if applies),
        0,
    )
    assert exit_code(outcome) == expected


def command(builder: ArchiveBuilder, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "easytracking_sync", "--config", str(builder.config), *arguments]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_run_says_that_it_can_be_resumed(
    builder: ArchiveBuilder, number: signal.Signals, code: int
) -> None:
    """The service is out of reach, so that the run is still waiting for it when the signal comes."""
    with subprocess.Popen(command(builder, "catch-up"), stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "list.failed" in running.stderr.readline()
        running.send_signal(number)
        told = running.stderr.read()
        assert running.wait(timeout=20) == code
    assert "start it again to resume" in told.splitlines()[-1]
    assert "Traceback" not in told


def test_a_closed_pipe_is_not_an_error(builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    with subprocess.Popen(
        command(builder, "invoices", "list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait(timeout=20) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_to_a_full_disk_is_a_storage_failure(builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(builder, "invoices", "list"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 74
    assert len(done.stderr.splitlines()) == 1


def test_an_operating_system_error_is_reported_with_its_path(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("platform.python_version", refuse)
    told = run("version")
    assert told.code == 74
    assert told.err == "easytracking-sync: storage failed: /some/where: Permission denied\n"


def test_an_interruption_says_how_the_work_continues(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> str:
        interruption = KeyboardInterrupt()
        interruption.add_note("another goes on with it")
        raise interruption

    monkeypatch.setattr("platform.python_version", interrupt)
    told = run("version")
    assert (told.code, told.err.strip()) == (130, "easytracking-sync: interrupted; another goes on with it")
