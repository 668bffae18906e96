"""One observer in front of several."""

from __future__ import annotations

import contextlib

from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer


class Several:
    """Tells each in turn; what one of them raises keeps nothing from the others, nor from the caller."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        """To each."""
        for observer in self._observers:
            with contextlib.suppress(Exception):
                observer.note(name, level, **facts)
