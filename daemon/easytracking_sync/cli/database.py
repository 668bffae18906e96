"""`database`: back up the archive's database, or copy it to another one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
from pydantic_core import PydanticCustomError

from easytracking_sync.app.maintenance import back_up_archive, copy_database, settings_after_copy, why_no_backup
from easytracking_sync.archive.database_copier import CopiedArchive
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.options import PLACE
from easytracking_sync.cli.progress import progress_of_steps
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count, size
from easytracking_sync.settings.address_validators import database_url
from easytracking_sync.settings.validators import read_secret


@click.group()
def database() -> None:
    """Back up the archive's database, or copy it to another one."""


@database.command(
    epilog="""\b
Safe while the service runs. SQLite only: back up PostgreSQL with pg_dump. With the backend "filesystem",
files under storage.path are not included. To restore, stop the service and replace the archive by the copy.

\b
Example:
  easytracking-sync database backup --to /srv/backup/archive-2026-11-22.db

\b
Exit codes: 0 copied and checked, 2 there is no SQLite archive, the file exists, or its folder does
not, 74 no space, or the archive cannot be read.""",
)
@click.option(
    "--to",
    "target",
    metavar="FILE",
    required=True,
    type=PLACE,
    help="The copy: a new file in an existing folder.",
)
@click.option("--if-sqlite", is_flag=True, help="If there is no SQLite archive, say so and succeed.")
@pass_runtime
def backup(runtime: Runtime, target: Path, *, if_sqlite: bool) -> None:
    """Copy a SQLite archive as it is at one instant, and check the copy."""
    why = why_no_backup(runtime.settings)
    if why and if_sqlite:
        click.echo(f"Nothing was copied: {why}.")
        return
    count_bytes = back_up_archive(runtime.settings, target, runtime.effects)
    click.echo(f"Archive copied to {target} ({size(count_bytes)}).")


@database.command(
    short_help="Copy the archive to another database.",
    epilog="""\b
Copies between SQLite and PostgreSQL in either direction. Stop the service first. The target must be
empty. An unfinished copy can be continued: files are not copied twice, rows are copied again. The
archive itself is only read.

\b
Examples:
  easytracking-sync database copy --to postgresql+psycopg://sync@db.example/archive
  easytracking-sync database copy --to-file /etc/easytracking-sync/new-database-url
  easytracking-sync database copy --to sqlite:////srv/easytracking-sync/archive.db

\b
Exit codes: 0 copied and proven, 2 wrong address, or the target is not empty, 3 copied, but some files
were damaged already, 5 a service works on the archive, 74 no space, 75 database unavailable.""",
)
@click.option("--to", "url", metavar="URL", help="The other database; other users can see a password in it.")
@click.option(
    "--to-file",
    "file",
    metavar="FILE",
    type=PLACE,
    help="A file that holds the URL, for one with a password.",
)
@pass_runtime
def copy(runtime: Runtime, url: str | None, file: Path | None) -> int:
    """Copy the whole archive to another database, then prove it by row counts and every file's hash."""
    if (url is None) == (file is None):
        raise click.UsageError("give one of --to and --to-file")
    target = _address(url, file)
    runtime.log.redactor.learn([unquote(urlsplit(target).password or "")])
    with progress_of_steps(runtime.effects.clock) as shown:
        copied = copy_database(runtime.settings, target, effects=runtime.effects, on_step=shown)
    return _report(copied, settings_after_copy(runtime.settings, target, file))


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


def _report(copied: CopiedArchive, lines: tuple[str, ...]) -> int:
    """Print what was copied and what to change; the exit code."""
    rows = f"{count(copied.rows['account'], 'account')}, {count(copied.rows['document'], 'document')}"
    click.echo(f"CopiedArchive and counted: {rows}, {count(sum(copied.rows.values()), 'row')} in all")
    proven = f"{copied.files - copied.rotten} of {count(copied.files, 'blob')}"
    click.echo(f"Read back and hashed: {proven}, {size(copied.bytes)}")
    for sha256 in copied.named:
        output.warn(f"blob {sha256} was damaged in the archive already")
    if copied.rotten:
        output.warn(f"run `{NAME} scrub` on the new database to have the damaged files fetched again")
    output.show_configuration(lines)
    click.echo("The old database is unchanged; do not run the service on it any more.")
    return FINDINGS if copied.rotten else DONE
