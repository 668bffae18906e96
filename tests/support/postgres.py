"""A PostgreSQL server for the tests of one process, from the distribution's own binaries, and databases on it.

The server does what a real one does (fsync included), in a folder in memory where there is one. It ends with the test
process, however that ends: it stops when a pipe closes, by its process id.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from easytracking_sync.archive import schema
from easytracking_sync.archive.database import Database

BINARIES = Path("/usr/lib/postgresql")
MISSING = f"PostgreSQL is not tested: no initdb and postgres under {BINARIES}/*/bin (apt-get install postgresql)"
IN_MEMORY = Path("/dev/shm")
PATIENCE_SECONDS = 30.0

SETTINGS = {
    "autovacuum": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "log_min_messages": "fatal",
    "max_connections": "100",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "timezone": "Asia/Kathmandu",  # the archive must not care
    "wal_level": "minimal",
}

KEEPER = """
"$@" &
server=$!
if read -r _; then kill -INT "$server"; wait "$server"; else kill -INT "$server"; wait "$server"; rm -rf "$FOLDER"; fi
"""
"""Starts a server; stops and removes it when the pipe closes."""


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, of the newest version that is installed; None where there is none."""
    programs = ("initdb", "postgres")
    found = [folder for folder in BINARIES.glob("*/bin") if all((folder / name).exists() for name in programs)]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


def _needed(found: Path | None) -> Path:
    if found is None:
        raise RuntimeError(MISSING)
    return found


def _user() -> str | None:
    """A server refuses to run as root; nobody else can choose."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@dataclass
class Server:
    """One server. `start` and `stop` may be called again and again; `remove` it at the end."""

    binaries: Path = field(default_factory=lambda: _needed(binaries()))
    folder: Path = field(init=False)
    _user: str | None = field(default_factory=_user)
    _keeper: subprocess.Popen[bytes] | None = None
    _names: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=memory))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        made = self._run("initdb", "--pgdata", str(self.data), "--username=tests", "--auth=trust", "--encoding=UTF8")
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout.decode()}")
        lines = [f"{name} = '{value}'\n" for name, value in SETTINGS.items()]
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines([*lines, f"unix_socket_directories = '{self.folder}'\n"])

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"

    def url(self, database: str, *, host: str | None = None, port: int | None = None) -> str:
        """The address of a database of this server, or of one that stands before it."""
        where = f"host={self.folder}" if host is None else f"host={host}&port={port}"
        return f"postgresql+psycopg://tests@/{database}?{where}"

    def start(self) -> None:
        """Running and ready afterwards."""
        environment = {"PATH": os.environ["PATH"], "FOLDER": str(self.folder), "LC_ALL": "C.UTF-8"}
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "sh", str(self.binaries / "postgres"), "-D", str(self.data)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                user=self._user,
                group=self._group(),
                env=environment,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for the tests
            )
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            if self._keeper.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server does not start: {log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Every connection is broken off, and the server has ended afterwards."""
        if self._keeper is not None:
            self._keeper.communicate(b"stop\n", timeout=PATIENCE_SECONDS)
            self._keeper = None

    def remove(self) -> None:
        """Stopped, and nothing of it is left."""
        if self._keeper is not None:
            self._keeper.communicate(timeout=PATIENCE_SECONDS)  # the pipe is closed, as when the tests die
            self._keeper = None
        shutil.rmtree(self.folder, ignore_errors=True)

    @functools.cached_property
    def archive_template(self) -> str:
        """A database at this program's schema, migrated once: to be a template, and nothing else."""
        name = self.create()
        database = Database(self.url(name))
        schema.migrate(database)
        database.close()
        return name

    def admin(self, statement: sql.SQL | sql.Composed) -> None:
        """Run one statement outside any transaction."""
        with self._connect() as connection:
            connection.execute(statement)

    def until(self, question: LiteralString, database: str = "postgres") -> None:
        """Poll until true."""
        if not self.wait(question, database, PATIENCE_SECONDS):
            raise TimeoutError(f"never: {question}")

    def wait(self, question: LiteralString, database: str, seconds: float) -> bool:
        """Poll until true or for at most so long; whether it is true."""
        until = time.monotonic() + seconds
        with self._connect(database) as connection:
            while not connection.execute(question).fetchall()[0][0]:
                if time.monotonic() > until:
                    return False
                time.sleep(0.01)
        return True

    def create(self, template: str = "template0") -> str:
        """A new database like the template; its name."""
        name = f"test_{next(self._names)}"
        self.admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        """Drop it and close its connections. Starts a server that a failed test left stopped."""
        if self._keeper is None:
            self.start()
        self.admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database for as long as the block lasts; its name."""
        name = self.create(template)
        try:
            yield name
        finally:
            self.drop(name)

    def _connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user="tests", dbname=database, autocommit=True)

    def _is_ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _group(self) -> int | None:
        return None if self._user is None else pwd.getpwnam(self._user).pw_gid

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self.binaries / program), *arguments, "--no-sync", "--no-instructions", "--locale=C.UTF-8"],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=self._user,
            group=self._group(),
            cwd="/",
        )
