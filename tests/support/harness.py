"""The whole daemon in one thread and in virtual time: a real archive and real clients against a simulated service.

`build` makes one in a folder, `settle` runs it until nothing moves. Everything follows from the seeds: no socket, no
sleep, no wall clock. A conftest puts the repository's root on the path, so that tests may import this module.
"""

from __future__ import annotations

import functools
import math
import random
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import httpx
import sqlalchemy as sa

from easytracking_simulator import Options, Simulator
from easytracking_simulator.httpx_transport import SimulatorTransport
from easytracking_sync.archive import schema, tables
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.opening import Archive, open_archive
from easytracking_sync.effects import Effects, Files, LocalFiles
from easytracking_sync.errors import CredentialsRefused
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.circuit_breaker import ArchivePauses
from easytracking_sync.machine.engine import Bounds, Engine
from easytracking_sync.machine.intake import Intake
from easytracking_sync.machine.listing import Cycle, Patience, PatientCycle, Scope
from easytracking_sync.machine.policy import Policy
from easytracking_sync.remote import EasyTracking
from easytracking_sync.settings import AccountSettings
from easytracking_sync.terms import LIVE_STATES, AcknowledgeWith, DocumentState, FileType, OnRelist

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROME = ZoneInfo("Europe/Rome")
HISTORY_FROM = date(2026, 1, 1)  # less than a year: one window of each kind
DEFAULT_TYPES = (FileType.FA, FileType.MT, FileType.FU)

SMALL = Options(documents=12, history_days=90, p7m_share=0.1, long_share=0.0, attachment_share=0.0)
"""A small service, quick to write; `dataclasses.replace` it where a test wants another."""

Wrap = Callable[[httpx.BaseTransport], httpx.BaseTransport]
BlobStore = Literal["database", "files"]


class VirtualClock:
    """A clock that advances only when told to or when somebody waits."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        if not wake.is_set():
            self.forward(timedelta(seconds=seconds))
        return wake.is_set()

    def forward(self, how_far: timedelta) -> None:
        """Let time pass; never back."""
        self._now += max(how_far, timedelta())
        self._monotonic += max(how_far.total_seconds(), 0.0)

    def forward_to(self, moment: datetime) -> None:
        """Let time pass until then; nothing where it has passed."""
        self.forward(moment - self._now)


@dataclass
class Recorder:
    """An observer that records its notes."""

    notes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        self.notes.append((name, level or name.level, dict(facts)))

    def named(self, name: str) -> list[dict[str, Any]]:
        """The facts of every note of this name, in order."""
        return [facts for noted, _, facts in self.notes if noted == name]


@dataclass(frozen=True)
class Wish:
    """The settings of an account; the label is the simulator's user name, "demo1", "demo2", …"""

    file_types: tuple[FileType, ...] = DEFAULT_TYPES
    acknowledge: AcknowledgeWith = AcknowledgeWith.PHASE1
    on_relist: OnRelist = OnRelist.ACKNOWLEDGE
    history_from: date = HISTORY_FROM
    receiver_piva: str = ""
    receiver_cf: str = ""


