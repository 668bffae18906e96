"""Makes the simulation's temporary folders available."""

from __future__ import annotations

from tests.simulation.conftest import folder

__all__ = ["folder"]
