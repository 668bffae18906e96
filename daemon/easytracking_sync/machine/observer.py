"""Whom the engine tells what happens; it neither knows nor waits for what becomes of it."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Told of every event, by any thread. Must not raise, and must not block."""

    def note(self, name: str, /, level: str = "info", **facts: object) -> None:
        """`name` is `noun.past`; `facts` hold the account and the batch, never a secret or a document's content."""
        ...


class Silent:
    """An observer that nobody listens to."""

    def note(self, name: str, /, level: str = "info", **facts: object) -> None:
        pass
