"""What most commands begin with: the settings, the log, and the archive for those that only look or correct."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

import click

from easytracking_sync.app import existing_archive
from easytracking_sync.archive.room import Shortage
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli.global_options import LOG, Invocation
from easytracking_sync.effects import Effects, SystemClock
from easytracking_sync.errors import StorageFault, UsageError
from easytracking_sync.observe.log import Log, LogFormat, LogObserver
from easytracking_sync.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Session:
    """One command's surroundings."""

    settings: Settings
    log: Log
    effects: Effects

    @property
    def observer(self) -> LogObserver:
        """What the engine speaks to."""
        return LogObserver(self.log)

    @contextmanager
    def archive(self) -> Iterator[Archive]:
        """The archive at this program's schema; UsageError with what to do where there is none."""
        with existing_archive(self.settings, self.effects) as archive:
            yield archive


def begin(invocation: Invocation) -> Session:
    """Load the settings and open the log; UsageError where the configuration is wrong."""
    log = open_log(invocation)
    settings = load_settings(invocation.config, os.environ)
    return begin_with(settings, log)


def begin_with(settings: Settings, log: Log) -> Session:
    """The same, for settings that are made and not loaded."""
    log.redactor.learn(secrets_of(settings))
    return Session(settings, log, Effects())


def open_log(invocation: Invocation, *, unless_told: str = "warning") -> Log:
    """The log as the command line wants it, at the level `unless_told` where it says nothing.

    The standard library's loggers are led through it.
    """
    form = LogFormat(invocation.log_format) if invocation.log_format else None
    log = Log(invocation.log_level or unless_told, form, SystemClock())
    log.adopt_standard_library()
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[LOG] = log
    return log


def shortage_of(archive: Archive) -> Shortage | None:
    """The disk that is too full for anything new to be fetched; None where there is none, or none that says so."""
    with suppress(StorageFault):
        return archive.spool.room.shortage()
    return None


def secrets_of(settings: Settings) -> Iterator[str]:
    """Everything in the settings that no line may show."""
    yield from _secrets_of_url(settings.database.url.get_secret_value())
    yield settings.http.token.get_secret_value()
    yield from settings.alerts.secrets
    for account in settings.accounts.values():
        yield account.password.get_secret_value()
        yield account.client_secret.get_secret_value()
        yield from _secrets_of_url(account.proxy.get_secret_value())


def _secrets_of_url(url: str) -> Iterator[str]:
    """The password of an address, and what its query calls one; as written, and as meant."""
    rest, _, query = url.partition("://")[2].partition("?")
    written = rest.rpartition("@")[0].partition(":")[2]
    yield from (written, unquote(written))
    for name, value in parse_qsl(query):
        if "passw" in name:
            yield from (value, quote(value))


def known_accounts(settings: Settings, archive: Archive, chosen: Collection[str]) -> tuple[str, ...]:
    """The labels chosen, in lower case; UsageError for one that neither the configuration nor the archive has."""
    known = sorted({*settings.accounts, *archive.catalogue.labels()})
    labels = tuple(label.lower() for label in chosen)
    for label in labels:
        if label not in known:
            raise UsageError(f"there is no account {label!a}; there are {', '.join(known) or 'none'}")
    return labels


def account_ids_of(settings: Settings, archive: Archive, chosen: Collection[str]) -> tuple[int, ...] | None:
    """The archive's ids of the labels chosen; None, which means all, where none is. UsageError as above."""
    if not chosen:
        return None
    labels = known_accounts(settings, archive, chosen)
    wanted = {settings.accounts[label].identity for label in labels if label in settings.accounts}
    return tuple(
        entry.id for entry in archive.accounts.entries() if entry.label in labels or entry.identity in wanted
    )
