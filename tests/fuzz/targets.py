"""The targets by name, imported on request: a fuzzer instruments what it imports, which takes time."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import cast

Target = Callable[[bytes], None]

TARGETS: Mapping[str, str] = {
    "listing": "network_input",
    "index": "network_input",
    "parcel": "network_input",
    "answer": "network_input",
    "token": "network_input",
    "configuration": "configuration_input",
    "variable": "configuration_input",
    "invoice": "invoice_input",
    "envelope": "invoice_input",
}
"""The module of each target."""


def target_named(name: str) -> Target:
    """The target: a function of any bytes from which only findings escape."""
    return cast("Target", getattr(importlib.import_module(f"tests.fuzz.{TARGETS[name]}"), name))
