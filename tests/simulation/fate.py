"""Every effect of one incarnation, numbered, and the blow that one of them is dealt.

The network, the file layer and the database's commits are wrapped from outside; nothing of the program is patched.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import Database
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault


class CrashError(BaseException):
    """The process is gone. No code catches it, and whatever is tried afterwards raises it again."""


class Kind(StrEnum):
    """What an effect works on."""

    SEND = "send"  # a call to the service
    COMMIT = "commit"  # the end of a database transaction
    WRITE = "write"  # bytes into a file
    SYNC = "sync"
    CHANGE = "change"  # of a folder: create, rename, remove, make
    LOOK = "look"  # open, size, names, free bytes


class Blow(StrEnum):
    """What may happen to an effect. To die before one is to have died after the one before it."""

    KILLED = "killed"  # kill -9 just before it; the machine stays up
    POWER_CUT = "power cut"  # just before it; what was not synced is lost
    REFUSED = "refused"  # nothing done, and the program is told
    ANSWER_LOST = "answer lost"  # done, and the program is told of a failure
    SYNC_FAILED = "sync failed"


APPLICABLE: Mapping[Kind, Collection[Blow]] = {
    Kind.SEND: (Blow.KILLED, Blow.REFUSED, Blow.ANSWER_LOST),
    Kind.COMMIT: (Blow.KILLED, Blow.REFUSED, Blow.ANSWER_LOST),
    Kind.WRITE: (Blow.KILLED, Blow.REFUSED),
    Kind.SYNC: (Blow.KILLED, Blow.SYNC_FAILED),
    Kind.CHANGE: (Blow.KILLED, Blow.REFUSED),
    Kind.LOOK: (Blow.REFUSED,),
}
"""Beside these, POWER_CUT wherever something is not synced."""


@dataclass(frozen=True)
class Effect:
    """One effect, as it was about to happen."""

    kind: Kind
    what: str
    unsynced: bool


Deal = Callable[[int, Effect], Blow | None]
"""From an effect's number, and the effect, to what befalls it."""


def applicable(effect: Effect) -> list[Blow]:
    """What may befall this effect."""
    return [*APPLICABLE[effect.kind], *([Blow.POWER_CUT] if effect.unsynced else [])]


@dataclass
class Fate:
    """Numbers effects, across incarnations too, and deals them their blows."""

    deal: Deal = lambda number, effect: None
    trace: list[Effect] = field(default_factory=list)
    on_power_cut: Callable[[], object] = lambda: None
    is_unsynced: Callable[[], bool] = lambda: False
    dead: bool = False

    @contextmanager
    def effect(self, kind: Kind, what: str) -> Iterator[None]:
        """Around one effect: it happens, or is dealt its blow."""
        if self.dead:
            raise CrashError
        effect = Effect(kind, what, self.is_unsynced())
        blow = self.deal(len(self.trace), effect)
        self.trace.append(effect)
        if blow in (Blow.KILLED, Blow.POWER_CUT):
            self.dead = True
            if blow is Blow.POWER_CUT:
                self.on_power_cut()
            raise CrashError
        if blow in (Blow.REFUSED, Blow.SYNC_FAILED):
            raise refusal(kind, what)
        yield
        if blow is Blow.ANSWER_LOST:
            raise httpx.ReadError("connection reset") if kind is Kind.SEND else DatabaseUnavailable("server closed")

    def revive(self) -> None:
        """Another process begins."""
        self.dead = False


def refusal(kind: Kind, what: str) -> Exception:
    """How the layer itself says no."""
    match kind:
        case Kind.SEND:
            return httpx.ConnectError("connection refused")
        case Kind.COMMIT:
            return DatabaseUnavailable("the database did not answer (database is locked)")
        case Kind.WRITE:
            return OSError(errno.ENOSPC, "No space left on device")
        case Kind.SYNC:
            return StorageBroken(f"fsync of {what} failed")
        case _:
            return StorageFault(f"storage refused {what}: No space left on device")


