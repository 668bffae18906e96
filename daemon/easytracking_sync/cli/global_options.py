"""The options before the command's name, and the program's own names. Imports next to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "easytracking-sync"

COMPLETE_VARIABLE = "_EASYTRACKING_SYNC_COMPLETE"
"""The environment variable by which a shell asks click for completions."""

LOG = "easytracking_sync.log"
"""Where click's context keeps the command's log, so that a bug can be logged."""


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options that every command shares."""

    config: Path | None = None
    log_level: str | None = None
    log_format: str | None = None
