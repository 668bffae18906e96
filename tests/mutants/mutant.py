"""A mutant: one seeded defect as data, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "daemon/easytracking_sync"


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is done to which text of which file. `old` stands there exactly once.

    `says` are words that the failing test must say, where it matters which assertion fires.
    """

    id: str
    defect: str
    file: str  # below PACKAGE
    old: str
    new: str
    caught_by: tuple[str, ...]  # pytest's node ids; one of them that fails is enough
    says: str = ""

    @property
    def path(self) -> str:
        """The file, from the root of the repository."""
        return f"{PACKAGE}/{self.file}"

    @property
    def module(self) -> str:
        """The mutated module's dotted name."""
        return f"easytracking_sync.{self.file.removesuffix('.py').replace('/', '.')}"

    def applied(self, text: str) -> str:
        """The file's text with the defect; ValueError where `old` does not stand there exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.id}: its text stands {found} times in {self.path}, not once")
        return text.replace(self.old, self.new)
