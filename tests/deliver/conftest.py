"""One sink of each kind, for the rules that all of them keep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from easytracking_sync.deliver.folder import FolderSink
from easytracking_sync.deliver.sink import PutSink
from easytracking_sync.effects import LocalFiles
from easytracking_sync.exclusive_rename import WAYS, Way, rename_exclusively


class OneWay(LocalFiles):
    """A file system that supports one way to rename without replacing."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def rename_new(self, source: Path, target: Path) -> bool:
        return rename_exclusively(source, target, (self.way,))


@contextmanager
def folder(root: Path, way: Way) -> Iterator[PutSink]:
    root.mkdir()
    yield FolderSink(root, OneWay(way), "one")


@pytest.fixture(params=[f"folder, {way.__name__}" for way in WAYS])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PutSink]:
    """A sink of each kind, empty."""
    ways = {f"folder, {way.__name__}": way for way in WAYS}
    with folder(tmp_path / "sink", ways[request.param]) as opened:
        yield opened
