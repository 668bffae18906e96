"""What one seed holds: a service with faults, failures of every effect, clock jumps, changes at the portal and by the
operator, hosts that freeze; then all faults end, and every document must be archived and acknowledged."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.simulation.disk import Cut
from tests.simulation.fault_injection import Effect, Failure, Kind, applicable
from tests.simulation.instance import Instance
from tests.simulation.world import QUIET, World, files_for

from easytracking_simulator import Faults, random_faults, status
from easytracking_sync.archive.document_entries import DocumentEntry, DocumentFilter
from easytracking_sync.errors import SyncError
from easytracking_sync.machine.corrections import Corrections
from easytracking_sync.machine.policy import Policy

STORM_LASTS = 1200
"""Inject no failure after this many effects, so that a scenario ends."""

JUMPS = (
    *(timedelta(seconds=1), timedelta(seconds=20), timedelta(minutes=1), timedelta(hours=1)),
    *(timedelta(days=1), timedelta(days=30), timedelta(days=365)),
)
FAR_JUMPS = (timedelta(days=3653), timedelta(days=18263))
LEASE_SECONDS = 30
POISONED = 0.3
"""The share of the seeds in which one document is poisonous."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one run."""

    seed: int
    lives: int
    effects: int
    documents: int
    acknowledged: int
    failures: Counter[tuple[Kind, Failure]]
    faults: Counter[str]  # of the service
    events: Counter[str]  # jumps, freezes, what people did
    trace: str  # a hash of every effect in its order


