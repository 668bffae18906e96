"""The checks of this machine: configuration, folders, disks, database, alerts."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from easytracking_sync.app.alerts import channels_of, limits_of
from easytracking_sync.app.composition import archive_of
from easytracking_sync.app.maintenance import nearest_folder
from easytracking_sync.archive.opening import Archive
from easytracking_sync.archive.schema import require_current, revision, shown
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, Permanent, StorageFault, SyncError, UsageError
from easytracking_sync.quantities import count, size
from easytracking_sync.settings import Settings, StorageBackend
from easytracking_sync.settings.display import HIDDEN, scheme_and_host
from easytracking_sync.terms import AcknowledgeWith


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: what was checked and how to repair it. `fault` is the kind of error, if it is one."""

    what: str
    fault: type[SyncError] | None = None
    repair: str = ""

    @property
    def severity(self) -> Literal["ok", "warn", "fail"]:
        """A warning does not prevent work, but should be repaired."""
        if self.fault is not None:
            return "fail"
        return "warn" if self.repair else "ok"


ADDRESSES = frozenset({"urls", "heartbeat_url"})
SECRETS = frozenset({"password", "client_secret", "token", "proxy", "url", *ADDRESSES})
"""Keys whose values other users must not read."""

MOUNTED = Path("/run")
"""Where containers and systemd mount files, with modes that the user cannot change."""


def check_installation(settings: Settings, effects: Effects) -> Iterator[Finding]:
    """All checks of this machine, in the order to repair them."""
    yield from _configuration(settings)
    yield from _storage(settings, effects)
    yield from _database(settings, effects)
    yield from _alerts(settings)


def _configuration(settings: Settings) -> Iterator[Finding]:
    """What is configured, and whether other users can read the secrets."""
    if not settings.accounts:
        yield Finding("configuration: no account", UsageError, "add a table [accounts.NAME] with its login")
    else:
        yield Finding(f"configuration: {count(len(settings.accounts), 'account')} ({', '.join(settings.accounts)})")
    for label, account in settings.accounts.items():
        if account.acknowledge is AcknowledgeWith.NONE:
            yield Finding(f'{label}: acknowledge = "none": nothing is acknowledged at the service (a trial)')
    for path in sorted(_files_with_secrets(settings)):
        mode = _mode(path)
        if mode is not None and mode & 0o007:
            repair = f"chmod o= {path}: it contains secrets"
            yield Finding(f"secrets: {path} can be read by every user ({mode:o})", repair=repair)


def _files_with_secrets(settings: Settings) -> set[Path]:
    """The configuration, if it holds a secret, and the files that `*_file` keys name."""
    found = set()
    for dotted, source in settings.sources.items():
        key, value = dotted.rpartition(".")[2], _value(settings, dotted)
        if key.endswith("_file") and key.removesuffix("_file") in SECRETS and value:
            found.add(Path(value))
        if source.startswith("file ") and not source.endswith("(a file's name)"):
            hidden = key in SECRETS and HIDDEN in value  # a database's address may have no password
            if hidden or (key in ADDRESSES and value):
                found.add(Path(source.removeprefix("file ")))
    return {path for path in found if not path.is_relative_to(MOUNTED)}


def _value(settings: Settings, dotted: str) -> str:
    value: Any = settings.redacted()
    for part in dotted.split("."):
        value = value[part]
    return ", ".join(value) if isinstance(value, list) else str(value)


def _storage(settings: Settings, effects: Effects) -> Iterator[Finding]:
    """Whether folders are writable and private, and how much space their disks have."""
    path = settings.database.sqlite_path
    folders = {"spool": settings.spool_path} | ({"archive": path.absolute().parent} if path is not None else {})
    if settings.storage.backend is StorageBackend.FILESYSTEM:
        folders["files"] = settings.blobs_path
    for name, folder in sorted(folders.items()):
        there = nearest_folder(folder.absolute())
        if not os.access(there, os.W_OK | os.X_OK):
            repair = f"give {folder} to the user that runs this program"
            yield Finding(f"{name}: {there} cannot be written by this user", StorageFault, repair)
            continue
        yield _privacy(name, folder)
        yield _space(name, effects.files.free_bytes(there), settings)


