"""The targets by name. Each is imported as it is asked for: a fuzzer follows what it imports, and that takes time."""

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
"""And the module of this folder that each is in."""


def target_named(name: str) -> Target:
    """A function of any bytes, from which nothing but a finding escapes."""
    return cast("Target", getattr(importlib.import_module(f"tests.fuzz.{TARGETS[name]}"), name))
