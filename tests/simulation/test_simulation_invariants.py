"""Every invariant fails if somebody tampers with the archive or with the service's documents.

Defects of the program that break invariants are in `tests/mutants/simulation_invariants.py`. Together they have made
every assertion of the simulation fail (`tests/mutants/test_mutants_apply.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.simulation.fault_injection import CrashError
from tests.simulation.instance import MOST_LIVES
from tests.simulation.world import World, files_for

from easytracking_simulator import Simulator
from easytracking_sync.errors import DatabaseUnavailable

BATCH = (
    "INSERT INTO batch (id, account_id, root_id, state, purpose, size, next_attempt_at, created_at, updated_at) "
    "SELECT ?, account_id, root_id, ?, purpose, ?, next_attempt_at, created_at, updated_at FROM batch WHERE id = 1"
)
CARRIED = "INSERT INTO batch_document (batch_id, document_id, version, carried) VALUES (?, 1, 1, 1)"
STORED = "UPDATE document SET state = 'stored' WHERE id = 1"
FILE = (
    "INSERT INTO file (id, document_id, ordinal, type, name, size, sha256, fetched_at, version) "
    "SELECT 99, document_id, 9, 'XX', name, size, ?, fetched_at, version FROM file WHERE id = 1"
)


def arrival(simulator: Simulator) -> None:
    """Two documents of one account and one of another."""
    for doc_id, account in ((101, "demo1"), (102, "demo1"), (103, "demo2")):
        simulator.add_document(account, files_for(doc_id), doc_id=doc_id)


def sql(*statements: str | tuple[object, ...]) -> Callable[[World], object]:
    """Change the archive's rows without the program's knowledge."""

    def change(world: World) -> None:
        for statement in statements:
            text, *parameters = (statement,) if isinstance(statement, str) else statement
            world.checker.reader.change(str(text), parameters)

    return change


def commit(world: World) -> None:
    world.checker.see_commit()


def telling(world: World) -> None:
    """The first document is about to be acknowledged."""
    world.checker.expect_durable(101, "demo1")


def end(world: World) -> None:
    world.expect_all_home(quarantined=(102,))


def end_with_poison(world: World) -> None:
    world.expect_all_home(poisonous=(102,))


def causes(world: World) -> None:
    """Nobody did anything, and no parcel was cut short."""
    world.checker.expect_causes(by_hand=False, cut_short=False)


def another_version(world: World) -> None:
    """Of which the service says that it is marked, so that nobody hears of it."""
    world.simulator.change_document(101, files_for(4), number="101/bis")
    world.simulator.set_phase(1, [101], on=True)


def trouble(world: World) -> None:
    """One that does not pass."""

    def meet() -> None:
        raise DatabaseUnavailable("away")

    world.instances[0].try_hard(meet)


def deaths(world: World) -> None:
    """One more than there may be."""

    def die() -> None:
        raise CrashError

    world.instances[0].lives = MOST_LIVES - 1
    world.instances[0].attempt(die)


Tampering = tuple[Callable[[World], object], Callable[[World], object]]
"""The tampering, and when the invariants are checked."""

TAMPERINGS: Mapping[str, Tampering] = {
    "NO-LOSS: a document is gone": (sql("DELETE FROM document WHERE id = 1"), commit),
    "NO-LOSS: a batch is gone": (sql("DELETE FROM batch WHERE id = 1"), commit),
    "NO-LOSS: a document is carried twice": (
        sql((BATCH, 98, "stored", 1), (BATCH, 99, "stored", 1), (CARRIED, 98), (CARRIED, 99), STORED),
        commit,
    ),
    "NO-LOSS: a document on its way is carried by no batch": (sql(STORED), commit),
    "NO-LOSS: 102 is quarantined without a reason": (
        sql("UPDATE document SET state = 'quarantined', reason = NULL WHERE doc_id = 102"),
        end,
    ),
    "NO-LOSS: 103 was never discovered": (sql("DELETE FROM document WHERE doc_id = 103"), end),
    "NO-LOSS: 101 is accepted, and by nobody": (
        sql("UPDATE document SET state = 'accepted', reason = 'so' WHERE doc_id = 101"),
        causes,
    ),
    "NO-LOSS: 101 is home without MT, which always came": (
        sql("UPDATE document SET missing_types = 'MT' WHERE doc_id = 101"),
        causes,
    ),
    "NO-POISON: 102 is batched, and nobody is told why": (
        sql("UPDATE document SET state = 'batched' WHERE doc_id = 102"),
        end_with_poison,
    ),
    "MONOTONE-STATE: a new batch is fetched": (sql((BATCH, 99, "fetched", 1)), commit),
    "MONOTONE-STATE: document 1 went from acknowledged to withdrawn": (
        sql("UPDATE document SET state = 'withdrawn' WHERE id = 1"),
        commit,
    ),
    "MONOTONE-STATE: acknowledged in a batch that is planned": (
        sql((BATCH, 99, "planned", 1), (CARRIED, 99)),
        commit,
    ),
    "MONOTONE-STATE: a batch's size is not what it carries": (
        sql((BATCH, 99, "stored", 2), (CARRIED, 99), STORED),
        commit,
    ),
    "NO-CROSS-ACCOUNT: 101 in demo2": (
        sql("UPDATE document SET account_id = 3 - account_id WHERE doc_id = 101", (FILE, "f" * 64)),
        commit,
    ),
    "BYTE-IDENTITY: 101 XX is not the service's": (sql((FILE, "f" * 64)), commit),
    "BYTE-IDENTITY: 101 .. cannot be read": (sql("DELETE FROM blob_chunk"), end),
    "BYTE-IDENTITY: 101 lacks {": (another_version, end),
    "NO-OVERWRITE: files .1. are gone or others": (sql("DELETE FROM file WHERE id = 1"), end),
    "FENCED: the epoch of batch .1. went back": (sql("UPDATE batch SET epoch = epoch - 1 WHERE id = 1"), commit),
    "FENCED: batch 1 moved twice in epoch .": (
        sql(
            "INSERT INTO event (id, at, name, batch_id, detail) SELECT (SELECT max(id) + 1 FROM event), at, name, "
            "batch_id, detail FROM event WHERE batch_id = 1 AND document_id IS NULL ORDER BY id DESC LIMIT 1"
        ),
        commit,
    ),
    "NO-SILENT-DEATH: the journal skips from .": (
        sql("INSERT INTO event (id, at, name) SELECT max(id) + 2, at, name FROM event"),
        commit,
    ),
    "MONOTONE-STATE: documents .1. changed without a row in the journal": (
        sql("UPDATE document SET state = 'discovered' WHERE id = 1"),
        commit,
    ),
    "NO-ACK-BEFORE-DURABLE: nothing of 101 is committed": (sql("DELETE FROM file WHERE document_id = 1"), telling),
    "NO-ACK-BEFORE-DURABLE: 101 is {'acknowledged'}": (sql(), telling),
    "NO-ACK-BEFORE-DURABLE: 101 without its original": (
        sql(STORED, "UPDATE document SET missing_types = 'FA' WHERE id = 1"),
        telling,
    ),
    "NO-ACK-BEFORE-DURABLE: 101 is not the service's": (sql(STORED, "DELETE FROM file WHERE id = 1"), telling),
    "ACK-LIVENESS: 101 is discovered": (sql("UPDATE document SET state = 'discovered' WHERE id = 1"), end),
    "ACK-LIVENESS: the service was not told of 101": (
        lambda world: world.simulator.set_phase(1, [101], on=False),
        end,
    ),
    "ACK-LIVENESS: the same trouble without end": (lambda _: None, trouble),
    "ACK-LIVENESS: it never comes to an end": (lambda _: None, deaths),
    "ACK-SUBSET": (lambda world: world.checker.told.update([999]), end),
}


@pytest.mark.parametrize("says", TAMPERINGS)
def test_every_tampering_breaks_its_invariant(tmp_path: Path, says: str) -> None:
    tamper, look = TAMPERINGS[says]
    world = World(tmp_path / "world", [arrival])
    try:
        world.run()
        end(world)
        tamper(world)
        with pytest.raises(AssertionError, match=says.replace("{", r"\{")):
            look(world)
    finally:
        world.close()
