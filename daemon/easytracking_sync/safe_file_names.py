"""Turns names from outside into safe file names. Pure and deterministic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from unicodedata import normalize

MOST_BYTES = 150
MOST_READ_CHARS = 1024
NAMELESS = "file"
_RESERVED_SIGNS = frozenset('<>:"/\\|?*')
_RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_EXTENSION = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,2}\Z")


def safe_name(name: str) -> str:
    """A path component that is valid on every common file system, not hidden, and leaves no folder.

    Only what follows the last slash or backslash counts. Control, format and reserved characters become _,
    leading dots and trailing dots and spaces are removed, Windows device names get a leading _, and a name longer
    than MOST_BYTES of UTF-8 is cut before its extension. Applying it twice changes nothing.
    """
    last = re.split(r"[/\\]", name)[-1]
    if len(last) > MOST_READ_CHARS:  # normalisation takes time that grows with the square of the length
        last = last[: MOST_READ_CHARS // 2] + last[-MOST_READ_CHARS // 2 :]
    last = normalize("NFC", last)
    clean = "".join(_safe_sign(sign) for sign in last).strip(" .")
    stem, extension = _parted(clean)
    stem = _cut(stem, MOST_BYTES - len(extension)).strip(" .") or NAMELESS
    if _RESERVED_NAMES.fullmatch(stem.partition(".")[0].strip()):
        stem = _cut(f"_{stem}", MOST_BYTES - len(extension)).rstrip(" .")
    return stem + extension


def distinct_names(names: Iterable[str]) -> list[str]:
    """Safe names, distinct even if case is ignored; later duplicates get a suffix.

    A name never depends on those that follow, so that a later version does not rename earlier files.
    """
    taken: set[str] = set()
    reached: dict[str, int] = {}  # by first choice: numbers up to this one are taken, and need not be tried again
    chosen = []
    for name in names:
        first = candidate = safe_name(name)
        number = reached.get(first, 1)
        while _folded(candidate) in taken:
            number += 1
            candidate = _numbered(first, number)
        reached[first] = number
        taken.add(_folded(candidate))
        chosen.append(candidate)
    return chosen


def _safe_sign(sign: str) -> str:
    return "_" if sign in _RESERVED_SIGNS or not sign.isprintable() else sign


def _parted(name: str) -> tuple[str, str]:
    found = _EXTENSION.search(name)
    if found is None or found.start() == 0:
        return name, ""
    return name[: found.start()], found[0]


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")


def _numbered(name: str, number: int) -> str:
    stem, extension = _parted(name)
    suffix = f"~{number}"
    return _cut(stem, MOST_BYTES - len(extension) - len(suffix)) + suffix + extension


def _folded(name: str) -> str:
    return normalize("NFC", normalize("NFD", name).casefold())
