"""One instance: the production engine with injected failures, restarted after each death."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import httpx
from tests.simulation.database_speedups import be_impatient, share_compiled
from tests.simulation.disk import Cut, MortalFiles
from tests.simulation.fault_injection import CrashError, Deal, Effect, FaultInjector, MortalTransport, make_mortal
from tests.simulation.invariants import InvariantChecker
from tests.support.harness import (
    Harness,
    Recorder,
    VirtualClock,
    Wish,
    cycle_of,
    list_through,
    next_instant,
)

from easytracking_simulator import Simulator
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import CredentialsRefused, Fatal, Permanent, Transient
from easytracking_sync.machine.engine import Bounds
from easytracking_sync.machine.listing import Cycle, Scope
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.reconciling import note_reconciled, scope_due

SHORT_HISTORY = Wish(history_from=date(2026, 11, 1))
MOST_LIVES = 60
MOST_TRIES = 60
MOST_REFRESHES = 3

Meanwhile = Callable[["Instance", str], object]
"""Called with each call that is under way, before the service has it and after it has answered; and before each look
into the database, with "read"."""


@dataclass(frozen=True)
class Setting:
    """The settings that all instances of a world share."""

    url: str
    blobs_folder: Path | None
    time: VirtualClock
    simulator: Simulator
    policy: Policy
    jobs_in_flight: int
    seed: int


class HostClock(VirtualClock):
    """A host's wall clock, which may be wrong; elapsed time is the same for all."""

    def __init__(self, time: VirtualClock) -> None:
        super().__init__()
        self.time = time
        self.off = timedelta()

    def now(self) -> datetime:
        return self.time.now() + self.off

    def monotonic(self) -> float:
        return self.time.monotonic()

    def forward(self, how_far: timedelta) -> None:
        self.time.forward(how_far)

    def forward_to(self, moment: datetime) -> None:
        self.time.forward(moment - self.now())


class Instance:
    """An instance that is restarted after each death; `list_all` and `step` do the work of its threads."""

    def __init__(
        self,
        folder: Path,
        setting: Setting,
        checker: InvariantChecker,
        trace: list[Effect],
        deal: Deal,
        meanwhile: Meanwhile,
        *,
        cut: Cut,
        shared: bool,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.lives = 0
        self.clock = HostClock(setting.time)
        self.injector = FaultInjector(where=folder.name if shared else "")
        self.files = MortalFiles(self.injector, setting.seed)
        self.files.cut = cut
        self.checker = checker
        self._meanwhile = meanwhile
        self._is_up = False
        self.harness = Harness(
            folder=folder,
            url=setting.url,
            clock=self.clock,
            simulator=setting.simulator,
            observer=Recorder(),
            files=self.files,
            policy=setting.policy,
            bounds=Bounds(jobs_in_flight=setting.jobs_in_flight),
            wishes={account.username: SHORT_HISTORY for account in setting.simulator.accounts},
            wrap=self._wrap,
            seed=setting.seed,
            min_free_bytes=0,
            blobs_folder=setting.blobs_folder,
            opened=lambda archive: share_compiled(archive.database),
            shared=shared or None,
        )
        self.harness.opened = self._opened
        self.injector.trace = trace
        self.injector.deal = deal

    def list_all(self, *, marked_too: bool) -> None:
        """Every account's whole history, and again what was cut short; as often as it takes."""
        for label in self.harness.wishes:
            self.try_hard(lambda label=label: self._list(label, None, marked_too=marked_too))  # type: ignore[misc]

    def run_cycles(self) -> None:
        """As the service does on schedule: the newest window of each account, and one older in rotation."""
        for label in self.harness.wishes:
            self.attempt(lambda label=label: self._run_cycle(label))  # type: ignore[misc]

    def step(self) -> bool:
        """One effect of the engine, if one is due; False if nothing was, True also if it died."""
        return self.attempt(self._step) is not False

    def next_instant(self) -> datetime | None:
        """In true time, when something falls due that is not due now; now, where it could not be found out."""
        answered: list[datetime | None] = []
        self.attempt(lambda: answered.append(next_instant(self.harness)))
        if not answered:
            return self.clock.time.now()
        return answered[0] - self.clock.off if answered[0] is not None else None

    def try_hard(self, what: Callable[[], object]) -> None:
        """Repeat it, across deaths and errors, until it succeeds."""
        for _ in range(MOST_TRIES):
            done: list[object] = []
            self.attempt(lambda done=done: done.append(what()))  # type: ignore[misc]
            if done:
                return
        raise AssertionError("ACK-LIVENESS: the same trouble without end")

    def attempt(self, what: Callable[[], object]) -> object:
        """Do it once, restarting first if it is dead; None if it died or met a transient error."""
        try:
            if not self._is_up:
                self.injector.revive()
                self.harness.reopen()
                self._is_up = True
            return what()
        except (CrashError, Fatal):
            self._end()
        except (Transient, Permanent):
            self._is_up = self._is_up and not self.injector.dead
            self.clock.forward(timedelta(seconds=2))
        return None

    def expect_tidy(self) -> None:
        """BOUNDED: once nothing waits, no parcel is left in the spool except those kept for inspection."""
        self.attempt(self._recover)
        left = [path.name for path in (self.harness.folder / "spool").glob("*.zip*")]
        assert not left, f"BOUNDED: {left} are left in the spool"

    def shut(self) -> None:
        """It ends in its own time; what is done next starts it again."""
        if self._is_up:
            self.harness.close()
        self._is_up = False

    def close(self) -> None:
        self.injector.revive()
        self.harness.close()

    def _end(self) -> None:
        self._is_up = False
        self.lives += 1
        assert self.lives < MOST_LIVES, "ACK-LIVENESS: it never comes to an end"
        self.checker.look_again()

    def _step(self) -> bool:  # the engine is another one after each death
        return self.harness.engine.step()

    def _recover(self) -> None:
        self.harness.engine.recover()

    def _cycle_scope(self, label: str) -> Scope:
        account = self.harness.accounts[label]
        return Scope.scheduled(account, self.clock.now(), self.harness.archive.accounts.turn(account.id))

    def _run_cycle(self, label: str) -> None:
        archive, account = self.harness.archive, self.harness.accounts[label]
        due = scope_due(archive, account, self.clock.now())
        cycle = self._list(label, due or self._cycle_scope(label), marked_too=False)
        if due is not None and cycle is not None:
            note_reconciled(archive, account, due, cycle.record("sync"), self.harness.observer)

    def _list(self, label: str, scope: Scope | None, *, marked_too: bool) -> Cycle | None:
        """As the listing threads do: what was cut short is listed again once acknowledging has made room."""
        try:
            cycle = cycle_of(self.harness, self.harness.accounts[label], scope, marked_too=marked_too)
            first = list_through(self.harness, cycle)
            for _ in range(MOST_REFRESHES):
                if (rest := cycle.remainder) is None:
                    return first
                while self.harness.engine.step():
                    pass
                cycle = cycle_of(self.harness, self.harness.accounts[label], rest)
                list_through(self.harness, cycle)
        except CredentialsRefused:
            return None
        return first

    def _opened(self, archive: Archive) -> None:
        share_compiled(archive.database)
        be_impatient(archive.database)
        make_mortal(archive.database, self.injector, self.checker.see_commit, lambda: self._meanwhile(self, "read"))

    def _wrap(self, inner: httpx.BaseTransport) -> httpx.BaseTransport:
        return MortalTransport(inner, self.injector, self.checker.see_call, lambda call: self._meanwhile(self, call))
