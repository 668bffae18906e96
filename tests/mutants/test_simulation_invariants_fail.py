"""Small scenarios without chance, checked by the simulation's invariants: the mutants of `simulation_invariants` must
break them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.simulation.fault_injection import Effect, Failure, Kind
from tests.simulation.world import Chapter, World, files_for

from easytracking_simulator import Faults, Simulator

BAD_ID = 104
ENDING = (Failure.KILLED, Failure.BROKEN)


def arrival(simulator: Simulator) -> None:
    """Three documents of one account and two of another."""
    for doc_id in (101, 102, 103):
        simulator.add_document("demo1", files_for(doc_id), doc_id=doc_id)
    for doc_id in (201, 202):
        simulator.add_document("demo2", files_for(doc_id), doc_id=doc_id)


def arrival_of_a_bad_one(simulator: Simulator) -> None:
    """One of four documents may not be reserved, and takes the others with it."""
    arrival(simulator)
    simulator.add_document("demo1", files_for(BAD_ID), doc_id=BAD_ID)
    simulator.faults = Faults(refused=frozenset({BAD_ID}))


def second_thoughts(simulator: Simulator) -> None:
    """At the portal somebody unmarks one document, and replaces another."""
    simulator.set_phase(1, [101, 201], on=False)
    simulator.change_document(201, files_for(4), number="201/bis")


@dataclass(frozen=True)
class Tale:
    """What happens at the service, and who is allowed not to come home."""

    chapters: tuple[Chapter, ...]
    quarantined: tuple[int, ...] = ()
    failures: Mapping[tuple[Kind, int], Failure] = field(
        default_factory=dict
    )  # to the effect of that kind and number
    rots: bool = False
    jobs_in_flight: int = 2


SCENARIOS: Mapping[str, Tale] = {
    "ordinary": Tale((arrival,)),
    "listed again": Tale((arrival, second_thoughts)),
    "one is refused": Tale((arrival_of_a_bad_one,), quarantined=(BAD_ID,), jobs_in_flight=1),
    "bytes rot": Tale((arrival,), rots=True),
    "killed with a parcel": Tale((arrival,), failures={(Kind.SYNC, 2): Failure.KILLED}),
    "fsync fails": Tale((arrival,), failures={(Kind.SYNC, 1): Failure.BROKEN}),
    "service out of reach": Tale(
        (arrival,), failures={(Kind.SEND, 7): Failure.REFUSED, (Kind.SEND, 9): Failure.REFUSED}
    ),
}


def lived(folder: Path, tale: Tale) -> World:
    """A world that has lived through a tale and settled."""
    seen = dict.fromkeys(Kind, 0)

    def deal(number: int, effect: Effect) -> Failure | None:
        seen[effect.kind] += 1
        return tale.failures.get((effect.kind, seen[effect.kind]))

    world = World(folder, tale.chapters, deal=deal, jobs_in_flight=tale.jobs_in_flight)

    def spoil() -> None:
        if tale.rots and not world.checker.rotten:
            world.checker.rot()

    world.breathe = spoil
    try:
        world.run()
        world.settle_for_good(quarantined=tale.quarantined)
    finally:
        world.close()
    return world


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_invariants_hold_in_a_small_scenario(tmp_path: Path, scenario: str) -> None:
    tale = SCENARIOS[scenario]
    world = lived(tmp_path / "world", tale)
    assert set(world.checker.told) == set(world.simulator.ids()) - set(tale.quarantined)
    assert bool(world.checker.rotten) == tale.rots
    assert world.lives == sum(failure in ENDING for failure in tale.failures.values())


def test_a_small_scenario_gives_the_same_trace_twice(tmp_path: Path) -> None:
    """DETERMINISM."""
    traces = [lived(tmp_path / name, SCENARIOS["service out of reach"]).trace for name in ("once", "again")]
    assert traces[0] == traces[1], "DETERMINISM: the second trace differs"
