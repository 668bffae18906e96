"""Names from outside made into names for files: pure, and the same every time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 150
NAMELESS = "file"
_RESERVED_SIGNS = frozenset('<>:"/\\|?*')
_RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_EXTENSION = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,2}\Z")


def safe_name(name: str) -> str:
    """One path component that every common file system takes and that hides, runs and leads nowhere.

    Only what follows the last slash or backslash counts. Control, format and reserved characters become _, no dot
    stands in front and no dot or space at the end, names that Windows keeps for devices get a _ in front, and what
    is longer than MOST_BYTES of UTF-8 is cut before its extension. Applying it twice changes nothing.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    clean = "".join(_safe_sign(sign) for sign in last).strip(" .")
    stem, extension = _parted(clean)
    stem = _cut(stem, MOST_BYTES - len(extension)).strip(" .") or NAMELESS
    if _RESERVED_NAMES.fullmatch(stem.partition(".")[0].strip()):
        stem = _cut(f"_{stem}", MOST_BYTES - len(extension)).rstrip(" .")
    return stem + extension


def distinct_names(names: Iterable[str]) -> list[str]:
    """Safe names of which no two are the same, not even where case does not count; later ones get a suffix.

    The first names never depend on those that follow, so that a later version leaves earlier files where they are.
    """
    taken: set[str] = set()
    chosen = []
    for name in names:
        first = candidate = safe_name(name)
        number = 1
        while _folded(candidate) in taken:
            number += 1
            candidate = _numbered(first, number)
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
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
