"""The command line. Nothing but click is imported before a command is known, so that `--help` answers at once."""

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
from easytracking_sync.cli.global_options import LOG, NAME, Invocation
from easytracking_sync.cli.signals import Terminated, ending_the_command
from easytracking_sync.errors import SyncError
from easytracking_sync.safe_text import visible

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "The service: bring home what is new, by the clock, until it is told to end."),
    "catch-up": ("catch_up", "Bring home every invoice the service holds, then end."),
    "status": ("status", "Where each account stands: backlog, trouble, last success."),
    "invoices": ("invoices", "List, show and export what the archive holds."),
    "quarantine": ("quarantine", "Documents that gave up, and the ways out."),
    "explain": ("explain", "One document's whole story, and what happens next."),
    "phase": ("phase", "Set or clear the service's phases by hand."),
    "reconcile": ("reconcile", "The completeness proof: service and archive compared, and repaired."),
    "scrub": ("scrub", "Read and hash everything stored; fetch again what has rotten."),
    "accounts": ("accounts", "List the accounts; give one another label."),
    "config": ("config", "The settings in force, each with its source."),
    "alerts": ("alerts", "Try the channels that alarms go through."),
    "check": ("check", "What is wrong with this installation, and how to mend it."),
    "migrate": ("migrate", "Bring the archive to this program's schema."),
    "storage": ("storage", "Move the files' bytes between database and file system."),
    "database": ("database", "Copy the archive to another database."),
    "simulator": ("simulator", "An Easy Tracking service on this machine, to practise with."),
    "demo": ("demo", "The whole job, for real, against the bundled simulator."),
    "completion": ("completion", "What bash, zsh or fish need to complete command lines."),
    "version": ("version", "Versions of the program, of Python, SQLite and the schema."),
}
"""Command → the module it lives in (under its own name, - as _), and one line about it."""

CODES = """\b
Exit codes:
  0    everything is archived and acknowledged
  1    a bug in this program
  2    the configuration or the command line is wrong
  3    finished, but something needs a person (quarantine, findings)
  4    the service refuses an account's credentials
  5    another instance works on this archive
  74   the storage failed (disk full, I/O error)
  75   not finished: deadline, service or database out of reach
  130  interrupted (Ctrl-C), 143 terminated; start it again to resume"""


BUG_MET = (
    f"this is a bug in {NAME} ({{}}); nothing is lost, start it again. "
    "Run it with --log-level debug and report what it writes"
)


class ReaderGone(Exception):
    """Whoever read our output has had enough (`| head`)."""


_EXPECTED = (click.ClickException, click.Abort, click.exceptions.Exit, SyncError, OSError)


class Commands(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"easytracking_sync.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
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
        """The commands are known without being imported: a shell wants its answer at once."""
        known = [CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items()]
        return [one for one in known if one.value.startswith(incomplete)] + click.Command.shell_complete(
            self, ctx, incomplete
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            answer = super().invoke(ctx)
            if sys.stdout is not None:  # it may have been closed before we began
                sys.stdout.flush()
        except BrokenPipeError:  # here, since click would make an exit of its own of it
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
    help="The configuration (TOML); else what EASYTRACKING_CONFIG names, else /etc/easytracking-sync/config.toml.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    help="The least that is logged, to stderr; warning unless told.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="How log lines look: console on a terminal, json elsewhere, unless told.",
)
@click.pass_context
def commands(ctx: click.Context, config: Path | None, log_level: str | None, log_format: str | None) -> None:
    """Bring every invoice that VarHub's or Ditech's Easy Tracking holds for you home, once, and prove it.

    \b
    See it work:      easytracking-sync demo
    Set it up:        write a configuration, then: easytracking-sync check
    Fetch it all:     easytracking-sync catch-up
    Look at it:       easytracking-sync status
                      easytracking-sync invoices list --from 2026-01-01

    Results go to stdout, logs to stderr. COMMAND --help tells more about each.
    """
    ctx.obj = Invocation(config, log_level, log_format)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with the contract's exit code."""
    code = execute(arguments)
    _give_up_unwritten()
    sys.exit(code)


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Whatever goes wrong is one line on stderr, never a traceback."""
    try:
        with ending_the_command():
            answer = commands.main(arguments, prog_name=NAME, standalone_mode=False)
    except (Exception, KeyboardInterrupt, Terminated) as error:  # noqa: BLE001 - the last resort: one line, a code
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
    """How what was broken off goes on: as whoever was interrupted has noted on it."""
    cause = error.__cause__ if isinstance(error, click.Abort) else error  # click makes its own of a Ctrl-C
    return "; ".join(getattr(cause, "__notes__", ())) or "start it again to resume"


def _refusal(error: OSError) -> str:
    about = "" if error.filename is None else f" {os.fsdecode(error.filename)}:"
    return f"storage refused:{about} {error.strerror or error}"


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help(), err=True)
        return USAGE
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return _say(" ".join(f"{error.format_message()}{hint}".split()), USAGE)


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # a full disk, a reader gone: the code still tells
        for line in text.splitlines():
            click.echo(f"{NAME}: {visible(line)}", err=True)
    return code


def _log_bug(error: Exception, ctx: click.Context) -> None:
    """The traceback goes to the command's own log, which knows the secrets it must not show."""
    with contextlib.suppress(Exception):
        log = ctx.meta.get(LOG)
        if log is None:  # it went wrong before there was one, and before any secret was read
            observe = importlib.import_module("easytracking_sync.cli.runtime")
            log = observe.open_log(ctx.obj or Invocation())
        log.failed(error)


def _close_quietly() -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 0


def _give_up_unwritten() -> None:
    """What a full disk or a closed pipe did not take is dropped: else Python would end with its own code, 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except AttributeError:  # there is none: it was closed before we began
            continue
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
