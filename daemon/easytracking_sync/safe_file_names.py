"""Turns names from outside into safe file names. Pure and deterministic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from unicodedata import normalize

MOST_BYTES = 150
MOST_READ_CHARS = 1024
NAMELESS = "file"
_RESERVED_SIGNS = frozenset('<>:"/\\|?*')
_RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_EXTENSION = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,2}\Z")


def safe_name(name: str, most: int = MOST_BYTES) -> str:
    """A path component that is valid on every common file system, not hidden, and leaves no folder.

    Only what follows the last slash or backslash counts. Control, format and reserved characters become _,
    leading dots and trailing dots and spaces are removed, Windows device names get a leading _, and a name longer
    than `most` bytes of UTF-8 (at least 30) is cut before its extension. Applying it twice changes nothing.
    """
    last = re.split(r"[/\\]", name)[-1]
    if len(last) > MOST_READ_CHARS:  # normalisation takes time that grows with the square of the length
        last = last[: MOST_READ_CHARS // 2] + last[-MOST_READ_CHARS // 2 :]
    last = normalize("NFC", last)
    clean = "".join(_safe_sign(sign) for sign in last).strip(" .")
    stem, extension = parted(clean)
    stem = _cut(stem, most - len(extension)).strip(" .") or NAMELESS
    if _RESERVED_NAMES.fullmatch(stem.partition(".")[0].strip()):
        stem = _cut(f"_{stem}", most - len(extension)).rstrip(" .")
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
        while collision_key(candidate) in taken:
            number += 1
            candidate = with_suffix(first, f"~{number}")
        reached[first] = number
        taken.add(collision_key(candidate))
        chosen.append(candidate)
    return chosen


def _safe_sign(sign: str) -> str:
    return "_" if sign in _RESERVED_SIGNS or not sign.isprintable() else sign


def free_name(name: str, is_taken: Callable[[str], bool], most: int = MOST_BYTES) -> str:
    """This safe name, or the first with ~2, ~3, … whose `collision_key` is not taken."""
    candidate, number = name, 1
    while is_taken(collision_key(candidate)):
        number += 1
        candidate = with_suffix(name, f"~{number}", most)
    return candidate


def flat(text: str) -> str:
    """The text with _ for slashes and backslashes, for a value that becomes a part of a name."""
    return re.sub(r"[/\\]", "_", text)


def with_suffix(name: str, suffix: str, most: int = MOST_BYTES) -> str:
    """The safe name with a suffix (letters, digits, ~) before its extension, cut to `most` bytes."""
    stem, extension = parted(name)
    return _cut(stem, most - len(extension) - len(suffix)).rstrip(" .") + suffix + extension


def collision_key(name: str) -> str:
    """Equal for names that are one file where case is ignored, as on Windows shares."""
    return normalize("NFC", normalize("NFD", name).casefold())


def parted(name: str) -> tuple[str, str]:
    """The stem, and one or two short extensions: ("a", ".xml.p7m")."""
    found = _EXTENSION.search(name)
    if found is None or found.start() == 0:
        return name, ""
    return name[: found.start()], found[0]


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")
