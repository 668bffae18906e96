"""How far something long is: a bar on a terminal, a line now and then elsewhere; both on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from easytracking_sync.cli.progress import LINE_EVERY_SECONDS
from easytracking_sync.effects import Clock

Gauge = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is (0 where nobody knows)."""


@contextmanager
def gauge(clock: Clock) -> Iterator[Gauge]:
    """Whichever fits where stderr goes; gone when the block ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(clock)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task("", total=None)

        def show(doing: str, done: int, whole: int) -> None:
            drawn.update(task, description=doing, completed=done, total=whole or None)

        yield show


def _lines(clock: Clock) -> Gauge:
    said_at = clock.monotonic()

    def show(doing: str, done: int, whole: int) -> None:
        nonlocal said_at
        now = clock.monotonic()
        if now - said_at >= LINE_EVERY_SECONDS:
            said_at = now
            click.echo(f"{doing} ({done * 100 // whole}%)" if whole else doing, err=True)

    return show
