"""`database`: the archive in another database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from easytracking_sync.app.database_copy import copy_database
from easytracking_sync.archive.backup import back_up
from easytracking_sync.archive.copy import Copied
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS
from easytracking_sync.cli.gauge import gauge
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.option_types import PLACE
from easytracking_sync.cli.runtime import begin
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Database, Settings, StorageBackend
from easytracking_sync.settings.address_validators import database_url
from easytracking_sync.settings.display import redacted
from easytracking_sync.settings.validators import read_secret


@click.group()
def database() -> None:
    """The database that holds the archive."""


@database.command(
    epilog="""\b
Beside a running service, too; for SQLite: PostgreSQL has pg_dump. What the backend "filesystem" keeps
under storage.path is not in it. To restore: stop the service, put the copy in the archive's place.

\b
Example:
  easytracking-sync database backup --to /srv/backup/archive-2026-11-22.db

\b
Exit codes: 0 copied and checked, 2 there is no SQLite archive, the file exists, or its folder does
not, 74 no room, or the archive cannot be read.""",
)
@click.option(
    "--to",
    "target",
    metavar="FILE",
    required=True,
    type=PLACE,
    help="The copy: a new file; the folder must be there.",
)
@click.option("--if-sqlite", is_flag=True, help="Where there is no SQLite archive, say so and succeed.")
@click.pass_obj
def backup(invocation: Invocation, target: Path, *, if_sqlite: bool) -> None:
    """Copy a SQLite archive as it is at one instant, and check the copy."""
    session = begin(invocation)
    path = session.settings.database.sqlite_path
    if path is None or not path.exists():
        why = "PostgreSQL is copied with pg_dump" if path is None else f"there is no archive at {path} yet"
        if not if_sqlite:
            raise UsageError(why)
        click.echo(f"Nothing was copied: {why}.")
        return
    if not target.absolute().parent.is_dir():
        raise UsageError(f"--to: the folder {target.absolute().parent} is not there; make it first")
    count = back_up(path, target.absolute(), session.effects.files)
    click.echo(f"The archive as it was lies in {target}, {output.size(count)}.")


@database.command(
    short_help="Copy the archive to another database.",
    epilog="""\b
Between SQLite and PostgreSQL, either way. Stop the service first. The target must be empty; an
unfinished copy goes on: the files' bytes where they were, the rows from the beginning. The archive
itself is only read.

\b
Examples:
  easytracking-sync database copy --to postgresql+psycopg://sync@db.example/archive
  easytracking-sync database copy --to-file /etc/easytracking-sync/new-database-url
  easytracking-sync database copy --to sqlite:////srv/easytracking-sync/archive.db

\b
Exit codes: 0 copied and proven, 2 wrong address, or the target is not empty, 3 copied, but some
files had rotten already, 5 a service works on the archive, 74 no room, 75 database out of reach.""",
)
@click.option("--to", "url", metavar="URL", help="The other database; a password in it can be seen by other users.")
@click.option(
    "--to-file",
    "file",
    metavar="FILE",
    type=PLACE,
    help="A file that holds the URL, for one with a password.",
)
@click.pass_obj
def copy(invocation: Invocation, url: str | None, file: Path | None) -> int:
    """Copy the whole archive to another database, then prove it: row counts, and every file's hash."""
    if (url is None) == (file is None):
        raise click.UsageError("give one of --to and --to-file")
    target = _address(url, file)
    session = begin(invocation)
    session.log.redactor.learn([unquote(urlsplit(target).password or "")])
    with gauge(session.effects.clock) as shown:
        copied = copy_database(session.settings, target, effects=session.effects, on_step=shown)
    return _report(session.settings, copied, target, file)


def _address(url: str | None, file: Path | None) -> str:
    try:
        given = url if url is not None else read_secret(file or Path())
    except ValueError as error:
        raise click.UsageError(f"--to-file: {str(file)!a} {error}") from None
    try:
        return database_url(given).get_secret_value()
    except PydanticCustomError as error:
        option = "--to" if file is None else "--to-file"
        raise click.UsageError(f"{option} must be {(error.context or {}).get('expected', 'an address')}") from None


def _report(settings: Settings, copied: Copied, target: str, file: Path | None) -> int:
    """Say what was copied, and what to change; the exit code."""
    rows = ", ".join(
        output.count(copied.rows[name], what) for name, what in (("account", "account"), ("document", "document"))
    )
    proven = f"{copied.files - copied.rotten} of {output.count(copied.files, 'blob')}"
    click.echo(f"Copied and counted: {rows}, {output.count(sum(copied.rows.values()), 'row')} in all")
    click.echo(f"Read back by their hashes: {proven}, {output.size(copied.bytes)}")
    for sha256 in copied.named:
        click.echo(f"{NAME}: blob {sha256} had rotten in the archive already", err=True)
    if copied.rotten:
        click.echo(f"{NAME}: `{NAME} scrub` there has {copied.rotten} rotten fetched again", err=True)
    click.echo("Now change the configuration, then start the service again:")
    for line in _to_change(settings, target, file):
        click.echo(f"  {line}")
    click.echo("The old database is as it was; let no service work on it any more.")
    return FINDINGS if copied.rotten else DONE


def _to_change(settings: Settings, target: str, file: Path | None) -> list[str]:
    """Paths that an empty key places beside the database would move with it: they are named, so that they stay."""
    shown = f'url_file = "{file.absolute()}"' if file is not None else f'url = "{_redacted(target)}"'
    lines = ["[database]", shown, "[storage]", f'spool = "{settings.spool_path.absolute()}"']
    if settings.storage.backend is StorageBackend.FILESYSTEM:
        lines.append(f'path = "{settings.blobs_path.absolute()}"   # the files stay where they are')
    return lines


def _redacted(target: str) -> str:
    """The address without what may be secret in it, as `config show` shows it."""
    return str(redacted(Database(url=SecretStr(target)))["url"])
