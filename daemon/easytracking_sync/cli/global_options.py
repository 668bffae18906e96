"""What was given before the command's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "easytracking-sync"

COMPLETE_VARIABLE = "_EASYTRACKING_SYNC_COMPLETE"
"""How a shell asks for completions: click listens to it."""

LOG = "easytracking_sync.log"
"""Where click's context keeps the command's log, for whoever reports how the command ended."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options every command shares."""

    config: Path | None = None
    log_level: str | None = None
    log_format: str | None = None
