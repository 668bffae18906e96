"""`storage`: the files' bytes from the database to the file system, or back."""

from __future__ import annotations

import click

from easytracking_sync.app.storage_move import Moved, move_storage
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, FINDINGS
from easytracking_sync.cli.gauge import gauge
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.runtime import begin
from easytracking_sync.settings import Settings, StorageBackend


@click.group()
def storage() -> None:
    """Where the files' bytes lie."""


@storage.command(
    epilog="""\b
Stop the service first; the archive can be read meanwhile. The steps:
  1. easytracking-sync storage move --to filesystem
     copies every blob, reads it back and compares its hash; nothing is removed.
  2. Set storage.backend (and storage.path) in the configuration, as it then says; start the service.
  3. When you are content: stop the service, and
     easytracking-sync storage move --to filesystem --delete-source
     proves once more that everything is there, copies what is not, and empties the old store.

It may be killed and repeated at any moment.

\b
Example:
  easytracking-sync storage move --to filesystem

\b
Exit codes: 0 done, 2 the configuration still names the source, 3 some bytes are whole in neither
place, 5 a service works on the archive, 74 no room.""",
)
@click.option(
    "--to",
    "to",
    type=click.Choice([backend.value for backend in StorageBackend]),
    required=True,
    help="Where the bytes are to lie.",
)
@click.option("--delete-source", is_flag=True, help="Then empty the other store; the configuration must name --to.")
@click.pass_obj
def move(invocation: Invocation, to: str, *, delete_source: bool) -> int:
    """Copy all files' bytes to the other store, proven by their hashes."""
    session = begin(invocation)
    target = StorageBackend(to)
    with gauge(session.effects.clock) as shown:
        moved = move_storage(
            session.settings, target, delete_source=delete_source, effects=session.effects, on_step=shown
        )
    return _report(session.settings, target, moved, delete_source=delete_source)


def _report(settings: Settings, to: StorageBackend, moved: Moved, *, delete_source: bool) -> int:
    done = moved.relocated
    where = str(settings.blobs_path.absolute()) if to is StorageBackend.FILESYSTEM else "the database"
    whole = done.blobs - done.rotten
    click.echo(
        f"{whole} of {output.count(done.blobs, 'blob')} ({output.size(done.bytes)}) are whole in {where}; "
        f"{done.copied} copied now"
    )
    if done.rotten:
        for sha256 in done.named:
            click.echo(f"{NAME}: blob {sha256} is whole in neither place", err=True)
        click.echo(
            f"{NAME}: {output.count(done.rotten, 'blob')} rotten: `{NAME} scrub` has them fetched again; "
            + ("nothing was deleted" if delete_source else "then move again"),
            err=True,
        )
    if delete_source:
        click.echo(f"{output.count(moved.removed, 'blob')} removed from the old store")
        if moved.removed and to is StorageBackend.FILESYSTEM and settings.database.sqlite_path is not None:
            click.echo("The SQLite file keeps its size; the room inside is used again.")
    elif settings.storage.backend is not to:
        _tell_what_to_change(settings, to)
    else:
        click.echo(f"Free the old store when you are content: {NAME} storage move --to {to} --delete-source")
    return FINDINGS if done.rotten else DONE


def _tell_what_to_change(settings: Settings, to: StorageBackend) -> None:
    click.echo("Now change the configuration, then start the service again:")
    click.echo("  [storage]")
    click.echo(f'  backend = "{to}"')
    if to is StorageBackend.FILESYSTEM and settings.storage.path is None:
        click.echo(f'  path = "{settings.blobs_path.absolute()}"')
    click.echo(f"Nothing was removed; later: {NAME} storage move --to {to} --delete-source")
