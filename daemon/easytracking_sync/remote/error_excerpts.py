"""Excerpts of the service's error bodies for messages: short, printable, on one line, without secrets."""

from __future__ import annotations

import html
import json
import re
from typing import Any, Final

from easytracking_sync.lenient_json import read_value
from easytracking_sync.redaction import Redactor

MOST_SHOWN: Final = 200
_MOST_READ = 4096

_HIDDEN_MARKUP = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")
_MESSAGE_FIELDS = ("message", "error_description", "detail", "title", "error")


def one_line(text: str, redactor: Redactor) -> str:
    """One printable line of at most 200 characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in redactor.text(text))
    shown = redactor.text(" ".join(shown.split()))
    return shown if len(shown) <= MOST_SHOWN else f"{shown[: MOST_SHOWN - 1]}…"


def message_of(body: bytes, redactor: Redactor) -> str:
    """The message in an error's body: a JSON field or the text of a web page; empty if there is none."""
    try:
        text = _message_in(read_value(body))
    except (ValueError, RecursionError):
        text = redactor.text(body.decode("utf-8", "replace"))[:_MOST_READ]
        if text.lstrip().startswith("<"):
            text = html.unescape(_MARKUP.sub(" ", _HIDDEN_MARKUP.sub(" ", text)))
    return one_line(text[: 16 * _MOST_READ], redactor)


def _message_in(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        folded = {str(name).casefold(): value for name, value in answer.items()}
        for name in _MESSAGE_FIELDS:
            if isinstance(folded.get(name), str) and folded[name].strip():
                return str(folded[name])
    return json.dumps(answer, ensure_ascii=False) if answer else ""
