"""Progress on stderr: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from easytracking_sync.effects import Clock

LINE_EVERY_SECONDS = 5.0

Steps = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and the total (0 if unknown)."""


@dataclass(frozen=True, slots=True)
class CatchUpProgress:
    """See app.Progress: how far a catch-up is, drawn as documents of documents."""

    draw: Callable[[str, str, int, int], None]

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None:
        """See app.Progress."""
        line = f"{doing}: {listed} listed, {archived} archived, {waiting} waiting"
        self.draw(doing, line, archived, archived + waiting)


@contextmanager
def progress_of_documents(clock: Clock) -> Iterator[CatchUpProgress]:
    """Progress of a catch-up; removed when the block ends."""
    with _drawn(clock, MofNCompleteColumn(), TextColumn("documents")) as draw:
        yield CatchUpProgress(draw)


@contextmanager
def progress_of_steps(clock: Clock) -> Iterator[Steps]:
    """Progress of any other long work; removed when the block ends."""
    with _drawn(clock, TaskProgressColumn()) as draw:

        def show(doing: str, done: int, whole: int) -> None:
            draw(doing, f"{doing} ({done * 100 // whole}%)" if whole else doing, done, whole)

        yield show


@contextmanager
def _drawn(clock: Clock, *columns: ProgressColumn) -> Iterator[Callable[[str, str, int, int], None]]:
    """Updates the bar on a terminal; elsewhere prints lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(clock)
        return
    shown = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), *columns)
    with Progress(*shown, TimeElapsedColumn(), console=console, transient=True) as drawn:
        task = drawn.add_task("starting", total=None)
        yield lambda doing, _, done, whole: drawn.update(task, description=doing, completed=done, total=whole or None)


def _lines(clock: Clock) -> Callable[[str, str, int, int], None]:
    """Prints a line when something changed, at most every few seconds."""
    said_at, said = clock.monotonic(), ""

    def show(doing: str, line: str, done: int, whole: int) -> None:
        nonlocal said_at, said
        del doing, done, whole
        now = clock.monotonic()
        if line != said and now - said_at >= LINE_EVERY_SECONDS:
            said_at, said = now, line
            click.echo(line, err=True)

    return show
