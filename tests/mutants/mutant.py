"""A mutant: one seeded defect as data, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "daemon/easytracking_sync"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is done to which text of which file, from the root of the repository. `old` stands there exactly once."""

    path: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The file's text with the defect; ValueError where `old` does not stand there exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"this stands {found} times in {self.path}, not once: {self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect. `says` is a pattern for what the failing test must say, where it matters which assertion fires."""

    id: str
    defect: str
    file: str  # below PACKAGE
    old: str
    new: str
    caught_by: tuple[str, ...]  # pytest's node ids; one of them that fails is enough
    says: str = ""
    also: tuple[Edit, ...] = ()  # where a second safeguard stands behind the first

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All that is changed."""
        return (Edit(f"{PACKAGE}/{self.file}", self.old, self.new), *self.also)

    @property
    def module(self) -> str:
        """The mutated module's dotted name."""
        return f"easytracking_sync.{self.file.removesuffix('.py').replace('/', '.')}"
