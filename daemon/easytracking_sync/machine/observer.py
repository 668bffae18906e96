"""The interface through which events are reported to the log, the metrics and the alarms."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Told of every event, by any thread. Must neither raise nor block."""

    def note(self, name: str, /, level: str = "info", **facts: object) -> None:
        """`name` is `noun.past`; `facts` name the account and the batch, never a secret or a document's content."""
        ...


class Silent:
    """An observer that ignores every event."""

    def note(self, name: str, /, level: str = "info", **facts: object) -> None:
        pass
