"""One finding of a check: what was looked at, how it is, and how to repair it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from easytracking_sync.errors import SyncError


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it works, but should be repaired
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about one thing, each for a person. `fault` is the kind of error that it is, if it is one."""

    what: str
    fault: type[SyncError] | None = None
    repair: str = ""

    @property
    def severity(self) -> Severity:
        """From whether it is a fault, and whether there is something to repair."""
        if self.fault is not None:
            return Severity.FAIL
        return Severity.WARN if self.repair else Severity.OK