class MortalTransport(httpx.BaseTransport):
    """The network. `witness` sees each request just before it goes out."""

    def __init__(self, inner: httpx.BaseTransport, fate: Fate, witness: Callable[[httpx.Request], object]) -> None:
        self._inner = inner
        self._fate = fate
        self._witness = witness

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        secret = "AccessToken" in request.url.path
        body = b"" if secret else request.read()
        with self._fate.effect(Kind.SEND, f"{request.method} {request.url.raw_path.decode()} {body.decode()}"):
            self._witness(request)
            return self._inner.handle_request(request)


class MortalFiles(LocalFiles):
    """The file layer, which knows what a power cut would take away."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._dirty: set[Path] = set()
        self._undo: list[tuple[Path, Callable[[], object]]] = []
        fate.on_power_cut = self.cut_power
        fate.is_unsynced = lambda: bool(self._dirty or self._undo)

    def cut_power(self) -> None:
        """What was not synced is half there; renames and removals whose folder was not synced never were."""
        for path in self._dirty:
            if path.exists():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        for _, undo in reversed(self._undo):
            undo()
        self._dirty.clear()
        self._undo.clear()

    def make_folder(self, path: Path) -> None:
        with self._fate.effect(Kind.CHANGE, f"make {path.name}"):
            super().make_folder(path)

    def create(self, path: Path) -> BinaryIO:
        with self._fate.effect(Kind.CHANGE, f"create {path.name}"):
            file = super().create(path)
        self._dirty.add(path)
        return cast("BinaryIO", MortalFile(file, path, self._fate))

    def sync(self, file: BinaryIO) -> None:
        with self._fate.effect(Kind.SYNC, "a file"):
            super().sync(file)
        self._dirty.discard(cast("MortalFile", file).path)

    def rename(self, source: Path, target: Path) -> None:
        with self._fate.effect(Kind.CHANGE, f"rename to {target.name}"):
            super().rename(source, target)
        self._undo.append((target.parent, lambda: target.exists() and target.rename(source)))

    def sync_folder(self, path: Path) -> None:
        with self._fate.effect(Kind.SYNC, f"the folder {path.name}"):
            super().sync_folder(path)
        self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]

    def remove(self, path: Path) -> None:
        with self._fate.effect(Kind.CHANGE, f"remove {path.name}"):
            content = path.read_bytes() if path.exists() else None
            super().remove(path)
        if content is not None:
            self._undo.append((path.parent, lambda: path.write_bytes(content)))
        self._dirty.discard(path)

    def open(self, path: Path) -> BinaryIO:
        with self._fate.effect(Kind.LOOK, f"open {path.name}"):
            return super().open(path)

    def size(self, path: Path) -> int | None:
        with self._fate.effect(Kind.LOOK, f"size of {path.name}"):
            return super().size(path)

    def names(self, folder: Path) -> list[str]:
        with self._fate.effect(Kind.LOOK, f"names in {folder.name}"):
            return super().names(folder)

    def free_bytes(self, folder: Path) -> int:
        with self._fate.effect(Kind.LOOK, f"room in {folder.name}"):
            return 1 << 40


class MortalFile(io.RawIOBase):
    """A file whose writes are effects."""

    def __init__(self, file: BinaryIO, path: Path, fate: Fate) -> None:
        self.path = path
        self._file = file
        self._fate = fate

    def write(self, content: Any) -> int:
        with self._fate.effect(Kind.WRITE, f"{len(content)} bytes"):
            written = self._file.write(content)
            self._file.flush()
            return written

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


def make_mortal(database: Database, fate: Fate, committed: Callable[[], object]) -> None:
    """Each commit of this database is an effect; `committed` is called after each."""
    write = database.write

    @contextmanager
    def mortal() -> Iterator[Connection]:
        with ExitStack() as around:
            with write() as connection:
                yield connection
                around.enter_context(fate.effect(Kind.COMMIT, ""))
            committed()

    database.write = mortal  # type: ignore[method-assign]