@dataclass
class Scenario:
    """The choices of one seed; everything follows from the seed."""

    seed: int
    events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._dice = dice = Random(f"simulation/{self.seed}")
        self._chance = dice.choice((0.0, 0.006, 0.02))
        self._gale = dice.choice((0.0, 0.1, 0.3))
        self._rot = dice.choice((0.0, 0.05))
        self._unrest = dice.choice((0.0, 0.02, 0.1))  # people, per effect
        self._jumpiness = dice.choice((0.0, 0.0, 0.05, 0.2))
        self._freezing = dice.choice((0.0, 0.02, 0.1))
        self._jumps = (*JUMPS, *FAR_JUMPS) if dice.random() < 0.15 else JUMPS
        self._calm = False
        self._nested = False
        self._next_id = 101
        self.instance_count = 2 if dice.random() < 0.3 else 1
        self.blobs = "files" if self.instance_count == 1 and dice.random() < 0.35 else "database"
        self.cut = dice.choice(tuple(Cut))
        self.accounts = dice.choice((1, 2))
        self.world: World

    def live(self, folder: Path) -> Figures:
        """Run the scenario; every invariant is checked on the way."""
        self.world = World(
            folder,
            options=replace(QUIET, seed=self.seed, accounts=self.accounts),
            deal=self._deal,
            seed=self.seed,
            horizon=timedelta(hours=2),
            policy=Policy(),
            instance_count=self.instance_count,
            blobs="files" if self.blobs == "files" else "database",
            cut=self.cut,
            meanwhile=self._meanwhile,
            breathe=self._breathe,
        )
        try:
            self._storm()
            self._clear_up()
            self._poison()
            self.world.settle_for_good()
            self.world.checker.expect_causes(by_hand=self.events["operator: accept"] > 0, cut_short=self._gale > 0)
            return self._figures()
        except BaseException as error:
            self._explain(error)
            raise
        finally:
            self.world.close()

    def _storm(self) -> None:
        dice, world = self._dice, self.world
        world.simulator.faults = random_faults(self._gale)
        for _ in range(dice.randint(2, 6)):
            self._arrive()
        for _ in range(dice.choice((1, 2, 2, 3))):
            world.time.forward(timedelta(minutes=dice.choice((1, 15, 240, 1500))))
            instance = dice.choice(world.instances)
            if dice.random() < 0.3:
                instance.list_all(marked_too=True)
            else:
                instance.run_cycles()
            world.drain()
            for _ in range(dice.randint(0, 3)):
                self._at_the_portal()

    def _clear_up(self) -> None:
        """End all faults; correct the clocks, and undo the operator's changes."""
        self._calm = True
        self.world.simulator.clear_faults()
        for instance in self.world.instances:
            instance.clock.off = timedelta()
        self._release(self.world.instances[0])

    def _poison(self) -> None:
        """Nothing fails but all calls about one document: all the others come home (NO-POISON)."""
        if self._dice.random() >= POISONED:
            return
        bad, call = self._some_id(), self._dice.choice(("reserve", "fetch", "acknowledge"))
        code = self._dice.choice((500, 502, 504))
        self.events[f"service: poison {call}"] += 1
        self.world.simulator.faults = Faults(poison={call: {bad: status(code)}})
        self.world.settle_for_good(poisonous={bad})
        self.world.simulator.clear_faults()

    # Failures of effects

    def _deal(self, number: int, effect: Effect) -> Failure | None:
        if self._calm or number > STORM_LASTS:
            return None
        if effect.what == "room in spool" and self._dice.random() < self._rot:  # no transaction is open then
            self.world.checker.rot()
        if self._dice.random() >= self._chance:
            return None
        return self._dice.choice(applicable(effect))

    def _meanwhile(self, instance: Instance, call: str) -> None:
        """During a call, or before a database read: other instances and people act."""
        if self._calm or self._nested:
            return
        chance = self._dice.random()
        if len(self.world.instances) > 1 and chance < self._freezing:
            self._freeze(instance)
        elif call != "read" and chance > 1 - self._unrest / 2:
            self._at_the_portal()

    def _freeze(self, frozen: Instance) -> None:
        """Freeze one host past its lease, or let it be slow; the other continues."""
        self._nested = True
        try:
            renews = self._dice.random() < 0.3
            self.events["slow host" if renews else "frozen host"] += 1
            (other,) = (instance for instance in self.world.instances if instance is not frozen)
            for _ in range(self._dice.randint(1, 8)):
                self.world.time.forward(timedelta(seconds=self._dice.choice((1, 9, LEASE_SECONDS + 1))))
                if renews:
                    frozen.harness.engine.renew()
                other.step()
        finally:
            self._nested = False

    def _breathe(self) -> None:
        """Between effects: a clock may jump, somebody may change something."""
        if self._calm:
            return
        if self._dice.random() < self._jumpiness:
            self._jump(self._dice.choice(self.world.instances))
        if self._dice.random() < self._unrest:
            self._dice.choice((self._at_the_portal, self._at_the_keyboard))()

    def _jump(self, instance: Instance) -> None:
        how_far = self._dice.choice(self._jumps) * self._dice.choice((1, -1))
        if self._dice.random() < 0.4:
            instance.clock.off = timedelta()
            self.events["clock set right"] += 1
        else:
            instance.clock.off = how_far
            self.events["clock jumped"] += 1

    # Actions of people

    def _at_the_portal(self) -> None:
        simulator = self.world.simulator
        what = self._dice.choice(
            (self._arrive, self._arrive, self._change, self._withdraw, self._unmark, self._unmark, self._trouble)
        )
        if simulator.ids():
            what()
            self.world.checker.note_versions()

    def _arrive(self) -> None:
        dice, simulator = self._dice, self.world.simulator
        self.events["document arrived"] += 1
        doc_id, self._next_id = self._next_id, self._next_id + 1
        received = self.world.time.now() - timedelta(seconds=dice.choice((0, 3600, 86400)))
        files = files_for(dice.randrange(6), signed=True) if dice.random() < 0.1 else self._files(doc_id)
        simulator.add_document(dice.choice(simulator.accounts).username, files, doc_id=doc_id, received_at=received)
        self.world.checker.note_versions()

    def _files(self, doc_id: int) -> dict[str, tuple[str, bytes]]:
        """Small ones of all sorts: nothing of them is understood, all of them are kept (RAW-FIRST)."""
        body = f"<{doc_id} {self._dice.getrandbits(64)}>".encode() + self._dice.choice((b"", b"\0\xff", b"x" * 3000))
        return {
            "FA": (f"{doc_id}.xml.p7m", body),
            "MT": (f"{doc_id}_MT_001.xml", body[::-1]),
            "FU": (f"{doc_id}_unsigned.xml", body.upper()),
        }

    def _change(self) -> None:
        self.events["document changed"] += 1
        doc_id = self._some_id()
        self.world.simulator.change_document(doc_id, self._files(doc_id), number=f"bis {self._dice.getrandbits(32)}")

    def _withdraw(self) -> None:
        if len(self.world.simulator.ids()) > 1:
            self.events["document withdrawn"] += 1
            self.world.simulator.withdraw(self._some_id())

    def _unmark(self) -> None:
        self.events["phase cleared at the service"] += 1
        self.world.simulator.set_phase(1, [self._some_id()], on=False)

    def _trouble(self) -> None:
        """A fault of the service that lasts until the faults end."""
        simulator, dice = self.world.simulator, self._dice
        some = frozenset({self._some_id()})
        kind = dice.choice(("refused", "unmarkable", "still_listed", "tokens", "login", "list_cap"))
        self.events[f"service: {kind}"] += 1
        faults: Faults = simulator.faults
        match kind:
            case "refused":
                simulator.faults = replace(faults, refused=faults.refused | some)
            case "unmarkable":
                simulator.faults = replace(faults, unmarkable=faults.unmarkable | some)
            case "still_listed":
                simulator.faults = replace(faults, still_listed=faults.still_listed | some)
            case "list_cap":
                simulator.faults = replace(faults, list_cap=2)
            case "tokens":
                simulator.revoke_tokens()
            case _:
                simulator.faults = replace(faults, always={"token": status(401)})
                simulator.revoke_tokens()

    def _at_the_keyboard(self) -> None:
        """The operator's commands, in a process beside the service."""
        instance = self._dice.choice(self.world.instances)
        what: Callable[[Instance], object] = self._dice.choice(
            (self._retry, self._accept, self._rename, self._hold, self._release)
        )
        self.events[f"operator: {what.__name__.strip('_')}"] += 1
        instance.attempt(lambda: self._tolerant(what, instance))

    def _tolerant(self, what: Callable[[Instance], object], instance: Instance) -> None:
        try:
            what(instance)
        except SyncError:  # the operator sees the error and continues
            self.events["operator refused"] += 1

    def _entries(self, instance: Instance) -> list[DocumentEntry]:
        return list(instance.harness.archive.document_search.documents(DocumentFilter()))

    def _retry(self, instance: Instance) -> None:
        Corrections(instance.harness.archive).retry(self._entries(instance), instance.clock.now())

    def _accept(self, instance: Instance) -> None:
        for entry in self._entries(instance):
            if entry.state == "quarantined" or (entry.state == "stored" and self._dice.random() < 0.2):
                Corrections(instance.harness.archive).accept(entry, "simulated", instance.clock.now())

    def _rename(self, instance: Instance) -> None:
        label = instance.harness.archive.accounts.entries()[0].label
        instance.harness.archive.accounts.rename(label, f"{label}-renamed"[:40], instance.clock.now())

    def _hold(self, instance: Instance) -> None:
        """`phase clear`: at the service, and here."""
        for entry in self._entries(instance)[:1]:
            Corrections(instance.harness.archive).hold([entry], instance.clock.now(), held=True)
            self.world.simulator.set_phase(1, [entry.doc_id], on=False)

    def _release(self, instance: Instance) -> None:
        instance.try_hard(
            lambda: Corrections(instance.harness.archive).hold(
                self._entries(instance), instance.clock.now(), held=False
            )
        )

    def _some_id(self) -> int:
        return self._dice.choice(self.world.simulator.ids())

    def _figures(self) -> Figures:
        world = self.world
        faults = Counter(str(called.fault.kind) for called in world.simulator.journal() if called.fault is not None)
        return Figures(
            seed=self.seed,
            lives=world.lives,
            effects=len(world.trace),
            documents=len(world.simulator.ids()),
            acknowledged=sum(world.checker.told.values()),
            failures=world.dealt,
            faults=faults,
            events=self.events,
            trace=hashlib.sha256(repr(world.trace).encode()).hexdigest()[:16],
        )

    def _explain(self, error: BaseException) -> None:
        last = "\n".join(f"  {effect.where} {effect.kind} {effect.what[:150]}" for effect in self.world.trace[-20:])
        plan = f"{self.instance_count} instances, blobs in {self.blobs}, {dict(self.events)}"
        error.add_note(f"replay it: make simulate SEED={self.seed}\n{plan}\n{last}")
