"""Stations for the machine's tests, each watched by a notary and closed at the end.

Pytest's own script does not put the repository's root on the path, where `tests.support` is found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest

from easytracking_simulator import Options

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

if TYPE_CHECKING:
    from tests.support.station import Station


class Make(Protocol):
    """Makes a station; the parameters are those of `support.station.build`."""

    def __call__(self, options: Options = ..., **given: Any) -> Station: ...


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """As many stations as a test likes, each in a folder of its own."""
    from tests.support.station import SMALL, build  # noqa: PLC0415  the path is set above
    from tests.support.truth import Notary  # noqa: PLC0415

    made: list[Station] = []

    def make_one(options: Options = SMALL, **given: Any) -> Station:
        folder = tmp_path / f"station-{len(made)}"
        folder.mkdir()
        outer: Callable[[httpx.BaseTransport], httpx.BaseTransport] = given.pop("wrap", lambda inner: inner)
        station = build(folder, options, wrap=lambda inner: outer(Notary(folder, inner)), **given)
        made.append(station)
        return station

    yield make_one
    for station in made:
        station.close()
        assert station.simulator.lapses() == {}, "a call departs from the vendor's document"
