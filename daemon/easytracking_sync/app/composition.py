"""Composition: everything is built from Settings here, and what works for long starts here."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from easytracking_sync import __version__
from easytracking_sync.archive.schema import migrate, require_current
from easytracking_sync.archive.store import Archive, alone, open_archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.engine import Bounds, Engine
from easytracking_sync.machine.engine_threads import Crew
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.remote import CallEnded, EasyTracking, Endpoint, ParcelLimits
from easytracking_sync.settings import Account as AccountSettings
from easytracking_sync.settings import Settings, StorageBackend
from easytracking_sync.terms import FileType

FAREWELL_SECONDS = 4.0
LAST_WORD_SECONDS = 1.0
"""A call that waits for its next byte does not notice that its connection was closed: no use in waiting for it."""
THREADS_BESIDE_WORKERS = 12
"""Those that list, hand out, keep leases and watch; the workers are in two groups."""
MOST_CONNECTIONS = 40
"""To a database server, which others use too; threads beyond that wait for one a moment."""
RUNNING_SERVICE = "run"
"""What a service writes into the lock it holds: a catch-up may then hand its work over."""
USER_AGENT = f"easytracking-sync/{__version__}"


@dataclass(frozen=True, slots=True)
class Station:
    """An archive with an engine over the accounts it serves."""

    archive: Archive
    engine: Engine
    accounts: tuple[Account, ...]

    @property
    def account_ids(self) -> frozenset[int]:
        return frozenset(account.id for account in self.accounts)


def archive_of(settings: Settings, effects: Effects) -> Archive:
    """The archive the settings name; nothing is touched until it is used."""
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
    """The archive for commands that only look or correct; UsageError where there is none, or an older one."""
    archive = archive_of(settings, effects or Effects())
    try:
        require_current(archive.database)
        yield archive
    finally:
        archive.close()


@contextlib.contextmanager
def station(
    settings: Settings,
    labels: tuple[str, ...],
    observer: Observer,
    *,
    effects: Effects,
    doing: str,
) -> Iterator[Station]:
    """Hold the archive alone, at this program's schema, with these accounts (all, where none is named) at work.

    Raises LockHeld where another instance has it. Leaving closes every connection, so that calls under way break off.
    """
    chosen = chosen_accounts(settings, labels)
    archive = archive_of(settings, effects)
    with contextlib.ExitStack() as closing:
        closing.callback(archive.close)
        holder = {"pid": str(os.getpid()), "host": socket.gethostname(), "command": doing}
        closing.enter_context(alone(archive.database, holder))
        migrate(archive.database)
        archive.spool.prepare()
        accounts = []
        for label in chosen:
            service = service_of(settings, label, effects, observer)
            closing.callback(service.close)
            base_url, username = settings.accounts[label].identity
            account_id = archive.accounts.register(label, base_url, username, effects.clock.now())
            accounts.append(machine_account(account_id, label, settings, service))
        engine = Engine(archive, accounts, policy_of(settings), effects, observer, bounds_of(settings))
        engine.recover()
        yield Station(archive, engine, tuple(accounts))


def farewell(crew: Crew, accounts: Iterable[Account]) -> None:
    """Stop the crew: what is under way gets a moment to end, then its calls are broken off; all is resumable."""
    crew.stop()
    crew.join(FAREWELL_SECONDS)
    for account in accounts:
        account.service.close()
    crew.join(LAST_WORD_SECONDS)


def chosen_accounts(settings: Settings, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels to work for; UsageError for one that the configuration does not have, or where there is none."""
    for label in labels:
        if label not in settings.accounts:
            have = ", ".join(settings.accounts) or "none"
            raise UsageError(f"there is no account {label!a}; the configuration has {have}")
    if not settings.accounts:
        raise UsageError("the configuration has no account; add a table [accounts.NAME]")
    return labels or tuple(settings.accounts)


def service_of(
    settings: Settings,
    label: str,
    effects: Effects,
    observer: Observer | None = None,
) -> EasyTracking:
    """The client of one configured account; `observer` is told of every call it makes."""

    def tell(ended: CallEnded) -> None:
        if observer is not None:
            observer.note(
                "call.ended",
                level="debug",
                account=label,
                call=ended.call,
                status=ended.status,
                seconds=round(ended.seconds, 3),
                bytes=ended.bytes,
            )

    account = settings.accounts[label]
    endpoint = Endpoint(
        base_url=account.endpoint.base_url,
        auth_base_url=account.endpoint.auth_base_url,
        username=account.username,
        password=account.password.get_secret_value(),
        route=account.route,
        client_secret=account.client_secret.get_secret_value(),
        ca_file=str(account.ca_file) if account.ca_file else None,
        proxy=account.proxy.get_secret_value() or None,
    )
    return EasyTracking(
        endpoint,
        account=label,
        clock=effects.clock,
        user_agent=USER_AGENT,
        network=effects.network,
        zone=settings.timezone,
        on_call=tell,
    )


def machine_account(account_id: int, label: str, settings: Settings, service: EasyTracking) -> Account:
    """What the machine needs to know of a configured account."""
    wanted: AccountSettings = settings.accounts[label]
    types = frozenset(wanted.file_types)
    return Account(
        id=account_id,
        label=label,
        service=service,
        file_types=types,
        original=FileType.FA if FileType.FA in types else wanted.file_types[0],
        acknowledge=wanted.acknowledge,
        on_relist=wanted.on_relist,
        history_from=wanted.history_from,
        timezone=settings.timezone,
        receiver_piva=wanted.receiver_piva or None,
        receiver_cf=wanted.receiver_cf or None,
    )


def policy_of(settings: Settings) -> Policy:
    """The numbers the machine decides by."""
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
    """What the engine never exceeds."""
    return Bounds(
        jobs_in_flight=settings.sync.jobs_in_flight,
        parcel=ParcelLimits(most_file_bytes=settings.sync.max_file_bytes),
    )
