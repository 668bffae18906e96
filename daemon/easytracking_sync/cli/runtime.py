"""What most commands begin with: load the settings, open the log, open the archive."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import click

from easytracking_sync.app import existing_archive
from easytracking_sync.archive.opening import Archive
from easytracking_sync.cli.global_options import LOG, GlobalOptions
from easytracking_sync.effects import Effects, SystemClock
from easytracking_sync.observe.log import Log, LogFormat, LogObserver
from easytracking_sync.settings import Settings, load_settings

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Runtime:
    """One command's settings, log and effects."""

    settings: Settings
    log: Log
    effects: Effects

    @property
    def observer(self) -> LogObserver:
        """Writes what the use cases report to the log."""
        return LogObserver(self.log)

    @contextmanager
    def archive(self) -> Iterator[Archive]:
        """The archive at this program's schema; UsageError, with what to do, if there is none."""
        with existing_archive(self.settings, self.effects) as archive:
            yield archive


def pass_runtime(command: Callable[Concatenate[Runtime, P], R]) -> Callable[P, R]:
    """Give a command the runtime that its global options make, as the first argument; see `start`."""

    @click.pass_obj
    @functools.wraps(command)
    def with_runtime(options: GlobalOptions, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return command(start(options), *args, **kwargs)

    return with_runtime


def start(options: GlobalOptions) -> Runtime:
    """Load the settings and open the log; UsageError if the configuration is wrong."""
    log = open_log(options)
    settings = load_settings(options.config, os.environ)
    return start_with(settings, log)


def start_with(settings: Settings, log: Log) -> Runtime:
    """The same with settings that are not loaded from the configuration."""
    log.redactor.learn(settings.secrets)
    return Runtime(settings, log, Effects())


def open_log(options: GlobalOptions, *, default_level: str = "warning") -> Log:
    """Open the log as the command line asks for it, and send the standard library's loggers through it."""
    form = LogFormat(options.log_format) if options.log_format else None
    log = Log(options.log_level or default_level, form, SystemClock())
    log.adopt_standard_library()
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[LOG] = log
    return log
