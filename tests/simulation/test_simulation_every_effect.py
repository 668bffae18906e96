"""Deaths in special situations: while a bad document is isolated, while documents are listed again, at a power cut.

The plain job, with every failure at every effect, is in `tests/crash`. `World` checks the invariants after every
commit and before every call; the tests here assert the end state.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.simulation.disk import Cut
from tests.simulation.fault_injection import Effect, Failure, Kind, applicable
from tests.simulation.world import Chapter, World, files_for
from tests.support.harness import BlobStore

from easytracking_simulator import Faults, Simulator

SOME = 4
"""Of many similar variants, try every fourth."""

BLOBS: tuple[BlobStore, ...] = ("database", "files")
SHARES = {cut: share for share, cut in enumerate(Cut)}

REFUSED_ID = 101


def arrival(simulator: Simulator) -> None:
    """Two documents of one account, one of them signed."""
    simulator.add_document("demo1", files_for(0), doc_id=101)
    simulator.add_document("demo1", files_for(1, signed=True), doc_id=102)


def arrival_of_others(simulator: Simulator) -> None:
    """One document of another account."""
    simulator.add_document("demo2", files_for(2), doc_id=103)


def arrival_of_a_bad_one(simulator: Simulator) -> None:
    """One of four documents cannot be reserved, so their common batch is refused."""
    for doc_id in range(REFUSED_ID, REFUSED_ID + 4):
        simulator.add_document("demo1", files_for(doc_id), doc_id=doc_id)
    simulator.faults = Faults(refused=frozenset({REFUSED_ID}))


def second_thoughts(simulator: Simulator) -> None:
    """One document is unmarked at the portal, another replaced."""
    simulator.set_phase(1, [101, 103], on=False)
    simulator.change_document(103, files_for(3), number="103/bis")


SCENES: Mapping[str, list[Chapter]] = {
    "ordinary": [arrival],
    "one is refused": [arrival_of_a_bad_one],
    "listed again": [arrival, arrival_of_others, second_thoughts],
}
ALLOWED = {"one is refused": (REFUSED_ID,)}


def dealt(failures: Mapping[int, Failure], number: int, effect: Effect) -> Failure | None:
    """After the first failure the numbers mean other effects, to which the failure may not apply."""
    failure = failures.get(number)
    return failure if failure is Failure.KILLED or failure in applicable(effect) else None


@contextmanager
def lived(
    folder: Path, scene: str, failures: Mapping[int, Failure], cut: Cut = Cut.ALL, blobs: BlobStore = "database"
) -> Iterator[World]:
    """A world after a scene with these failures."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        world = World(Path(name) / "world", SCENES[scene], deal=partial(dealt, failures), cut=cut, blobs=blobs)
        try:
            world.run()
            world.expect_all_home(quarantined=ALLOWED.get(scene, ()))
            yield world
        except BaseException as error:
            befell = [
                f"{failure} at {number}, {world.trace[number : number + 1]}" for number, failure in failures.items()
            ]
            error.add_note(f"{scene}: {'; '.join(befell)}")
            raise
        finally:
            world.close()


@functools.cache
def undisturbed(scene: str, blobs: BlobStore = "database") -> tuple[tuple[Effect, ...], int]:
    """The effects of a scene without failures, and the first of its last chapter."""
    with tempfile.TemporaryDirectory() as folder, lived(Path(folder), scene, {}, blobs=blobs) as world:
        assert world.lives == 0
        return tuple(world.trace[: world.ends[-1]]), world.begins[-1]


def survive(
    folder: Path,
    scene: str,
    failures: Mapping[int, Failure],
    *,
    deaths: int,
    cut: Cut = Cut.ALL,
    blobs: BlobStore = "database",
) -> None:
    """Run a scene with these failures, this many of them deadly; everything must be archived."""
    with lived(folder, scene, failures, cut, blobs) as world:
        assert world.lives == deaths


def numbers(scene: str, wanted: Callable[[Effect], bool]) -> list[int]:
    """The effects of a scene's last chapter that are meant."""
    effects, begin = undisturbed(scene)
    return [number for number in range(begin, len(effects)) if wanted(effects[number])]


def test_killed_while_a_bad_document_is_isolated_the_others_are_archived(folder: Path) -> None:
    """NO-POISON across a crash: halves and suspects are neither lost nor doubled."""
    deaths = numbers("one is refused", lambda effect: effect.kind is Kind.COMMIT)
    assert len(deaths) > 10
    for number in deaths[::SOME]:
        survive(folder, "one is refused", {number: Failure.KILLED}, deaths=1)


def test_killed_while_documents_are_listed_again_both_versions_stay(folder: Path) -> None:
    """NO-OVERWRITE across a crash: a changed document gets another version, an unchanged one is only acknowledged."""
    deaths = numbers("listed again", lambda effect: effect.kind is Kind.COMMIT)
    assert len(deaths) > 10
    for number in deaths[::SOME]:
        with lived(folder, "listed again", {number: Failure.KILLED}) as world:
            assert world.lives == 1
            kinds = sorted(kind for kind, _, _ in world.checker.home("demo2")[103])
            assert kinds == ["FA", "FA", "FU", "FU", "MT", "MT"]
            calls = [effect.what for effect in world.trace[world.begins[-1] :] if "/jobs {" in effect.what]
            assert calls
            assert not any("101" in call for call in calls)


@pytest.mark.parametrize("cut", Cut)
def test_row_13_a_power_cut_takes_what_was_not_synced_and_nothing_else(folder: Path, cut: Cut) -> None:
    """A torn part, a lost rename, a removed parcel that reappears: all are harmless, in both stores."""
    for blobs in BLOBS:
        effects, begin = undisturbed("ordinary", blobs)
        cuts = [number for number in range(begin, len(effects)) if effects[number].unsynced]
        assert len(cuts) > 15
        for number in cuts[SHARES[cut] :: SOME * len(SHARES)]:
            survive(folder, "ordinary", {number: Failure.POWER_CUT}, deaths=1, cut=cut, blobs=blobs)


def test_the_same_seed_gives_the_same_trace(folder: Path) -> None:
    """DETERMINISM, with a death in the middle: calls, commits and files, the same contents in the same order."""
    traces = []
    for _ in range(2):
        with lived(folder, "one is refused", {30: Failure.KILLED}) as world:
            traces.append(world.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 60
