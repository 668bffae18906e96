"""Folders as the simulation has them."""

from __future__ import annotations

from tests.simulation.conftest import folder

__all__ = ["folder"]
