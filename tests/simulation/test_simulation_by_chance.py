"""Seeds: a service in a storm of faults, and blows to the engine's effects, all by chance, until the sky clears.

`make simulate SEEDS=N` lives N of them over all cores, `make simulate SEED=N` that one alone. A seed that fails says
how to replay it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulation.story import Story

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_chance_brings_everything_is_home_once_the_sky_clears(folder: Path, seed: int) -> None:
    """NO-LOSS, BYTE-IDENTITY, SINGLE-COPY, ACK-LIVENESS at the end; all the others at every commit and call."""
    figures = Story(seed).live(folder / "world")
    assert figures.acknowledged > 0
    assert figures.effects > 50


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_tells_the_same_story_twice(folder: Path, seed: int) -> None:
    """DETERMINISM."""
    traces = []
    for number in range(2):
        story = Story(seed)
        (folder / str(number)).mkdir()
        story.live(folder / str(number) / "world")
        traces.append(story.world.trace)
    assert traces[0] == traces[1]
