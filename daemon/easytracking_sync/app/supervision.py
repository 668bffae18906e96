"""Whoever wants to know that the service lives: a supervisor, a health check."""

from __future__ import annotations

from typing import Protocol

from easytracking_sync.effects import Clock


class Pulse(Protocol):
    """Told from the service's own loop, and from nowhere else. Must not block; must not raise."""

    def started(self) -> None:
        """The archive is open and current, and the engine runs; again, when a reload has ended."""
        ...

    def turned(self, words: str) -> None:
        """About once a second: the loop turned and no thread hangs; `words` say in one line what is going on."""
        ...

    def reloading(self) -> None:
        """The configuration is being read again."""
        ...

    def stopping(self) -> None:
        """Once: the end begins."""
        ...


class Several:
    """Tells several."""

    def __init__(self, *pulses: Pulse) -> None:
        self._pulses = pulses

    def started(self) -> None:
        for pulse in self._pulses:
            pulse.started()

    def turned(self, words: str) -> None:
        for pulse in self._pulses:
            pulse.turned(words)

    def reloading(self) -> None:
        for pulse in self._pulses:
            pulse.reloading()

    def stopping(self) -> None:
        for pulse in self._pulses:
            pulse.stopping()


UNWATCHED = Several()
"""Nobody wants to know."""


class Beat:
    """Remembers when the loop last turned. Any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turned_at = clock.monotonic()
        self._runs = False

    def started(self) -> None:
        self._turned_at = self._clock.monotonic()
        self._runs = True

    def turned(self, words: str) -> None:
        del words
        self._turned_at = self._clock.monotonic()

    def reloading(self) -> None:
        self._turned_at = self._clock.monotonic()

    def stopping(self) -> None:
        self._runs = False

    @property
    def runs(self) -> bool:
        """Whether the service has started and not begun to end."""
        return self._runs

    @property
    def age_seconds(self) -> float:
        """How long ago the loop turned, or came into being."""
        return max(0.0, self._clock.monotonic() - self._turned_at)
