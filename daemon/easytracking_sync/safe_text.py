"""Text from elsewhere made safe to show: what a supplier wrote must not steer a person's terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text with everything that cannot be seen (control, format and lone surrogate characters) escaped.

    The result is one line of printable characters; applying it again changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "backslashreplace").decode("ascii")
