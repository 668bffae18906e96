"""How far a one-shot is: a bar on a terminal, a line now and then elsewhere; both on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from easytracking_sync.app import Progress
from easytracking_sync.effects import Clock

LINE_EVERY_SECONDS = 5.0


class Bar:
    """A bar for a terminal; log lines appear above it."""

    def __init__(self, drawn: RichProgress) -> None:
        self._drawn = drawn
        self._task = drawn.add_task("connecting", total=None)

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None:
        """See app.Progress."""
        del listed
        total = archived + waiting
        self._drawn.update(self._task, description=doing, completed=archived, total=total or None)


class Lines:
    """A line when something changed, not more often than every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_at = clock.monotonic()
        self._said: tuple[object, ...] = ()

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None:
        """See app.Progress."""
        now = self._clock.monotonic()
        told = (listed, archived, waiting, doing)
        if told == self._said or now - self._said_at < LINE_EVERY_SECONDS:
            return
        self._said_at, self._said = now, told
        click.echo(f"{doing}: {listed} listed, {archived} archived, {waiting} waiting", err=True)


@contextmanager
def progress(clock: Clock) -> Iterator[Progress]:
    """Whichever fits where stderr goes; gone when the block ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(clock)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("documents"),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=console, transient=True) as drawn:
        yield Bar(drawn)
