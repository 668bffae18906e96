"""One small service, one archive, and one or two instances that work on it."""

from __future__ import annotations

import functools
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.simulation.archive_reader import ArchiveReader
from tests.simulation.disk import Cut
from tests.simulation.fault_injection import Deal, Effect, Failure, Kind
from tests.simulation.instance import Instance, Meanwhile, Setting
from tests.simulation.invariants import InvariantChecker, expect_no_secrets
from tests.support.harness import BlobStore, VirtualClock, empty_archive

from easytracking_simulator import File, Options, Simulator
from easytracking_sync.machine.policy import Policy


def _copy(source: Path, target: Path) -> None:
    """Into the same file, which others may have open."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


QUIET = Options(documents=0, accounts=2, job_seconds=1.0)
MOST_ROUNDS = 4
"""Days after the end of all faults until everything must be archived."""

Chapter = Callable[[Simulator], object]


@functools.cache
def written(seed: int, share: float) -> tuple[tuple[File, ...], ...]:
    """Files of real-looking documents: signing takes longer than a whole run."""
    options = Options(documents=6, seed=seed, p7m_share=share, long_share=0.0, attachment_share=0.0, history_days=30)
    simulator = Simulator(options, VirtualClock())
    return tuple(simulator.files(doc_id) for doc_id in simulator.ids())


def files_for(number: int, *, signed: bool = False) -> Mapping[str, tuple[str, bytes]]:
    """The files of some document, signed or not, for `add_document`."""
    pool = written(1, 1.0 if signed else 0.0)
    return {file.type: (file.name, file.body) for file in pool[number % len(pool)] if file.type != "FI"}


@dataclass
class World:
    """Runs its chapters: something happens at the service, then the instances work until nothing waits.

    After a death the instance restarts on the same folder, in the same chapter.
    """

    folder: Path
    chapters: Sequence[Chapter] = ()
    options: Options = QUIET
    deal: Deal = lambda number, effect: None
    seed: int = 1
    marked_too: bool = False
    horizon: timedelta = timedelta(minutes=30)
    between: timedelta = timedelta(minutes=1)
    policy: Policy = field(default_factory=lambda: Policy(max_attempts=2))
    instance_count: int = 1
    url: str | None = None
    blobs: BlobStore = "database"
    cut: Cut = Cut.ALL
    jobs_in_flight: int = 2
    meanwhile: Meanwhile = lambda instance, call: None
    breathe: Callable[[], object] = lambda: None  # between effects
    begins: list[int] = field(default_factory=list)  # the number of each chapter's first effect
    ends: list[int] = field(default_factory=list)  # of its last, and one more

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.time = VirtualClock()
        self.simulator = Simulator(self.options, self.time)
        if self.url is None:
            self.url = f"sqlite:///{self.folder / 'archive.db'}"
            (self.folder / "archive.db").write_bytes(empty_archive())
        blobs_folder = self.folder / "files" / "blobs" if self.blobs == "files" else None
        self.checker = InvariantChecker(ArchiveReader(self.url, blobs_folder), self.simulator)
        self.checker.alone = self.instance_count == 1
        if self.checker.alone:
            self.checker.jobs_in_flight = self.jobs_in_flight
        setting = Setting(
            self.url, blobs_folder, self.time, self.simulator, self.policy, self.jobs_in_flight, self.seed
        )
        self.trace: list[Effect] = []
        self.instances = [self._instance(number, setting) for number in range(self.instance_count)]

    def _instance(self, number: int, setting: Setting) -> Instance:
        folder = self.folder if self.instance_count == 1 else self.folder / f"host-{number}"
        return Instance(
            folder,
            setting,
            self.checker,
            self.trace,
            self.deal,
            self.meanwhile,
            cut=self.cut,
            shared=self.instance_count > 1,
        )

    @property
    def lives(self) -> int:
        """How many processes have died."""
        return sum(instance.lives for instance in self.instances)

    @property
    def dealt(self) -> Counter[tuple[Kind, Failure]]:
        """Every failure so far."""
        return sum((instance.injector.dealt for instance in self.instances), Counter())

    def run(self) -> None:
        """Run all chapters; every invariant is checked on the way."""
        for chapter in self.chapters:
            self.time.forward(self.between)
            chapter(self.simulator)
            self.checker.note_versions()
            self.begins.append(len(self.trace))
            self.work()
            self.ends.append(len(self.trace))

    def work(self) -> None:
        """One instance lists, then all work until nothing more falls due within the horizon."""
        self.instances[0].list_all(marked_too=self.marked_too)
        self.drain()

    def drain(self) -> None:
        """Perform effects of all instances; time jumps to whatever is due next."""
        until = self.time.now() + timedelta(hours=48)
        while self.time.now() <= until:
            worked = [instance.step() for instance in self.instances]
            if any(worked):
                self.breathe()
                continue
            due = self.next_instant()
            if due is None or due - self.time.now() > self.horizon:
                return
            self.time.forward_to(due)

    def next_instant(self) -> datetime | None:
        """In true time, when any instance has something to do that nobody has now."""
        instants = [instance.next_instant() for instance in self.instances]
        return min((instant for instant in instants if instant is not None), default=None)

    def settle_for_good(self, *, quarantined: Collection[int] = (), poisonous: Collection[int] = ()) -> None:
        """ACK-LIVENESS: after the end of all faults, everything is archived within a few days.

        Marked documents are listed too: one that was changed after it was marked shows nowhere else. Over `poisonous`
        documents the service still fails: they are visible, and hold up no other.
        """
        self.marked_too = True
        for _ in range(MOST_ROUNDS):
            self.time.forward(timedelta(hours=25))
            self.checker.note_versions()
            self.work()
            if not self._astray(quarantined, poisonous):
                break
        self.expect_all_home(quarantined=quarantined, poisonous=poisonous)

    def back_up(self) -> Callable[[], None]:
        """Copies the SQLite database; what is returned restores the copy, between two incarnations."""
        path, copy = self.folder / "archive.db", self.folder / "archive.copy"
        _copy(path, copy)

        def restore() -> None:
            for instance in self.instances:
                instance.shut()
            _copy(copy, path)
            self.checker.restored()

        return restore

    def expect_all_home(self, *, quarantined: Collection[int] = (), poisonous: Collection[int] = ()) -> None:
        """Every document of the service is archived byte for byte, once, and acknowledged.

        Those named may be in quarantine, with a reason.
        """
        astray = self._astray(quarantined, poisonous)
        assert not astray, "; ".join(astray)
        for account in self.simulator.accounts:
            home = self.checker.home(account.username)
            for doc_id, state, missing, _ in self._rows(account.username):
                if state == "acknowledged" and doc_id in self.simulator.ids(account.username):
                    truth = self.checker.truth(doc_id)
                    wanted = {file for file in truth if file[0] not in str(missing).split(",")}
                    lacking = wanted - home.get(doc_id, set())
                    assert not lacking, f"BYTE-IDENTITY: {doc_id} lacks {lacking}"
        assert self.checker.told.keys() <= self.checker.requested, "ACK-SUBSET"
        for instance in self.instances:
            instance.expect_tidy()
            secrets = [account.password for account in self.simulator.accounts]
            expect_no_secrets(instance.harness.observer.notes, secrets)

    def close(self) -> None:
        for instance in self.instances:
            instance.close()
        self.checker.close()

    def _rows(self, username: str) -> list[tuple[int, str, str, str]]:
        return [
            (row[0], row[1], row[2], row[3])
            for row in self.checker.reader.rows(
                "SELECT d.doc_id, d.state, d.missing_types, d.reason FROM document d "
                "JOIN account a ON a.id = d.account_id WHERE a.username = ?",
                (username,),
            )
        ]

    def _astray(self, quarantined: Collection[int], poisonous: Collection[int]) -> list[str]:
        """Violations at the end, by the names of the invariants."""
        wrong = []
        marked = self.simulator.marked()
        for account in self.simulator.accounts:
            rows = {row[0]: row for row in self._rows(account.username)}
            for doc_id in self.simulator.ids(account.username):
                if doc_id not in rows:
                    wrong.append(f"NO-LOSS: {doc_id} was never discovered")
                    continue
                _, state, _, reason = rows[doc_id]
                if doc_id in poisonous:
                    if state in ("discovered", "batched") or (state == "quarantined" and not reason):
                        wrong.append(f"NO-POISON: {doc_id} is {state}, and nobody is told why")
                    continue
                if state == "accepted" or (state == "quarantined" and doc_id in quarantined):
                    if not reason:
                        wrong.append(f"NO-LOSS: {doc_id} is {state} without a reason")
                elif state != "acknowledged":
                    wrong.append(f"ACK-LIVENESS: {doc_id} is {state} ({reason})")
                elif doc_id not in marked:
                    wrong.append(f"ACK-LIVENESS: the service was not told of {doc_id}")
        return wrong
