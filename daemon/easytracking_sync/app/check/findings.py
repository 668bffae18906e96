"""One finding of a check: what was looked at, how it is, and how to repair it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from easytracking_sync.errors import SyncError


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about one thing, each for a person. `fault` is the kind of error that it is, if it is one."""

    what: str
    fault: type[SyncError] | None = None
    repair: str = ""

    @property
    def severity(self) -> Literal["ok", "warn", "fail"]:
        """A warning works, but should be repaired."""
        if self.fault is not None:
            return "fail"
        return "warn" if self.repair else "ok"
