"""The repository's root goes onto the path, so that tests may import the station."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
