"""The folders that are installed with the program: inside the wheel, or in a checkout beside `daemon/`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from easytracking_sync.errors import UsageError


def bundled_folder(name: Literal["migrations", "config"]) -> Path:
    """The folder of that name; UsageError if the installation lacks it."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_bundled" / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    raise UsageError(f"this installation lacks its {name} folder: install easytracking-sync again from its wheel")
