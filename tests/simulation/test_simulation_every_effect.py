"""Every effect of a small job is numbered; the engine dies at each, or each fails. Nothing is lost or told early.

`World` watches the invariants after every commit and before every call; what is asserted here is how it ends.
Dying after an effect is dying before the next one, so each death is dealt once.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.simulation.fate import APPLICABLE, Blow, Effect, Kind, applicable
from tests.simulation.world import Chapter, World, files_for

from easytracking_simulator import Faults, Simulator

THOROUGH = int(os.environ.get("SEEDS", "0")) >= 100
STRIDE = 1_000_000 if THOROUGH else 5
"""Failures that do not kill are dealt to every fifth effect of one run; with SEEDS=100 or more, to one a run."""
SOME = 1 if THOROUGH else 4
"""Where the variants are many and alike, every fourth is tried."""

REFUSED_ID = 101


def arrival(simulator: Simulator) -> None:
    """Two documents of one account, one of them signed."""
    simulator.add_document("demo1", files_for(0), doc_id=101)
    simulator.add_document("demo1", files_for(1, signed=True), doc_id=102)


def arrival_of_others(simulator: Simulator) -> None:
    """One document of another account."""
    simulator.add_document("demo2", files_for(2), doc_id=103)


def arrival_of_a_bad_one(simulator: Simulator) -> None:
    """One of four documents may not be reserved, and takes the others with it."""
    for doc_id in range(REFUSED_ID, REFUSED_ID + 4):
        simulator.add_document("demo1", files_for(doc_id), doc_id=doc_id)
    simulator.faults = Faults(refused=frozenset({REFUSED_ID}))


def second_thoughts(simulator: Simulator) -> None:
    """At the portal somebody unmarks one document, and replaces another."""
    simulator.set_phase(1, [101, 103], on=False)
    simulator.change_document(103, files_for(3), number="103/bis")


SCENES: Mapping[str, list[Chapter]] = {
    "ordinary": [arrival],
    "one is refused": [arrival_of_a_bad_one],
    "listed again": [arrival, arrival_of_others, second_thoughts],
}
ALLOWED = {"one is refused": (REFUSED_ID,)}


def dealt(blows: Mapping[int, Blow], number: int, effect: Effect) -> Blow | None:
    """After the first blow the numbers mean other effects: some of them cannot be struck so."""
    blow = blows.get(number)
    return blow if blow is Blow.KILLED or blow in applicable(effect) else None


@contextmanager
def lived(folder: Path, scene: str, blows: Mapping[int, Blow]) -> Iterator[World]:
    """A world that has lived through a scene with these blows."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        world = World(Path(name) / "world", SCENES[scene], deal=partial(dealt, blows))
        try:
            world.run()
            world.expect_all_home(quarantined=ALLOWED.get(scene, ()))
            yield world
        except BaseException as error:
            befell = [f"{blow} at {number}, {world.trace[number : number + 1]}" for number, blow in blows.items()]
            error.add_note(f"{scene}: {'; '.join(befell)}")
            raise
        finally:
            world.close()


@functools.cache
def undisturbed(scene: str) -> tuple[tuple[Effect, ...], int]:
    """The effects of a scene in which nothing goes wrong, and the first of its last chapter."""
    with tempfile.TemporaryDirectory() as folder, lived(Path(folder), scene, {}) as world:
        assert world.lives == 0
        return tuple(world.trace), world.begins[-1]


def survive(folder: Path, scene: str, blows: Mapping[int, Blow], *, deaths: int) -> None:
    """Live through a scene with these blows, that many of them deadly; everything must come home."""
    with lived(folder, scene, blows) as world:
        assert world.lives == deaths


def numbers(scene: str, wanted: Callable[[Effect], bool]) -> list[int]:
    """The effects of a scene's last chapter that are meant."""
    effects, begin = undisturbed(scene)
    return [number for number in range(begin, len(effects)) if wanted(effects[number])]


