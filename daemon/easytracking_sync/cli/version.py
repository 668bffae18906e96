"""`version`: the versions that a bug report needs."""

from __future__ import annotations

import platform
import sqlite3

import click

from easytracking_sync import __version__
from easytracking_sync.bundled import bundled_folder


@click.command()
def version() -> None:
    """Show the versions of the program, of Python, of SQLite and of the archive's schema."""
    schema = max(path.name.partition("_")[0] for path in bundled_folder("migrations").glob("versions/[0-9]*_*.py"))
    click.echo(f"easytracking-sync {__version__}")
    click.echo(f"Python            {platform.python_version()}")
    click.echo(f"SQLite            {sqlite3.sqlite_version}")
    click.echo(f"schema            {schema}")
