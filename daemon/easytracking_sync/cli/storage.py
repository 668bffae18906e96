"""`storage`: move the files' bytes between the database and the file system."""

from __future__ import annotations

import click

from easytracking_sync.app.maintenance import Moved, move_storage, settings_after_move
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.progress import progress_of_steps
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count, size
from easytracking_sync.settings import Settings, StorageBackend


@click.group()
def storage() -> None:
    """Move the files' bytes between the database and the file system."""


@storage.command(
    short_help="Copy all files' bytes to the other store.",
    epilog="""\b
Stop the service first; the archive can be read meanwhile. The steps:
  1. easytracking-sync storage move --to filesystem
     copies every blob, reads it back and compares its hash; nothing is removed.
  2. Set storage.backend (and storage.path) in the configuration, as printed; start the service.
  3. When you are satisfied: stop the service, and
     easytracking-sync storage move --to filesystem --delete-source
     verifies every blob again, copies what is missing, and empties the old store.

It may be killed and repeated at any moment.

\b
Example:
  easytracking-sync storage move --to filesystem

\b
Exit codes: 0 done, 2 the configuration still names the source, 3 some bytes are damaged in both
stores, 5 a service works on the archive, 74 no space.""",
)
@click.option(
    "--to",
    "to",
    type=click.Choice([backend.value for backend in StorageBackend]),
    required=True,
    help="Where to store the bytes.",
)
@click.option("--delete-source", is_flag=True, help="Then empty the other store; the configuration must name --to.")
@pass_runtime
def move(runtime: Runtime, to: str, *, delete_source: bool) -> int:
    """Copy all files' bytes to the other store, and prove them by their hashes."""
    target = StorageBackend(to)
    with progress_of_steps(runtime.effects.clock) as shown:
        moved = move_storage(
            runtime.settings, target, delete_source=delete_source, effects=runtime.effects, on_step=shown
        )
    return _report(runtime.settings, target, moved, delete_source=delete_source)


def _report(settings: Settings, to: StorageBackend, moved: Moved, *, delete_source: bool) -> int:
    done = moved.copied_blobs
    where = str(settings.blobs_path.absolute()) if to is StorageBackend.FILESYSTEM else "the database"
    whole = f"{done.blobs - done.rotten} of {count(done.blobs, 'blob')} ({size(done.bytes)})"
    click.echo(f"{whole} verified in {where}; {done.copied} copied in this run")
    for sha256 in done.named:
        output.warn(f"blob {sha256} is damaged in both stores")
    if done.rotten:
        then = "nothing was deleted" if delete_source else "then move again"
        output.warn(f"{count(done.rotten, 'blob')} damaged: run `{NAME} scrub` to have them fetched again; {then}")
    if delete_source:
        click.echo(f"{count(moved.removed, 'blob')} removed from the old store")
        if moved.removed and to is StorageBackend.FILESYSTEM and settings.database.sqlite_path is not None:
            click.echo("The SQLite file keeps its size; the space inside is used again.")
    elif lines := settings_after_move(settings, to):
        output.show_configuration(lines)
    if not delete_source:
        command = f"{NAME} storage move --to {to} --delete-source"
        click.echo(f"Nothing was removed. When you are satisfied, empty the old store: {command}")
    return FINDINGS if done.rotten else DONE
