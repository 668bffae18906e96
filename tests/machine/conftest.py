"""Harnesses for the machine's tests, each with an invariant checker.

They use SQLite with blobs in the database; `--database postgresql` and `--blobs files` select the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from tests.support.archive_checks import InvariantChecker
from tests.support.harness import SMALL, Harness, build
from tests.support.postgres import Server

from easytracking_simulator import Options


class Make(Protocol):
    """Makes a harness; the parameters are those of `support.harness.build`."""

    def __call__(self, options: Options = ..., **given: Any) -> Harness: ...


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Which database the harnesses use."""
    return str(getattr(request, "param", None) or request.config.getoption("--database"))


@pytest.fixture
def make(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> Iterator[Make]:
    """As many harnesses as a test likes, each in a folder of its own."""
    made: list[Harness] = []
    server: Server | None = request.getfixturevalue("server") if kind == "postgresql" else None
    names: list[str] = []

    def make_one(options: Options = SMALL, **given: Any) -> Harness:
        folder = tmp_path / f"station-{len(made)}"
        folder.mkdir()
        url = f"sqlite:///{folder / 'archive.db'}"
        if server is not None:
            names.append(server.create(server.archive_template))
            url = given["url"] = server.url(names[-1])
        given.setdefault("blobs", request.config.getoption("--blobs"))
        outer: Callable[[httpx.BaseTransport], httpx.BaseTransport] = given.pop("wrap", lambda inner: inner)
        blobs = folder / "blobs" if given["blobs"] == "files" else None
        harness = build(folder, options, wrap=lambda inner: outer(InvariantChecker(url, inner, blobs)), **given)
        made.append(harness)
        return harness

    yield make_one
    for harness in made:
        harness.close()
        assert harness.simulator.lapses() == {}, "a call departs from the vendor's document"
    if server is not None:
        for name in names:
            server.drop(name)
