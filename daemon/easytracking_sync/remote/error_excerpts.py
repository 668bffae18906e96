"""Excerpts of the service's error bodies for messages: short, printable, on one line, without secrets."""

from __future__ import annotations

import html
import json
import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

from easytracking_sync.lenient_json import read_value

MOST_SHOWN: Final = 200
_MOST_READ = 4096

_BEARER = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*){0,4}|\bBearer\s+\S+", re.IGNORECASE)
_HIDDEN_MARKUP = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")
_MESSAGE_FIELDS = ("message", "error_description", "detail", "title", "error")


class Censor:
    """Removes secrets from texts, in every escaped form. Threads may share one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)
        self._tokens: deque[str] = deque(maxlen=8)

    def learn(self, token: str) -> None:
        """Hide this token too; the last eight are remembered."""
        self._tokens.append(token)

    def __call__(self, text: str) -> str:
        for secret in (*self._secrets, *tuple(self._tokens)):
            for form in sorted(_forms(secret), key=len, reverse=True):
                text = text.replace(form, "***")
        return _BEARER.sub("***", text)

    def line(self, text: str) -> str:
        """One printable line of at most 200 characters."""
        shown = "".join(letter if letter.isprintable() else " " for letter in self(text))
        shown = self(" ".join(shown.split()))
        return shown if len(shown) <= MOST_SHOWN else f"{shown[: MOST_SHOWN - 1]}…"

    def reply(self, body: bytes) -> str:
        """The message in an error's body: a JSON field or the text of a web page; empty if there is none."""
        try:
            text = _message_in(read_value(body))
        except (ValueError, RecursionError):
            text = self(body.decode("utf-8", "replace"))[:_MOST_READ]
            if text.lstrip().startswith("<"):
                text = html.unescape(_MARKUP.sub(" ", _HIDDEN_MARKUP.sub(" ", text)))
        return self.line(text[: 16 * _MOST_READ])


def _message_in(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        folded = {str(name).casefold(): value for name, value in answer.items()}
        for name in _MESSAGE_FIELDS:
            if isinstance(folded.get(name), str) and folded[name].strip():
                return str(folded[name])
    return json.dumps(answer, ensure_ascii=False) if answer else ""


def _forms(secret: str) -> set[str]:
    """The forms of one secret in JSON, HTML and URLs."""
    escaped = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret)} | escaped