@dataclass
class Harness:
    """The daemon on one folder and one database. `reopen` restarts it, as after a crash."""

    folder: Path
    url: str
    clock: VirtualClock
    simulator: Simulator
    observer: Recorder
    files: Files
    policy: Policy
    bounds: Bounds
    wishes: Mapping[str, Wish]
    wrap: Wrap
    seed: int
    min_free_bytes: int
    blobs_folder: Path | None
    opened: Callable[[Archive], object]
    shared: bool | None = None  # several harnesses on one SQLite file, in one thread
    archive: Archive = field(init=False)
    engine: Engine = field(init=False)
    accounts: dict[str, Account] = field(init=False)
    effects: Effects = field(init=False)
    _openings: int = 0

    def __post_init__(self) -> None:
        self.reopen()

    @property
    def account_ids(self) -> frozenset[int]:
        return frozenset(account.id for account in self.accounts.values())

    def reopen(self) -> None:
        """Open the folder with a new archive object, new clients and a new engine, and run the recovery."""
        if self._openings:
            self.close()
        self._openings += 1
        dice = random.Random(f"{self.seed}/dice/{self._openings}")
        self.effects = Effects(self.clock, dice, self.files, self.wrap(SimulatorTransport(self.simulator)))
        owner = f"{self.folder.name}-{self._openings}"
        self.archive = open_archive(
            self.url,
            self.folder / "spool",
            self.effects,
            owner=owner,
            min_free_bytes=self.min_free_bytes,
            blobs_folder=self.blobs_folder,
            shared=self.shared,
        )
        self.opened(self.archive)
        _relax(self.archive.database)
        _end_leases(self.archive.database)
        self.archive.spool.prepare()
        self.accounts = {label: self._account(label, wish) for label, wish in self.wishes.items()}
        self.engine = Engine(
            self.archive, self.accounts.values(), self.policy, self.effects, self.observer, self.bounds
        )
        self.engine.recover()

    def close(self) -> None:
        for account in self.accounts.values():
            account.service.close()
        self.archive.close()

    def _account(self, label: str, wish: Wish) -> Account:
        settings = self._settings(label, wish)
        service = EasyTracking(settings, label=label, clock=self.clock, network=self.effects.network, zone=ROME)
        identity = settings.identity
        known = self.archive.accounts.find(*identity)
        account_id = known or self.archive.accounts.register(label, *identity, self.clock.now())
        return Account(account_id, label, service, settings, ROME)

    def _settings(self, label: str, wish: Wish) -> AccountSettings:
        password = next(known.password for known in self.simulator.accounts if known.username == label)
        address = "http://127.0.0.1:1"
        return AccountSettings.model_validate(
            {"base_url": address, "auth_base_url": address, "username": label, "password": password, **asdict(wish)}
        )


def build(
    folder: Path,
    options: Options = SMALL,
    *,
    url: str | None = None,
    wishes: Mapping[str, Wish] | None = None,
    files: Files | None = None,
    policy: Policy | None = None,
    bounds: Bounds | None = None,
    wrap: Wrap = lambda transport: transport,
    seed: int = 1,
    min_free_bytes: int = 0,
    blobs: BlobStore = "database",
    opened: Callable[[Archive], object] = lambda _: None,
) -> Harness:
    """A harness in this empty folder, on SQLite unless `url` names an empty archive; bytes go where `blobs` says.

    `wishes` are by label: one account, "demo1", with the usual wishes unless given. `wrap` is put around
    the network, `files` replaces the real file layer, `opened` is called with each new archive object
    before it is used. Close the harness afterwards.
    """
    wishes = wishes or {"demo1": Wish()}
    clock = VirtualClock()
    simulator = Simulator(replace(options, accounts=max(options.accounts, len(wishes))), clock)
    if url is None:
        (folder / "archive.db").write_bytes(empty_archive())
    return Harness(
        folder=folder,
        url=url or f"sqlite:///{folder / 'archive.db'}",
        clock=clock,
        simulator=simulator,
        observer=Recorder(),
        files=files or LocalFiles(),
        policy=policy or Policy(),
        bounds=bounds or Bounds(),
        wishes=wishes,
        wrap=wrap,
        seed=seed,
        min_free_bytes=min_free_bytes,
        blobs_folder=folder / "blobs" if blobs == "files" else None,
        opened=opened,
    )


def _relax(database: Database) -> None:
    """No fsync for SQLite: these tests simulate no power cut, and fsync is slow."""
    if database.is_sqlite:
        with database.read() as connection:
            connection.connection.cursor().execute("PRAGMA synchronous = OFF")


def _end_leases(database: Database) -> None:
    """Expire all leases: the database server counts them by its own clock, which no test can move."""
    if not database.is_sqlite:
        with database.write() as connection:
            connection.execute(sa.update(tables.batch).values(lease_owner=None, lease_until=None))


