"""Kills a migration, in its own process, in the middle."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, sys
import sqlalchemy as sa
from easytracking_sync.archive import schema
from easytracking_sync.archive.database import Database

database = Database(sys.argv[1])
left = [int(sys.argv[2])]

def die(*_):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), 9)

sa.event.listen(database._engine, "before_cursor_execute", die)
schema.migrate(database)
"""


def kill_migration(url: str, statements: int = 25) -> None:
    """Migrate the database at this address, and be killed (SIGKILL) after so many statements."""
    killed = subprocess.run([sys.executable, "-c", SCRIPT, url, str(statements)], check=False, capture_output=True)
    assert killed.returncode == -9
