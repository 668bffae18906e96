"""Numbers every effect of an instance, and injects failures into them.

The network and the database's transactions are wrapped from outside (the file layer: `disk`); nothing of the program
is patched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx
from sqlalchemy.engine import Connection

from easytracking_sync.archive.database import Database
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault

MARKER = re.compile(r"generation-[0-9a-f]{12}")


class CrashError(BaseException):
    """The process is dead. No code catches it, and every later effect raises it again."""


class Kind(StrEnum):
    """The kind of an effect."""

    SEND = "send"  # a call to the service
    COMMIT = "commit"  # the end of a database transaction
    READ = "read"  # a look into the database
    WRITE = "write"  # bytes into a file
    SYNC = "sync"
    CHANGE = "change"  # of a folder: create, rename, remove, make
    LOOK = "look"  # open, size, names, free bytes


class Failure(StrEnum):
    """A failure to inject."""

    KILLED = "killed before"  # kill -9; the machine stays up
    KILLED_AFTER = "killed after"
    POWER_CUT = "power cut"  # just before it; what was not synced is lost
    REFUSED = "refused"  # nothing done, and the program is told: no connection, database locked
    ANSWER_LOST = "answer lost"  # done, and the program is told of a failure
    FULL = "ENOSPC"
    BROKEN = "EIO"


DEADLY = frozenset({Failure.KILLED, Failure.KILLED_AFTER, Failure.POWER_CUT})
DEATHS = (Failure.KILLED, Failure.KILLED_AFTER)
FAULTS = (Failure.FULL, Failure.BROKEN)

APPLICABLE: Mapping[Kind, Collection[Failure]] = {
    Kind.SEND: (*DEATHS, Failure.REFUSED, Failure.ANSWER_LOST),
    Kind.COMMIT: (*DEATHS, *FAULTS, Failure.REFUSED, Failure.ANSWER_LOST),
    Kind.READ: (Failure.REFUSED, Failure.BROKEN),
    Kind.WRITE: (*DEATHS, *FAULTS),
    Kind.SYNC: (*DEATHS, *FAULTS),
    Kind.CHANGE: (*DEATHS, *FAULTS),
    Kind.LOOK: FAULTS,
}
"""In addition, POWER_CUT wherever something is unsynced."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect, as it was about to happen. `where` names the instance."""

    kind: Kind
    what: str
    unsynced: bool
    where: str = ""


Deal = Callable[[int, Effect], Failure | None]
"""From an effect's number and the effect to its failure, if any."""

Refuse = Callable[[Failure], Exception]
"""The exception by which a layer reports that it did nothing."""


def applicable(effect: Effect) -> list[Failure]:
    """The failures that apply to this effect."""
    return [*APPLICABLE[effect.kind], *([Failure.POWER_CUT] if effect.unsynced else [])]


@dataclass
class FaultInjector:
    """Numbers effects, across restarts too, and injects failures. Instances may share one `trace`."""

    deal: Deal = lambda number, effect: None
    where: str = ""
    trace: list[Effect] = field(default_factory=list)
    dealt: Counter[tuple[Kind, Failure]] = field(default_factory=Counter)
    on_power_cut: Callable[[], object] = lambda: None
    is_unsynced: Callable[[], bool] = lambda: False
    dead: bool = False
    distrusts: bool = False  # a sync failed: this process must stop

    @contextmanager
    def effect(
        self,
        kind: Kind,
        what: str,
        refuse: Refuse,
        half_done: Callable[[], object] | None = None,
    ) -> Iterator[None]:
        """Wraps one effect: it happens or fails. `refuse` makes the layer's own exception."""
        if self.dead:
            raise CrashError
        what = MARKER.sub("generation", what)  # the rest of its name is the folder's
        effect = Effect(kind, what, self.is_unsynced(), self.where)
        failure = self.deal(len(self.trace), effect)
        self.trace.append(effect)
        if self.distrusts and kind in (Kind.SEND, Kind.COMMIT):
            raise AssertionError(f"FAIL-STOP: it goes on after a failed fsync ({kind} {what[:80]})")
        if failure is None:
            yield
            return
        self.dealt[kind, failure] += 1
        if failure in (Failure.KILLED, Failure.POWER_CUT):
            self._die(failure)
        if failure in (Failure.REFUSED, *FAULTS):
            if half_done is not None:
                half_done()
            self.distrusts = kind is Kind.SYNC
            raise refuse(failure)
        yield
        if failure is Failure.KILLED_AFTER:
            self._die(failure)
        raise refuse(failure)

    def revive(self) -> None:
        """A new process begins."""
        self.dead = self.distrusts = False

    def _die(self, failure: Failure) -> None:
        self.dead = True
        if failure is Failure.POWER_CUT:
            self.on_power_cut()
        raise CrashError


def network_refusal(failure: Failure) -> Exception:
    """httpx's exception for a missing answer."""
    return httpx.ReadError("connection reset") if failure is Failure.ANSWER_LOST else httpx.ConnectError("refused")


def database_refusal(failure: Failure) -> Exception:
    """The archive's translation of driver errors."""
    match failure:
        case Failure.FULL:
            return StorageFault("the disk of the database is full; free some space")
        case Failure.BROKEN:
            return StorageBroken("the database is damaged or unreadable (disk I/O error)")
        case Failure.ANSWER_LOST:
            return DatabaseUnavailable("the database does not answer (server closed the connection)")
        case _:
            return DatabaseUnavailable("the database does not answer (database is locked)")


class MortalTransport(httpx.BaseTransport):
    """The network. `witness` sees each request just before it goes out, `meanwhile` comes on its way."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        injector: FaultInjector,
        witness: Callable[[httpx.Request], object],
        meanwhile: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._injector = injector
        self._witness = witness
        self._meanwhile = meanwhile

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call = request.url.path
        body = b"" if "AccessToken" in call else request.read()
        what = f"{request.method} {request.url.raw_path.decode()} {body.decode()}"
        with self._injector.effect(Kind.SEND, what, network_refusal):
            self._witness(request)
            self._meanwhile(call)
            answer = self._inner.handle_request(request)
            self._meanwhile(call)
            return answer

    def close(self) -> None:
        self._inner.close()


def make_mortal(
    database: Database,
    injector: FaultInjector,
    committed: Callable[[], object],
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Each commit of this database, and each look into it, is an effect.

    `committed` is called after each commit, `meanwhile` before each look.
    """
    write, read = database.write, database.read

    @contextmanager
    def mortal_write() -> Iterator[Connection]:
        with ExitStack() as around:
            with write() as connection:
                yield connection
                around.enter_context(injector.effect(Kind.COMMIT, "", database_refusal))
            committed()

    @contextmanager
    def mortal_read() -> Iterator[Connection]:
        with injector.effect(Kind.READ, "", database_refusal):
            meanwhile()
        with read() as connection:
            yield connection

    database.write = mortal_write  # type: ignore[method-assign]
    database.read = mortal_read  # type: ignore[method-assign]
