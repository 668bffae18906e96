"""Keeping secrets out of what is written: by the name of a key, and by the secrets that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import datetime
from typing import Any

HIDDEN = "********"
SHORTEST = 4
"""Shorter secrets are not looked for inside other text: they would blot out innocent words."""

_TELLING = re.compile(
    r"passw|passphrase|secret|token|authori[sz]ation|bearer|cookie|credential|api_?key", re.IGNORECASE
)


class Redactor:
    """A structlog processor. `learn` may be called at any time, by any thread."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these wherever they turn up from now on; the longest first, since one may hold another."""
        found = {secret for secret in secrets if len(secret) >= SHORTEST}
        self._known = tuple(sorted(found.union(self._known), key=lambda secret: (-len(secret), secret)))

    def __call__(self, logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        del logger, name
        return {key: self._named(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """The text without the secrets that are known."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return text

    def _named(self, key: str, value: object) -> Any:
        return HIDDEN if value and _TELLING.search(key) else self._value(value)

    def _value(self, value: object) -> Any:
        match value:
            case bool() | int() | float() | datetime() | None:
                return value
            case str():
                return self.text(str(value))
            case Mapping():
                return {self.text(str(key)): self._named(str(key), entry) for key, entry in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._value(entry) for entry in value]
            case _:
                return self.text(str(value))