@functools.cache
def empty_archive() -> bytes:
    """A migrated archive, made once per process, since migrating is slow."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        database = Database(f"sqlite:///{path}")
        schema.migrate(database)
        database.close()
        return path.read_bytes()


@dataclass(frozen=True)
class Settled:
    """How `settle` ended."""

    steps: int  # effects performed
    waiting: int  # documents that are neither archived nor quarantined
    cycles: tuple[Cycle, ...]
    refused: tuple[str, ...]  # labels whose login was refused while listing


def settle(
    harness: Harness,
    *,
    marked_too: bool = True,
    horizon: timedelta = timedelta(minutes=30),
    deadline: timedelta = timedelta(hours=48),
    after_step: Callable[[], object] = lambda: None,
) -> Settled:
    """List every account's whole history, then work until nothing waits.

    Time jumps to whatever is due next, as long as that is no farther than `horizon`; the end is when nothing waits,
    when nothing falls due within the horizon, or when `deadline` (virtual) has passed. `after_step` is called after
    each effect. Errors that stop a real daemon (Fatal, bugs) escape.
    """
    until = harness.clock.now() + deadline
    cycles, refused = _list(harness, dict.fromkeys(harness.accounts), marked_too=marked_too)
    steps = drain(harness, horizon=horizon, until=until, after_step=after_step)
    while rest := {cycle.account.label: scope for cycle in cycles if (scope := cycle.remainder)}:
        acknowledged = harness.engine.tally.acknowledged
        cycles, _ = _list(harness, rest, marked_too=False)
        steps += drain(harness, horizon=horizon, until=until, after_step=after_step)
        if harness.engine.tally.acknowledged == acknowledged:
            break
    waiting = sum(harness.archive.documents.waiting(harness.account_ids).values())
    return Settled(steps, waiting, tuple(cycles), refused)


def _list(
    harness: Harness, scopes: Mapping[str, Scope | None], *, marked_too: bool
) -> tuple[list[Cycle], tuple[str, ...]]:
    """One cycle per account, by label; a scope of None means the whole history."""
    cycles = []
    refused = []
    for label, scope in scopes.items():
        cycle = cycle_of(harness, harness.accounts[label], scope, marked_too=marked_too)
        cycles.append(cycle)
        try:
            list_through(harness, cycle)
        except CredentialsRefused:
            refused.append(label)
    return cycles, tuple(refused)


def cycle_of(harness: Harness, account: Account, scope: Scope | None = None, *, marked_too: bool = True) -> Cycle:
    """A cycle that has not begun; over the whole history unless a scope is given."""
    scope = scope or Scope.whole_history(account, harness.clock.now(), marked_too=marked_too)
    return Cycle(
        Intake(harness.archive, harness.engine.policy),
        harness.engine.circuit_breaker,
        harness.clock,
        harness.observer,
        account,
        scope,
        functools.partial(harness.archive.cycles.gaps, account.id),
    )


def list_through(harness: Harness, cycle: Cycle) -> Cycle:
    """Step through a cycle to its end, waiting out what is transient. CredentialsRefused escapes."""
    endless = replace(harness.policy, list_patience_seconds=math.inf)
    patience = Patience(ArchivePauses(harness.archive.accounts, endless), endless, harness.effects, harness.observer)
    PatientCycle(cycle, patience, threading.Event()).run()
    return cycle


def drain(
    harness: Harness,
    *,
    horizon: timedelta = timedelta(minutes=30),
    until: datetime | None = None,
    after_step: Callable[[], object] = lambda: None,
) -> int:
    """Perform what is due, jump to what falls due next, and so on; see `settle`. How many effects it took."""
    until = until or harness.clock.now() + timedelta(hours=48)
    steps = 0
    while harness.clock.now() <= until:
        while harness.engine.step():
            steps += 1
            after_step()
        if not sum(harness.archive.documents.waiting(harness.account_ids).values()):
            break
        due = next_instant(harness)
        if due is None or due - harness.clock.now() > horizon:
            break
        harness.clock.forward_to(due)
    return steps


def next_instant(harness: Harness) -> datetime | None:
    """The next time at which something becomes due; None if nothing will."""
    now = harness.clock.now()
    due = harness.engine.next_due()
    if due is None or due > now:
        return due
    batch, document, account = tables.batch.c, tables.document.c, tables.account.c
    waits = (DocumentState.DISCOVERED, DocumentState.QUARANTINED)
    queries = (
        sa.select(sa.func.min(batch.next_attempt_at)).where(
            batch.next_attempt_at > now, batch.state.in_(LIVE_STATES)
        ),
        sa.select(sa.func.min(document.next_attempt_at)).where(
            document.next_attempt_at > now, document.state.in_(waits)
        ),
        sa.select(sa.func.min(account.paused_until)).where(account.paused_until > now),
    )
    with harness.archive.database.read() as connection:
        found = [connection.execute(query).scalar_one() for query in queries]
    return min((moment for moment in found if moment is not None), default=None)