def _space(name: str, free: int, settings: Settings) -> Finding:
    least, enough = settings.storage.min_free_bytes, limits_of(settings).free_bytes
    if free < least:
        repair = "free disk space, or lower storage.min_free_bytes; nothing new is fetched until then"
        return Finding(f"{name}: {size(free)} free, less than {size(least)}", StorageFault, repair)
    if free < enough:
        repair = f"free disk space: below {size(least)} nothing new is fetched"
        return Finding(f"{name}: {size(free)} free; the disk is nearly full", repair=repair)
    return Finding(f"{name}: {size(free)} free on its disk")


def _database(settings: Settings, effects: Effects) -> Iterator[Finding]:
    """Whether the archive opens, its schema and journal mode, and whether other users can read it."""
    try:
        with contextlib.closing(archive_of(settings, effects)) as archive:
            yield from _look_into(archive)
    except SyncError as error:
        is_server = isinstance(error, DatabaseUnavailable) and settings.database.sqlite_path is None
        repair = "check that the server runs and that database.url is correct; the service waits for it"
        yield Finding(f"database: {error}", type(error), repair if is_server else "")


def _look_into(archive: Archive) -> Iterator[Finding]:
    where = shown(archive.database)
    found = revision(archive.database)
    if found is None:
        yield Finding(f"database: no archive at {where} yet; the first catch-up creates it")
        return
    require_current(archive.database)
    facts = archive.database.facts()
    journal = f", journal {facts.journal}" if facts.journal else ""
    yield Finding(f"database: {where}, schema {found}, {facts.engine} {facts.version}{journal}")
    for one, other, shared in archive.accounts.shared_documents():
        repair = "if they are one account, remove one from the configuration: each document is fetched for both"
        yield Finding(f"accounts: {one} and {other} have {count(shared, 'document')} in common", repair=repair)
    path = archive.database.path
    if path is None:
        return
    if not os.access(path, os.W_OK):
        yield Finding(f"archive: {path} cannot be written by this user", StorageFault, "run this as its owner")
    yield _privacy("archive", path)


def _alerts(settings: Settings) -> Iterator[Finding]:
    """Whether alerts are sent anywhere."""
    heartbeat = settings.alerts.heartbeat_url.get_secret_value()
    try:
        names = [channel.name for channel in channels_of(settings)]
    except UsageError as error:
        yield Finding(f"alerts: {error}", UsageError)
        return
    if names:
        yield Finding(f"alerts: {', '.join(names)} (test them with `easytracking-sync alerts test`)")
    else:
        repair = "set alerts.urls, or monitor `easytracking-sync status --check`"
        yield Finding("alerts: no channel is configured, so nobody is told when something goes wrong", repair=repair)
    if heartbeat:
        yield Finding(f"alerts: a heartbeat goes to {scheme_and_host(heartbeat)}")


def _privacy(name: str, path: Path) -> Finding:
    """A readable file is a fault; a readable folder only a warning, since the files in it are private.

    Never advise chmod for a folder that other users share.
    """
    mode = _mode(path)
    if mode is None:
        return Finding(f"{name}: {path.absolute()} will be created when it is needed")
    if not mode & 0o077:
        return Finding(f"{name}: {path} is private")
    what = f"{name}: {path} can be read by other users ({mode:o})"
    if path.is_dir():
        is_shared = bool(mode & stat.S_ISVTX) or path.resolve() == Path(path.anchor)
        elsewhere = f"put the {name} into its own folder: this one is shared by all users"
        return Finding(what, repair=elsewhere if is_shared else f"chmod 700 {path}, unless other users need it")
    return Finding(what, Permanent, f"chmod 600 {path}: it holds invoices")


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
