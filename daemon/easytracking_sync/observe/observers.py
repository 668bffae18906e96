"""Several observers as one."""

from __future__ import annotations

import contextlib

from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer


class Observers:
    """Reports every event to each observer. An error of one affects neither the others nor the caller."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        """Report to each."""
        for observer in self._observers:
            with contextlib.suppress(Exception):
                observer.note(name, level, **facts)
