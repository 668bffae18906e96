"""The command line. Only click is imported before the command is known, so that `--help` answers at once."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from easytracking_sync.cli.exit_codes import BUG, INTERRUPTED, STORAGE, TERMINATED, USAGE, code_of
from easytracking_sync.cli.global_options import LOG, NAME, GlobalOptions
from easytracking_sync.cli.signals import Terminated, ending_the_command
from easytracking_sync.errors import SyncError
from easytracking_sync.safe_text import visible

COMMANDS: Mapping[str, str] = {
    "run": "Run the service: fetch new invoices on a schedule until stopped.",
    "catch-up": "Fetch every invoice that the service holds, then exit.",
    "status": "Show each account's last success, backlog and problems.",
    "invoices": "List, show and export archived invoices.",
    "quarantine": "List, retry or accept documents that cannot be fetched.",
    "explain": "Show one document's history and what happens next.",
    "phase": "Set or clear the service's phases by hand.",
    "reconcile": "Compare service and archive; repair what is missing.",
    "scrub": "Check all stored files; fetch damaged ones again.",
    "accounts": "List the accounts; rename one.",
    "config": "Show the effective settings, each with its source.",
    "alerts": "Test the channels that alerts are sent through.",
    "check": "Check this installation, and say how to repair it.",
    "migrate": "Bring the archive to this program's schema.",
    "storage": "Move stored files between database and file system.",
    "database": "Back up the archive's database, or copy it to another.",
    "simulator": "Run a simulated Easy Tracking service on this machine.",
    "demo": "Show the whole job against the simulator, and prove it.",
    "completion": "Print the completion script for bash, zsh or fish.",
    "version": "Show the versions of program, Python, SQLite and schema.",
}
"""Command → one line about it. Its module and its function have its name, with _ for -."""

CODES = """\b
Exit codes:
  0    everything is archived and acknowledged
  1    a bug in this program
  2    the configuration or the command line is wrong
  3    finished, but something needs attention (quarantine, findings)
  4    the service refuses an account's credentials
  5    another instance works on this archive
  74   the storage failed (disk full, I/O error)
  75   not finished: deadline passed, service or database unavailable
  130  interrupted (Ctrl-C), 143 terminated; start it again to resume"""


BUG_MET = (
    f"this is a bug in {NAME} ({{}}); nothing is lost, start it again. "
    "Please report it with the output of --log-level debug"
)


class ReaderGone(Exception):
    """The reader of our output has closed the pipe (`| head`)."""


_EXPECTED = (click.ClickException, click.Abort, click.exceptions.Exit, SyncError, OSError)


class Commands(click.Group):
    """Commands that are imported only when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"easytracking_sync.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(COMMANDS)}"
            ctx.fail(f"no such command {args[0]!a}{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Complete commands without importing them, since a shell waits for the answer."""
        known = [CompletionItem(name, help=about) for name, about in COMMANDS.items()]
        return [one for one in known if one.value.startswith(incomplete)] + click.Command.shell_complete(
            self, ctx, incomplete
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            answer = super().invoke(ctx)
            if sys.stdout is not None:  # it may have been closed before we started
                sys.stdout.flush()
        except BrokenPipeError:  # caught here, since click would turn it into an exit of its own
            raise ReaderGone from None
        except _EXPECTED:
            raise
        except Exception as error:
            _log_bug(error, ctx)
            raise
        return answer


@click.group(
    NAME,
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=CODES,
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML). Default: $EASYTRACKING_CONFIG, then /etc/easytracking-sync/config.toml.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    help="Log messages from this level on, to stderr. Default: warning; info for run.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="Format of log lines. Default: console on a terminal, json elsewhere.",
)
@click.pass_context
def commands(ctx: click.Context, config: Path | None, log_level: str | None, log_format: str | None) -> None:
    """Download every invoice that VarHub's or Ditech's Easy Tracking holds for you, and prove that none is missing.

    \b
    Try it:           easytracking-sync demo
    Set it up:        write a configuration, then: easytracking-sync check
    Fetch all:        easytracking-sync catch-up
    See the result:   easytracking-sync status
                      easytracking-sync invoices list --from 2026-01-01

    Results go to stdout, logs to stderr. COMMAND --help describes a command.
    """
    ctx.obj = GlobalOptions(config, log_level, log_format)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    code = execute(arguments)
    _drop_unwritten()
    sys.exit(code)


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Every error is one line on stderr, never a traceback."""
    try:
        with ending_the_command():
            answer = commands.main(arguments, prog_name=NAME, standalone_mode=False)
    except (Exception, KeyboardInterrupt, Terminated) as error:  # noqa: BLE001 - the last resort: one line and a code
        return _ended_by(error)
    return answer if isinstance(answer, int) else 0


def _ended_by(error: BaseException) -> int:
    match error:
        case click.ClickException():
            code = _usage(error)
        case click.Abort() | KeyboardInterrupt():
            code = _say(f"interrupted; {_resumption(error)}", INTERRUPTED)
        case Terminated():
            code = _say(f"terminated; {_resumption(error)}", TERMINATED)
        case ReaderGone():
            code = _close_quietly()
        case SyncError():
            code = _say(str(error), code_of(error))
        case OSError():
            code = _say(_refusal(error), STORAGE)
        case _:
            code = _say(BUG_MET.format(type(error).__name__), BUG)
    return code


def _resumption(error: BaseException) -> str:
    """How the interrupted work continues, as noted on the error by what was interrupted."""
    cause = error.__cause__ if isinstance(error, click.Abort) else error  # click turns a Ctrl-C into its own error
    return "; ".join(getattr(cause, "__notes__", ())) or "start it again to resume"


def _refusal(error: OSError) -> str:
    about = "" if error.filename is None else f" {os.fsdecode(error.filename)}:"
    return f"storage failed:{about} {error.strerror or error}"


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help(), err=True)
        return USAGE
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return _say(" ".join(f"{error.format_message()}{hint}".split()), USAGE)


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # a full disk or a closed pipe: there is still the exit code
        for line in text.splitlines():
            click.echo(f"{NAME}: {visible(line)}", err=True)
    return code


def _log_bug(error: Exception, ctx: click.Context) -> None:
    """Write the traceback to the command's own log, which redacts the secrets."""
    with contextlib.suppress(Exception):
        log = ctx.meta.get(LOG)
        if log is None:  # the error came before the log was opened, and before any secret was read
            runtime = importlib.import_module("easytracking_sync.cli.runtime")
            log = runtime.open_log(ctx.obj or GlobalOptions())
        log.failed(error)


def _close_quietly() -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 0


def _drop_unwritten() -> None:
    """Drop output that a full disk or a closed pipe refused: otherwise Python would exit with its own code, 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except AttributeError:  # the stream was closed before we started
            continue
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
