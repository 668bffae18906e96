"""Whether threads still turn. Each says when it begins something that must end; whoever watches asks who is late."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from easytracking_sync.effects import Clock

PATIENCE_SECONDS = 300.0
"""A few statements to the database end within it, whatever the disk or the server is doing."""


@dataclass(frozen=True, slots=True)
class _Turn:
    begun_at: float  # monotonic
    most_seconds: float | None


class Turns:
    """What each thread of a group is at. `patience_seconds` bounds every turn that names no bound of its own."""

    def __init__(self, clock: Clock, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._under_way: dict[threading.Thread, _Turn | None] = {}

    def begin(self, most_seconds: float | None = None) -> None:
        """This thread begins a turn, which takes no longer than that unless it hangs."""
        turn = _Turn(self._clock.monotonic(), most_seconds)
        with self._lock:
            self._under_way[threading.current_thread()] = turn

    def rest(self) -> None:
        """This thread waits on purpose, for however long."""
        with self._lock:
            self._under_way[threading.current_thread()] = None

    def leave(self) -> None:
        """This thread ends in order."""
        with self._lock:
            self._under_way.pop(threading.current_thread(), None)

    def late(self) -> tuple[str, ...]:
        """The names of threads that should have ended their turn by now, or died without a word."""
        now = self._clock.monotonic()
        with self._lock:
            return tuple(
                sorted(
                    thread.name
                    for thread, turn in self._under_way.items()
                    if not thread.is_alive() or (turn is not None and now - turn.begun_at > self._most(turn))
                )
            )

    def _most(self, turn: _Turn) -> float:
        return self._patience if turn.most_seconds is None else turn.most_seconds
