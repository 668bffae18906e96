"""Composition: builds the archive, the clients, the accounts and the engine from the settings."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from easytracking_sync.archive.instance_lock import instance_lock
from easytracking_sync.archive.opening import Archive, open_archive
from easytracking_sync.archive.schema import migrate, require_current
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, Transient, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.engine import Bounds, Engine
from easytracking_sync.machine.engine_threads import EngineThreads
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.remote import CallEnded, EasyTracking, ParcelLimits
from easytracking_sync.settings import Settings, StorageBackend

GRACE_SECONDS = 4.0
"""At shutdown, effects under way have this long to finish before their connections are closed."""
CLOSED_SECONDS = 1.0
"""And this long afterwards: a call that waits for its next byte does not notice that its connection was closed."""
THREADS_BESIDE_WORKERS = 12
"""Threads that list, dispatch, renew leases and watch. The workers form two groups."""
MOST_CONNECTIONS = 40
"""To a shared database server. Further threads wait for a free connection."""
DATABASE_RETRY_SECONDS = 1.0
"""Between two attempts to reach a database server that is not up yet."""
RUN_COMMAND = "run"
"""The command name a service writes into the instance lock; a catch-up hands its work over to it."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance: a locked archive, and an engine for these accounts."""

    archive: Archive
    engine: Engine
    accounts: tuple[Account, ...]

    @property
    def account_ids(self) -> frozenset[int]:
        return frozenset(account.id for account in self.accounts)


def archive_of(settings: Settings, effects: Effects) -> Archive:
    """The configured archive. Nothing is opened before its first use."""
    return open_archive(
        settings.database.url.get_secret_value(),
        settings.spool_path,
        effects,
        owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        min_free_bytes=settings.storage.min_free_bytes,
        blobs_folder=settings.blobs_path if settings.storage.backend is StorageBackend.FILESYSTEM else None,
        connections=min(2 * settings.sync.workers + THREADS_BESIDE_WORKERS, MOST_CONNECTIONS),
    )


@contextlib.contextmanager
def existing_archive(settings: Settings, effects: Effects | None = None) -> Iterator[Archive]:
    """The archive, for commands that do not fetch. UsageError if it does not exist or has another schema version."""
    archive = archive_of(settings, effects or Effects())
    try:
        require_current(archive.database)
        yield archive
    finally:
        archive.close()


@contextlib.contextmanager
def open_instance(
    settings: Settings, labels: tuple[str, ...], observer: Observer, *, effects: Effects, command: str
) -> Iterator[Instance]:
    """Lock the archive, migrate it, and build the engine for these accounts (all if none is named).

    LockHeld if another instance holds the archive. At the end connections are closed; calls under way are aborted.
    """
    chosen = chosen_accounts(settings, labels)
    archive = archive_of(settings, effects)
    with contextlib.ExitStack() as closing:
        closing.callback(archive.close)
        holder = {"pid": str(os.getpid()), "host": socket.gethostname(), "command": command}
        closing.enter_context(instance_lock(archive.database, holder))
        migrate(archive.database)
        archive.spool.prepare()
        accounts = []
        for label in chosen:
            client = client_of(settings, label, effects, observer)
            closing.callback(client.close)
            base_url, username = settings.accounts[label].identity
            account_id = archive.accounts.register(label, base_url, username, effects.clock.now())
            accounts.append(machine_account(account_id, label, settings, client))
        engine = Engine(archive, accounts, policy_of(settings), effects, observer, bounds_of(settings))
        engine.recover()
        closing.callback(_close_step, archive)
        yield Instance(archive, engine, tuple(accounts))


def _close_step(archive: Archive) -> None:
    """At the end: a copy of the database that was made before the last acknowledgement is older than the marker."""
    with contextlib.suppress(Transient):
        archive.generation.close_step()


def wait_for_database(
    settings: Settings, effects: Effects, observer: Observer, stop: threading.Event, *, seconds: float = math.inf
) -> bool:
    """Wait for a database server that is not up yet. False if `stop` was set before it answered.

    A SQLite archive is not waited for. Raises DatabaseUnavailable after `seconds`, UsageError if the server refuses.
    """
    archive, clock, told = archive_of(settings, effects), effects.clock, False
    begun = clock.monotonic()
    try:
        while not (archive.database.is_sqlite or stop.is_set()):
            try:
                with archive.database.read():
                    return True
            except DatabaseUnavailable as trouble:
                if clock.monotonic() - begun >= seconds:
                    raise
                if not told:
                    observer.note(EventName.DATABASE_AWAITED, reason=str(trouble))
                told = True
            clock.wait(stop, DATABASE_RETRY_SECONDS)
    finally:
        archive.close()
    return not stop.is_set()


def shut_down(engine_threads: EngineThreads, accounts: Iterable[Account]) -> None:
    """Stop the engine's threads: give effects under way a moment to finish, then abort their calls.

    The next start resumes them.
    """
    engine_threads.stop()
    engine_threads.join(GRACE_SECONDS)
    for account in accounts:
        account.service.close()
    engine_threads.join(CLOSED_SECONDS)


def chosen_accounts(settings: Settings, labels: tuple[str, ...]) -> tuple[str, ...]:
    """These labels, or all if none is given. UsageError for an unknown label, or if no account is configured."""
    for label in labels:
        if label not in settings.accounts:
            known = ", ".join(settings.accounts) or "none"
            raise UsageError(f"unknown account {label!a}; configured accounts: {known}")
    if not settings.accounts:
        raise UsageError("no account is configured; add a table [accounts.NAME]")
    return labels or tuple(settings.accounts)


def client_of(settings: Settings, label: str, effects: Effects, observer: Observer | None = None) -> EasyTracking:
    """The client of a configured account; `observer` is told about each call."""

    def tell(ended: CallEnded) -> None:
        if observer is not None:
            observer.note(
                EventName.CALL_ENDED,
                account=label,
                call=ended.call,
                status=ended.status,
                seconds=round(ended.seconds, 3),
                bytes=ended.bytes,
            )

    return EasyTracking(
        settings.accounts[label],
        label=label,
        clock=effects.clock,
        network=effects.network,
        zone=settings.timezone,
        on_call=tell,
    )


def machine_account(account_id: int, label: str, settings: Settings, client: EasyTracking) -> Account:
    """A configured account as the machine needs it."""
    return Account(account_id, label, client, settings.accounts[label], settings.timezone)


def policy_of(settings: Settings) -> Policy:
    """The machine's policy."""
    sync = settings.sync
    return Policy(
        retry_base_seconds=sync.retry_base_seconds,
        retry_cap_seconds=sync.retry_cap_seconds,
        poll_first_seconds=sync.poll_first_seconds,
        poll_cap_seconds=sync.poll_cap_seconds,
        job_deadline_seconds=sync.job_deadline_seconds,
        max_attempts=sync.max_attempts,
    )


def bounds_of(settings: Settings) -> Bounds:
    """The engine's limits."""
    return Bounds(
        jobs_in_flight=settings.sync.jobs_in_flight,
        parcel=ParcelLimits(most_file_bytes=settings.sync.max_file_bytes),
    )
