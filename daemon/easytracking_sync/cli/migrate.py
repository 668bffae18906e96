"""`migrate`: the archive at this program's schema."""

from __future__ import annotations

import click

from easytracking_sync.app import archive_of
from easytracking_sync.archive import schema
from easytracking_sync.archive.store import alone
from easytracking_sync.archive.tables import SCHEMA
from easytracking_sync.cli.global_options import Invocation
from easytracking_sync.cli.runtime import begin


@click.command(
    epilog="""\b
Example:
  easytracking-sync migrate

Exit codes: 0 the schema is this program's, 2 the archive is newer than this program,
5 another instance works on it, 74 no room for the copy.""",
)
@click.pass_obj
def migrate(invocation: Invocation) -> None:
    """Bring the archive to this program's schema; repeating is safe, and so is a power cut midway.

    A SQLite archive is copied first; the copy may be deleted when all is well.
    """
    session = begin(invocation)
    archive = archive_of(session.settings, session.effects)
    try:
        with alone(archive.database, {"command": "migrate"}):
            before, copy = schema.migrate(archive.database)
            where = schema.shown(archive.database)
    finally:
        archive.close()
    if before == SCHEMA:
        click.echo(f"{where} is at schema {SCHEMA} already: nothing to do.")
    elif before is None:
        click.echo(f"{where} was made, at schema {SCHEMA}.")
    else:
        click.echo(f"{where} went from schema {before} to {SCHEMA}.")
    if copy is not None:
        click.echo(f"The archive as it was lies in {copy}.")
