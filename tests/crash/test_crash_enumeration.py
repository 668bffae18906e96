"""Whichever effect of a job is killed or fails, the next run stores every document.

The whole enumeration, over both databases and up to 101 documents, is `make crash`; here each kind is struck once.
"""

from __future__ import annotations

import functools

import pytest
from tests.crash.effect_kinds import cells_of
from tests.crash.enumeration import Site, Trial, pairs, singles, survive, undisturbed
from tests.simulation.fault_injection import Failure, Kind
from tests.support.harness import BlobStore

BLOBS: tuple[BlobStore, ...] = ("database", "files")
SHARE = 8
"""One of so many is tried here, another one for each blob store."""


@functools.cache
def trials(blobs: BlobStore, documents: int = 1) -> tuple[Trial, ...]:
    """One of every kind of effect, each with each of its failures, as for the larger jobs."""
    site, effects, begin = undisturbed(Site("sqlite", blobs, documents))
    found = singles(site, effects, begin, every=True, turn=0)
    once = {(trial.cell, trial.failures[0][1]): trial for trial in found}
    return tuple(once.values())


@pytest.mark.parametrize("blobs", BLOBS)
def test_row_12_and_16_after_any_failure_of_any_effect_the_document_is_archived(blobs: BlobStore) -> None:
    """CRASH-IDEMPOTENT, FAIL-STOP: killed before or after, without power, refused, answer lost, ENOSPC, EIO."""
    for trial in trials(blobs)[3 * BLOBS.index(blobs) :: SHARE]:
        assert survive(trial).trouble == ""


@pytest.mark.parametrize("blobs", BLOBS)
def test_row_22_killed_again_during_the_recovery_the_result_is_the_same(blobs: BlobStore) -> None:
    """CRASH-IDEMPOTENT: some effects after the first death the next incarnation dies too."""
    site, effects, begin = undisturbed(Site("sqlite", blobs, 1))
    for trial in list(pairs(site, effects, begin))[:: 2 * SHARE]:
        assert survive(trial).trouble == ""


@pytest.mark.parametrize("blobs", BLOBS)
def test_no_kind_of_effect_is_left_out(blobs: BlobStore) -> None:
    """The enumeration knows them all: calls, commits, looks, writes, syncs of files and folders, names."""
    _, effects, begin = undisturbed(Site("sqlite", blobs, 1))
    kinds = {(cell.kind, cell.what) for cell in cells_of(effects, begin)}
    assert {kind for kind, _ in kinds} == set(Kind)
    calls = {what for kind, what in kinds if kind is Kind.SEND}
    assert calls == {"log in", "list", "reserve", "fetch", "acknowledge"}
    assert {what for kind, what in kinds if kind is Kind.SYNC} == {"a file", "a folder"}
    struck = {trial.failures[0][1] for trial in trials(blobs)}
    assert struck == set(Failure)
