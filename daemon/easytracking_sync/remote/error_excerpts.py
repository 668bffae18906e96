"""What the service said, made fit for a message: short, printable, on one line and without secrets."""

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
_SPEAKING_FIELDS = ("message", "error_description", "detail", "title", "error")


class Censor:
    """Takes secrets out of text, however they are escaped in it. Threads may share one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._lasting = tuple(secrets)
        self._tokens: deque[str] = deque(maxlen=8)

    def learn(self, token: str) -> None:
        """Hide this too; only the last few tokens are remembered."""
        self._tokens.append(token)

    def __call__(self, text: str) -> str:
        for secret in (*self._lasting, *tuple(self._tokens)):
            for form in sorted(_forms(secret), key=len, reverse=True):
                text = text.replace(form, "***")
        return _BEARER.sub("***", text)

    def line(self, text: str) -> str:
        """One printable line of at most 200 characters."""
        shown = "".join(letter if letter.isprintable() else " " for letter in self(text))
        shown = self(" ".join(shown.split()))
        return shown if len(shown) <= MOST_SHOWN else f"{shown[: MOST_SHOWN - 1]}…"

    def reply(self, body: bytes) -> str:
        """What an error's body says: its JSON's message, or a page's words; empty where it says nothing."""
        try:
            text = _words_of(read_value(body))
        except (ValueError, RecursionError):
            text = self(body.decode("utf-8", "replace"))[:_MOST_READ]
            if text.lstrip().startswith("<"):
                text = html.unescape(_MARKUP.sub(" ", _HIDDEN_MARKUP.sub(" ", text)))
        return self.line(text[: 16 * _MOST_READ])


def _words_of(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        folded = {str(name).casefold(): value for name, value in answer.items()}
        for name in _SPEAKING_FIELDS:
            if isinstance(folded.get(name), str) and folded[name].strip():
                return str(folded[name])
    return json.dumps(answer, ensure_ascii=False) if answer else ""


def _forms(secret: str) -> set[str]:
    """How one secret may look inside JSON, HTML or a URL."""
    escaped = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret)} | escaped
