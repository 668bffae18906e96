"""Reads imperfect JSON, so that a defect costs as little as possible."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

BOM: Final = b"\xef\xbb\xbf"

MOST_DIGITS: Final = 4300
"""Python refuses to convert longer numbers; they stay text."""

UNWELCOME: Final = re.compile("[\x00\ud800-\udfff]")
"""Characters that databases refuse: NUL and lone surrogates."""

_INTEGER = re.compile(r"([+-]?[0-9]{1,19})(?:\.0+)?", re.ASCII)

LEAST_INT64: Final = -(2**63)
MOST_INT64: Final = 2**63 - 1


def _read_digits(digits: str) -> int | str:
    """A JSON integer of any length."""
    return int(digits) if len(digits) <= MOST_DIGITS else digits


def read_value(raw: bytes) -> Any:
    """One JSON value. Accepts lone surrogates, very long numbers, NaN, and bytes that are not UTF-8.

    ValueError for everything else that is not JSON, and for extreme nesting.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        pass
    except RecursionError:
        raise ValueError("nested too deep") from None
    try:
        return json.loads(raw.decode("utf-8", "replace"), strict=False, parse_int=_read_digits)
    except RecursionError:
        raise ValueError("nested too deep") from None


def text_or_none(value: object, *, most: int | None = None) -> str | None:
    """The text, with U+FFFD for what a database refuses, cut to `most` characters; None for anything else."""
    if not isinstance(value, str):
        return None
    if not value.isprintable():  # most text is, and the check is fast
        value = UNWELCOME.sub("\ufffd", value)
    return value[:most]


def integer_or_none(value: object) -> int | None:
    """A 64-bit integer from a number or a text, also with zeros after a decimal point; else None."""
    if isinstance(value, str):
        digits = _INTEGER.fullmatch(value.strip())
        value = int(digits[1]) if digits else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if LEAST_INT64 <= value <= MOST_INT64 else None


def doc_id_or_none(value: object) -> int | None:
    """A usable docId, 1 to 2^63-1."""
    number = integer_or_none(value)
    return number if number is not None and number >= 1 else None


_DECODER = json.JSONDecoder(strict=False, parse_int=_read_digits)
_BLANK = re.compile(r"[ \t\r\n]*")


def split_object(text: str, name: str) -> tuple[list[str] | None, dict[str, Any]]:
    """Split a JSON object into the texts of the elements of its array `name`, and its other members.

    The elements are None if there is no such array. ValueError for anything but one complete object.
    """
    elements: list[str] | None = None
    members: dict[str, Any] = {}
    try:
        at = _past(text, _past_blank(text, 0), "{")
        while text[at : at + 1] != "}":
            key, at = _DECODER.raw_decode(text, at)
            at = _past(text, _past_blank(text, at), ":")
            if key == name and text[at : at + 1] == "[":
                elements, at = _split_array(text, at)
            else:
                members[str(key)], at = _DECODER.raw_decode(text, at)
            at = _next_member(text, at, "}")
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _past_blank(text, at + 1) != len(text):
        raise ValueError("text follows the object")
    return elements, members


def _split_array(text: str, at: int) -> tuple[list[str], int]:
    elements = []
    at = _past(text, at, "[")
    while text[at : at + 1] != "]":
        _, end = _DECODER.raw_decode(text, at)
        elements.append(text[at:end])
        at = _next_member(text, end, "]")
    return elements, at + 1


def _next_member(text: str, at: int, closing: str) -> int:
    """The position after a comma, or of the closing sign."""
    at = _past_blank(text, at)
    return at if text[at : at + 1] == closing else _past(text, at, ",")


def _past_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _past(text: str, at: int, sign: str) -> int:
    """The position after the sign and the blanks that follow it."""
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign} at {at}")
    return _past_blank(text, at + 1)
