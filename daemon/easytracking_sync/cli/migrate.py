"""`migrate`: bring the archive to this program's schema."""

from __future__ import annotations

import click

from easytracking_sync.app.maintenance import migrate_archive
from easytracking_sync.cli.runtime import Runtime, pass_runtime


@click.command(
    epilog="""\b
Example:
  easytracking-sync migrate

Exit codes: 0 the schema is this program's, 2 the archive is newer than this program,
5 another instance works on it, 74 no space for the copy.""",
)
@pass_runtime
def migrate(runtime: Runtime) -> None:
    """Bring the archive to this program's schema. Safe to repeat, and after a power cut midway.

    A SQLite archive is copied first; delete the copy when all is well.
    """
    done = migrate_archive(runtime.settings, runtime.effects)
    if done.before == done.after:
        click.echo(f"{done.archive} is already at schema {done.after}.")
    elif done.before is None:
        click.echo(f"Created {done.archive} at schema {done.after}.")
    else:
        click.echo(f"Migrated {done.archive} from schema {done.before} to {done.after}.")
    if done.copy is not None:
        click.echo(f"Copy of the archive as it was: {done.copy}")
