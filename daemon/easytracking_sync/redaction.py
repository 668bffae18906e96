"""Removes secrets from texts: known secrets in every escaped form, bearer tokens, and fields with a secret's name."""

from __future__ import annotations

import html
import itertools
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "********"
SHORTEST = 4
"""Shorter secrets are not searched for in log lines: they would hide ordinary words."""

_BEARER = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*){0,4}|\bBearer\s+\S+", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|authori[sz]ation|bearer|cookie|credential|api_?key", re.IGNORECASE
)


class Redactor:
    """Threads may share one. As a structlog processor it redacts all fields of an event."""

    def __init__(self, secrets: Iterable[str] = (), *, shortest: int = SHORTEST) -> None:
        self._shortest = shortest
        self._forms: tuple[str, ...] = ()
        self._tokens: deque[tuple[str, ...]] = deque(maxlen=8)
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these secrets from now on."""
        self._forms = _longest_first(
            {*self._forms, *(form for secret in secrets if len(secret) >= self._shortest for form in _forms(secret))}
        )

    def learn_token(self, token: str) -> None:
        """Hide this token; only the last eight are remembered."""
        self._tokens.append(_longest_first(_forms(token)))

    def text(self, text: str) -> str:
        """The text without known secrets and bearer tokens."""
        for secret in itertools.chain(self._forms, *tuple(self._tokens)):
            text = text.replace(secret, HIDDEN)
        return _BEARER.sub(HIDDEN, text)

    def __call__(self, logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        del logger, name
        return {key: self._field(key, value) for key, value in event.items()}

    def _field(self, name: str, value: object) -> Any:
        return HIDDEN if value and _SECRET_NAME.search(name) else self._value(value)

    def _value(self, value: object) -> Any:
        match value:
            case bool() | int() | float() | datetime() | None:
                return value
            case str():
                return self.text(str(value))
            case Mapping():
                return {self.text(str(key)): self._field(str(key), entry) for key, entry in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._value(entry) for entry in value]
            case _:
                return self.text(str(value))


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    """One form may contain another."""
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(secret: str) -> set[str]:
    """A secret as it may appear in JSON, HTML and addresses."""
    escaped = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret)} | escaped
