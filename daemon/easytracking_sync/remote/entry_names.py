"""Which entry of a zip a name of its index means: compared in steps, from exactly the same to the same base name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from unicodedata import normalize

MOST_COMPARED_CHARS = 1024
"""A longer name is only compared as it is: normalisation takes time that grows with the square of a name's length."""

OTHER_CODE_PAGES = ("cp850", "cp1252")
"""Of zip writers that mark a name neither as UTF-8 nor write cp437."""


def path_of(name: str) -> str:
    """The whole path, with slashes made equal, relative to the zip."""
    return name.replace("\\", "/").removeprefix("./").lstrip("/")


def _caseless_path(name: str) -> str:
    return path_of(name).casefold()


def _composed_path(name: str) -> str:
    """However its accents are written."""
    return normalize("NFC", _caseless_path(name))


def _base_name(name: str) -> str:
    return _composed_path(name).rpartition("/")[2]


_STEPS: tuple[Callable[[str], str], ...] = (path_of, _caseless_path, _composed_path, _base_name)


class EntryNames:
    """The names of a zip's entries, to be looked up. `others` has the other readings of a name's bytes."""

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
        """The entry's name that this name means; None where there is none, or where several are equally alike."""
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
    """What a name that is not marked as UTF-8 may be in other code pages."""
    for code_page in OTHER_CODE_PAGES:
        yield raw.decode(code_page, "replace")
