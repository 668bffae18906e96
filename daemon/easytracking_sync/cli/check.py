"""`check`: what is wrong with this installation, and how to mend it. It changes nothing, here or at the service."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from easytracking_sync.app import archive_of, service_of
from easytracking_sync.archive.schema import require_current, revision, shown
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli import screen
from easytracking_sync.cli.exits import CREDENTIALS, DONE, STORAGE, USAGE, code_of, worst
from easytracking_sync.cli.invocation import Invocation
from easytracking_sync.cli.session import Session, begin
from easytracking_sync.errors import SyncError, UsageError
from easytracking_sync.observe.plain import visible
from easytracking_sync.remote import ListQuery
from easytracking_sync.terms import AcknowledgeWith, Window, WindowKind


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, and where it is a problem, its exit code and the mend."""

    what: str
    code: int = DONE
    mend: str = ""


@click.command(
    epilog="""\b
It logs in once per account and asks for one list element; nothing is fetched or marked.

Example:
  easytracking-sync --config acme.toml check

Exit codes: 0 all is well, 2 configuration, 4 credentials refused, 74 storage, 75 service or
database out of reach. The first that applies.""",
)
@click.option("--offline", is_flag=True, help="Leave the service alone: look at this machine only.")
@click.pass_obj
def check(invocation: Invocation, *, offline: bool) -> int:
    """Look at configuration, folders, disk, database and every account, and say how to mend what is wrong."""
    try:
        session = begin(invocation)
    except UsageError as error:
        return tell(Finding(f"configuration: {line}", USAGE) for line in str(error).splitlines())
    looked_at = (configuration(session), storage(session), database(session), () if offline else accounts(session))
    code = worst(*(tell(findings) for findings in looked_at))
    click.echo("All is well." if code == DONE else "Mend the lines marked PROBLEM, then check again.")
    return code


def tell(findings: Iterable[Finding]) -> int:
    """Print findings as they come; the worst code."""
    codes = [DONE]
    for finding in findings:
        codes.append(finding.code)
        mark = click.style("ok     ", fg="green") if finding.code == DONE else click.style("PROBLEM", fg="red")
        click.echo(f"{mark}  {visible(finding.what)}")
        if finding.mend:
            click.echo(f"         → {visible(finding.mend)}")
    return worst(*codes)


def configuration(session: Session) -> Iterator[Finding]:
    """What the settings amount to."""
    settings = session.settings
    labels = ", ".join(settings.accounts)
    if not settings.accounts:
        yield Finding("configuration: no account", USAGE, "add a table [accounts.NAME] with its login")
    else:
        yield Finding(f"configuration: {screen.count(len(settings.accounts), 'account')} ({labels})")
    for label, account in settings.accounts.items():
        if account.acknowledge is AcknowledgeWith.NONE:
            yield Finding(f"{label}: acknowledge = none, so nothing is marked at the service (a trial)")


def storage(session: Session) -> Iterator[Finding]:
    """Folders that can be written and are private, and room on their disks."""
    settings = session.settings
    path = settings.database.sqlite_path
    folders = {"spool": settings.spool_path} | ({"archive": path.absolute().parent} if path is not None else {})
    least = settings.storage.min_free_bytes
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
        free = session.effects.files.free_bytes(there)
        if free < least:
            mend = "free some space, or lower storage.min_free_bytes: nothing new is fetched until then"
            yield Finding(f"{name}: {screen.size(free)} free, less than {screen.size(least)}", STORAGE, mend)
        else:
            yield Finding(f"{name}: {screen.size(free)} free on its disk")


def database(session: Session) -> Iterator[Finding]:
    """Whether the archive opens, at which schema."""
    try:
        archive = archive_of(session.settings, session.effects)
    except SyncError as error:
        yield Finding(f"database: {error}", code_of(error))
        return
    try:
        yield from _look_into(archive)
    except SyncError as error:
        yield Finding(f"database: {error}", code_of(error))
    finally:
        archive.close()


def accounts(session: Session) -> Iterator[Finding]:
    """Log in and list, once each."""
    clock = session.effects.clock
    end = clock.now().astimezone(session.settings.timezone).replace(tzinfo=None, microsecond=0)
    query = ListQuery(Window(WindowKind.RECEIVED, end - timedelta(days=1), end), phase1=False, top=1)
    for label, account in session.settings.accounts.items():
        host = account.endpoint.base_url
        try:
            with service_of(session.settings, label, session.effects) as service:
                begun = clock.monotonic()
                service.log_in()
                service.list_documents(query)
        except SyncError as error:
            yield Finding(str(error), code_of(error), _mend_account(code_of(error), label, host))
        else:
            yield Finding(f"{label}: logs in and lists at {host} ({screen.span(clock.monotonic() - begun)})")


def _mend_account(code: int, label: str, host: str) -> str:
    if code == CREDENTIALS:
        return f"set accounts.{label}.username and password; hammering may lock the user"
    return f"see that {host} can be reached from here (network, proxy, ca_file), or wait until it is up again"


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
    if path is not None:
        yield _privacy("archive", path)


def _privacy(name: str, path: Path) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return Finding(f"{name}: {path} is made when it is needed")
    if mode & 0o077:
        private = "700" if path.is_dir() else "600"
        return Finding(
            f"{name}: {path} can be read by other users ({mode:o})",
            STORAGE,
            f"chmod {private} {path}: it holds invoices",
        )
    return Finding(f"{name}: {path} is private")


def _nearest(folder: Path) -> Path:
    """The folder, or what exists of the way to it."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
