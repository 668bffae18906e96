"""Makes foreign text safe to print: text from a supplier must not control the terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text with control, format and lone surrogate characters escaped, on one line. Repeating is safe."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "backslashreplace").decode("ascii")
