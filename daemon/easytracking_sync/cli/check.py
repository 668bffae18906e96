"""`check`: what is wrong with this installation, and how to mend it. It changes nothing, here or at the service."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from easytracking_sync.app import archive_of
from easytracking_sync.app.alerts import channels_of, limits_of
from easytracking_sync.app.check_network import accounts
from easytracking_sync.archive.schema import require_current, revision, shown
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS, STORAGE, USAGE, code_of
from easytracking_sync.cli.findings import Finding, Told, tell
from easytracking_sync.cli.global_options import Invocation
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.errors import DatabaseUnavailable, SyncError, UsageError
from easytracking_sync.settings import Settings, StorageBackend
from easytracking_sync.settings.display import HIDDEN, scheme_and_host
from easytracking_sync.terms import AcknowledgeWith

ADDRESSES = frozenset({"urls", "heartbeat_url"})
SECRETS = frozenset({"password", "client_secret", "token", "proxy", "url", *ADDRESSES})
"""Keys whose values others must not read in a file."""

MOUNTED = Path("/run")
"""What a container or systemd hands over lies there, with whatever mode they give it."""


@click.command(
    epilog="""\b
It logs in once per account and asks for one list element; nothing is fetched or marked.
A line marked warn works, and should be mended all the same; it does not count in the exit code.

Example:
  easytracking-sync --config acme.toml check

