"""The interface through which events are reported to the log, the metrics and the alarms."""

from __future__ import annotations

from typing import Protocol

from easytracking_sync.events import EventName


class Observer(Protocol):
    """Told of every event, by any thread. Must neither raise nor block."""

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        """Report an event; an empty `level` is the event's usual level.

        `facts` name the account and the batch, never a secret or a document's content.
        """
        ...


class Silent:
    """An observer that ignores every event."""

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        pass
