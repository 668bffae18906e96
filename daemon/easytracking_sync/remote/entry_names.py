"""Finds a zip's entry by a name of its index, in steps from the exact name to the base name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from unicodedata import normalize

MOST_COMPARED_CHARS = 1024
"""A longer name must match exactly: the time of normalisation grows with the square of a name's length."""

OTHER_CODE_PAGES = ("cp850", "cp1252")
"""Used by zip writers that neither declare UTF-8 nor write cp437."""


def path_of(name: str) -> str:
    """The whole path relative to the zip, with forward slashes."""
    return name.replace("\\", "/").removeprefix("./").lstrip("/")


def _caseless_path(name: str) -> str:
    return path_of(name).casefold()


def _composed_path(name: str) -> str:
    """The path with composed accents."""
    return normalize("NFC", _caseless_path(name))


def _base_name(name: str) -> str:
    return _composed_path(name).rpartition("/")[2]


_STEPS: tuple[Callable[[str], str], ...] = (path_of, _caseless_path, _composed_path, _base_name)


class EntryNames:
    """The names of a zip's entries. `others` holds other decodings of a name."""

    def __init__(self, names: Iterable[str], others: Mapping[str, Iterable[str]]) -> None:
        self._names = frozenset(names)
        self._alike: list[dict[str, set[str]]] = []
        for step in _STEPS:
            alike: dict[str, set[str]] = defaultdict(set)
            for name in self._names:
                for reading in (name, *others.get(name, ())):
                    if len(reading) <= MOST_COMPARED_CHARS:
                        alike[step(reading)].add(name)
            self._alike.append(alike)

    def meant_by(self, name: str) -> str | None:
        """The name of the entry that this name matches best; None if none or several match."""
        if name in self._names:
            return name
        if len(name) > MOST_COMPARED_CHARS:
            return None
        for step, alike in zip(_STEPS, self._alike, strict=True):
            found = alike.get(step(name))
            if found:
                return next(iter(found)) if len(found) == 1 else None
        return None


def other_readings(raw: bytes) -> Iterator[str]:
    """Decodings of a name that is not declared as UTF-8."""
    for code_page in OTHER_CODE_PAGES:
        yield raw.decode(code_page, "replace")