@pytest.mark.parametrize("share", range(4))
def test_killed_at_any_effect_the_next_engine_brings_everything_home(folder: Path, share: int) -> None:
    """CRASH-IDEMPOTENT: kill -9 at every call, commit, write, sync and change of a folder."""
    deaths = numbers("ordinary", lambda effect: Blow.KILLED in APPLICABLE[effect.kind])
    assert len(deaths) > 20
    for number in deaths[share::4]:
        survive(folder, "ordinary", {number: Blow.KILLED}, deaths=1)


def test_killed_while_a_bad_document_is_being_singled_out_the_good_ones_still_come_home(folder: Path) -> None:
    """NO-POISON across a crash: halves and suspects are neither lost nor doubled."""
    deaths = numbers("one is refused", lambda effect: effect.kind is Kind.COMMIT)
    assert len(deaths) > 10
    for number in deaths[::SOME]:
        survive(folder, "one is refused", {number: Blow.KILLED}, deaths=1)


def test_killed_while_documents_are_listed_again_both_versions_stay(folder: Path) -> None:
    """NO-OVERWRITE across a crash: what changed is a version more, what did not is acknowledged and never fetched."""
    deaths = numbers("listed again", lambda effect: effect.kind is Kind.COMMIT)
    assert len(deaths) > 10
    for number in deaths[::SOME]:
        with lived(folder, "listed again", {number: Blow.KILLED}) as world:
            assert world.lives == 1
            kinds = sorted(kind for kind, _, _ in world.notary.home("demo2")[103])
            assert kinds == ["FA", "FA", "FU", "FU", "MT", "MT"]
            calls = [effect.what for effect in world.trace[world.begins[-1] :] if "/jobs {" in effect.what]
            assert calls
            assert not any("101" in call for call in calls)


def test_a_power_cut_takes_what_was_not_synced_and_nothing_else(folder: Path) -> None:
    """A torn part, a rename that never was, a removed parcel that is back: all are harmless."""
    cuts = numbers("ordinary", lambda effect: effect.unsynced and effect.kind is not Kind.LOOK)
    assert len(cuts) > 4
    for number in cuts:
        survive(folder, "ordinary", {number: Blow.POWER_CUT}, deaths=1)


@pytest.mark.parametrize("blow", [Blow.REFUSED, Blow.ANSWER_LOST])
def test_what_fails_is_tried_again_and_what_is_unknown_is_found_out(folder: Path, blow: Blow) -> None:
    """Disk full, database locked, service away; or done, and the answer lost: the same process gets over it."""
    meant = numbers("ordinary", lambda effect: blow in APPLICABLE[effect.kind])
    assert len(meant) > 15
    effects, _ = undisturbed("ordinary")
    first_call = next(number for number, effect in enumerate(effects) if effect.kind is Kind.SEND)
    for number in meant:
        if number < first_call:  # a start that fails is tried again by whoever started it
            survive(folder, "ordinary", {number: blow}, deaths=1)
    for offset in range(min(STRIDE, len(meant))):
        struck = [number for number in meant[offset::STRIDE] if number >= first_call]
        survive(folder, "ordinary", dict.fromkeys(struck, blow), deaths=0)


def test_a_failed_fsync_stops_the_engine_and_the_next_one_finishes(folder: Path) -> None:
    """FAIL-STOP."""
    for number in numbers("ordinary", lambda effect: effect.kind is Kind.SYNC):
        survive(folder, "ordinary", {number: Blow.SYNC_FAILED}, deaths=1)


def test_killed_again_during_the_recovery_it_is_as_if_once(folder: Path) -> None:
    """The second death comes soon after one that left a parcel nobody noted: while the next engine starts."""
    effects, _ = undisturbed("ordinary")
    spooled = max(number for number, effect in enumerate(effects) if effect.what.startswith("the folder"))
    for later in range(1, 14, SOME):
        survive(folder, "ordinary", {spooled + 1: Blow.KILLED, spooled + 1 + later: Blow.KILLED}, deaths=2)


def test_the_same_seed_gives_the_same_trace(folder: Path) -> None:
    """DETERMINISM, with a death in the middle: calls, commits and files, the same contents in the same order."""
    traces = []
    for _ in range(2):
        with lived(folder, "one is refused", {30: Blow.KILLED}) as world:
            traces.append(world.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 60
