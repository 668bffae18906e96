"""Print part of requirements.lock, with hashes: the packages needed for a purpose. Uses only the standard library.

    pins.py --extra postgresql --extra alerts    what the program needs at run time, with these extras
    pins.py --package hatchling                  what that package needs, for example to build a wheel

The lock also contains the development tools, which are not installed with the program.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = "easytracking-sync"


def canonical(name: str) -> str:
    """Return the normalized name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(lock: str) -> Mapping[str, str]:
    """Map each package to its entry: the pin, the hashes, and the comment that lists who needs it."""
    parts = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    named = [(re.match(r"[A-Za-z0-9._-]+(?===)", part), part) for part in parts]
    return {canonical(name[0]): part for name, part in named if name}


def needed_by(entry: str) -> frozenset[str]:
    """Return the packages that need this one, from the entry's comment."""
    comment = entry.partition("# via")[2].replace("#", "")
    return frozenset(canonical(line.split()[0]) for line in comment.splitlines() if line.strip())


def wanted(project: Mapping[str, object], extras: Iterable[str]) -> frozenset[str]:
    """Return the project's direct dependencies, with those of these extras."""
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict)
    assert isinstance(project["dependencies"], list)
    asked = [*project["dependencies"], *(need for extra in extras for need in optional[extra])]
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in asked)
    return frozenset(canonical(name[0]) for name in found if name)


def closure(lock: Mapping[str, str], roots: frozenset[str]) -> frozenset[str]:
    """Return the roots and all packages that they need. Raises KeyError for a root that is not in the lock."""
    chosen = {name for name in roots if lock[name]}
    while more := {name for name, entry in lock.items() if name not in chosen and needed_by(entry) & chosen}:
        chosen |= more
    return frozenset(chosen)


def main() -> None:
    """Print the selected entries."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extra", action="append", default=[], help="an extra of the program; repeatable")
    parser.add_argument("--package", action="append", default=[], help="instead: a package of the lock; repeatable")
    asked = parser.parse_args()
    lock = entries((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    roots = frozenset(map(canonical, asked.package)) if asked.package else wanted(project, asked.extra)
    chosen = closure(lock, roots)
    sys.stdout.writelines(entry for name, entry in lock.items() if name in chosen)


if __name__ == "__main__":
    main()