Exit codes: 0 all is well, 2 configuration, 3 others can read the archive, or the clock is wrong,
4 credentials refused, 74 storage, 75 service or database out of reach. The first that applies
of 2, 4, 74, 75, 3.""",
)
@click.option("--offline", is_flag=True, help="Leave the service alone: look at this machine only.")
@click.pass_obj
def check(invocation: Invocation, *, offline: bool) -> int:
    """Look at configuration, folders, disk, database, alerts and every account, and say how to mend what is wrong."""
    try:
        session = begin(invocation)
    except UsageError as error:
        return tell(Finding(f"configuration: {line}", USAGE) for line in str(error).splitlines()).code
    looked_at = (
        configuration(session.settings),
        storage(session),
        database(session),
        alerts(session.settings),
        () if offline else accounts(session),
    )
    told = sum((tell(findings) for findings in looked_at), start=Told())
    if told.code != DONE:
        click.echo("Mend the lines marked fail, then check again.")
    elif told.warnings:
        click.echo(f"It works; {output.count(told.warnings, 'line')} marked warn should be mended all the same.")
    else:
        click.echo("All is well.")
    return told.code


def configuration(settings: Settings) -> Iterator[Finding]:
    """What the settings amount to, and who else can read the secrets among them."""
    labels = ", ".join(settings.accounts)
    if not settings.accounts:
        yield Finding("configuration: no account", USAGE, "add a table [accounts.NAME] with its login")
    else:
        yield Finding(f"configuration: {output.count(len(settings.accounts), 'account')} ({labels})")
    for label, account in settings.accounts.items():
        if account.acknowledge is AcknowledgeWith.NONE:
            yield Finding(f"{label}: acknowledge = none, so nothing is marked at the service (a trial)")
    for path in sorted(_files_with_secrets(settings)):
        mode = _mode(path)
        if mode is not None and mode & 0o007:
            mend = f"chmod o= {path}: there are secrets in it"
            yield Finding(f"secrets: {path} can be read by every user ({mode:o})", mend=mend)


def _files_with_secrets(settings: Settings) -> set[Path]:
    """The configuration, where a secret stands in it, and the files that `*_file` keys name."""
    found = set()
    for dotted, source in settings.sources.items():
        key, value = dotted.rpartition(".")[2], _value(settings, dotted)
        if key.endswith("_file") and key.removesuffix("_file") in SECRETS and value:
            found.add(Path(value))
        if source.startswith("file ") and not source.endswith("(a file's name)"):
            hidden = key in SECRETS and HIDDEN in value  # an address of a database may hold no password
            if hidden or (key in ADDRESSES and value):
                found.add(Path(source.removeprefix("file ")))
    return {path for path in found if not path.is_relative_to(MOUNTED)}


def _value(settings: Settings, dotted: str) -> str:
    value: Any = settings.redacted()
    for part in dotted.split("."):
        value = value[part]
    return ", ".join(value) if isinstance(value, list) else str(value)


def storage(session: Session) -> Iterator[Finding]:
    """Folders that can be written and are private, and room on their disks."""
    settings = session.settings
    path = settings.database.sqlite_path
    folders = {"spool": settings.spool_path} | ({"archive": path.absolute().parent} if path is not None else {})
    if settings.storage.backend is StorageBackend.FILESYSTEM:
        folders["files"] = settings.blobs_path
    for name, folder in sorted(folders.items()):
        there = _nearest(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            yield Finding(
                f"{name}: {there} cannot be written by this user",
                STORAGE,
                f"give it to the user that runs this: {folder}",
            )
            continue
        yield _privacy(name, folder)
        yield _room(name, session.effects.files.free_bytes(there), settings)


def _room(name: str, free: int, settings: Settings) -> Finding:
    least, enough = settings.storage.min_free_bytes, limits_of(settings).free_bytes
    if free < least:
        mend = "free some space, or lower storage.min_free_bytes: nothing new is fetched until then"
        return Finding(f"{name}: {output.size(free)} free, less than {output.size(least)}", STORAGE, mend)
    if free < enough:
        mend = f"free some space: below {output.size(least)} nothing new is fetched"
        return Finding(f"{name}: {output.size(free)} free on its disk, which is nearly full", mend=mend)
    return Finding(f"{name}: {output.size(free)} free on its disk")


def database(session: Session) -> Iterator[Finding]:
    """Whether the archive opens, at which schema, how it keeps commits, and whether others can read it."""
    try:
        archive = archive_of(session.settings, session.effects)
    except SyncError as error:
        yield _closed(session.settings, error)
        return
    try:
        yield from _look_into(archive)
    except SyncError as error:
        yield _closed(session.settings, error)
    finally:
        archive.close()


def _closed(settings: Settings, error: SyncError) -> Finding:
    is_served = isinstance(error, DatabaseUnavailable) and settings.database.sqlite_path is None
    mend = "see that it runs, and that database.url names it; the service waits until it answers" if is_served else ""
    return Finding(f"database: {error}", code_of(error), mend)


def _look_into(archive: Archive) -> Iterator[Finding]:
    where = shown(archive.database)
    found = revision(archive.database)
    if found is None:
        yield Finding(f"database: nothing at {where} yet; the first catch-up makes it")
        return
    require_current(archive.database)
    facts = archive.catalogue.facts()
    journal = f", journal {facts.journal}" if facts.journal else ""
    yield Finding(f"database: {where}, schema {found}, {facts.engine} {facts.version}{journal}")
    path = archive.database.path
    if path is None:
        return
    if not os.access(path, os.W_OK):
        yield Finding(f"archive: {path} cannot be written by this user", STORAGE, "run this as the file's owner")
    yield _privacy("archive", path)


def alerts(settings: Settings) -> Iterator[Finding]:
    """Whether anybody is told when something goes wrong."""
    heartbeat = settings.alerts.heartbeat_url.get_secret_value()
    try:
        names = [channel.name for channel in channels_of(settings)]
    except UsageError as error:
        yield Finding(f"alerts: {error}", USAGE)
        return
    if names:
        yield Finding(f"alerts: {', '.join(names)} (`easytracking-sync alerts test` tries them)")
    else:
        mend = "give alerts.urls, or watch over it by `easytracking-sync status --check`"
        yield Finding("alerts: nobody is told when something goes wrong", mend=mend)
    if heartbeat:
        yield Finding(f"alerts: a heartbeat goes to {scheme_and_host(heartbeat)}")


def _privacy(name: str, path: Path) -> Finding:
    """A file that others can read has failed; a folder only should be closed, since the files in it are.

    A folder that is not the archive's own is never to be closed: that would lock everybody out of it.
    """
    mode = _mode(path)
    if mode is None:
        return Finding(f"{name}: {path} is made when it is needed")
    if not mode & 0o077:
        return Finding(f"{name}: {path} is private")
    what = f"{name}: {path} can be read by other users ({mode:o})"
    if path.is_dir():
        is_shared = bool(mode & stat.S_ISVTX) or path.resolve() == Path(path.anchor)
        elsewhere = f"give the {name} a folder of its own: everybody uses this one"
        return Finding(what, mend=elsewhere if is_shared else f"chmod 700 {path}, if nothing else lies in it")
    return Finding(what, FINDINGS, f"chmod 600 {path}: it holds invoices")


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _nearest(folder: Path) -> Path:
    """The folder, or what exists of the way to it."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
