"""requirements.lock pins all dependencies of pyproject.toml by hash, and names no package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRIES = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", LOCK) if re.match(r"[A-Za-z0-9]", entry)]
PINS: dict[str, str] = {canonicalize_name(entry.split("==")[0]): entry for entry in ENTRIES}
DIRECT = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]


@pytest.mark.parametrize("wanted", DIRECT, ids=lambda wanted: wanted.name)
def test_every_direct_dependency_is_pinned_within_its_bounds(wanted: Requirement) -> None:
    pinned = re.match(r"[A-Za-z0-9._-]+==([^ ;\\]+)", PINS[canonicalize_name(wanted.name)])
    assert pinned is not None
    assert wanted.specifier.contains(pinned[1])


@pytest.mark.parametrize("name", PINS)
def test_every_pin_is_exact_and_has_a_hash(name: str) -> None:
    assert re.match(r"[A-Za-z0-9._-]+==[0-9]", PINS[name])
    assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", PINS[name])


def test_the_lock_names_no_package_index() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*(--index-url|--extra-index-url|--find-links|-i|-f)\b", LOCK, re.MULTILINE)
