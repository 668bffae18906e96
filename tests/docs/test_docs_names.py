"""The documents name only what exists, and docs/architecture.md covers every module of the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "daemon" / "easytracking_sync"
PAGE = ROOT / "docs" / "architecture.md"
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
QUOTED = re.compile(r"`([^`]+)`")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|md|toml|sh|yaml|json|lock)")
FOLDER = re.compile(r"[\w.-]+(?:/[\w.-]+)*/")
HEADING = re.compile(r"#+ .*")
NAME = re.compile(r"_?[A-Z]\w*(?:\.\w+)*(?:\(\))?|\w+(?:\.\w+)*\(\)")
WRITTEN = frozenset({"archive.db", "config.toml", "practice.toml", "easytracking-sync.toml", "indice.json"})
"""Files that the program or a user writes: they are not in the repository."""

PLACES = (ROOT, PROGRAM, *(ROOT / name for name in ("daemon", "tests", "docs", "deploy/systemd")))


def lines(page: Path) -> Iterator[tuple[str, Path | None]]:
    """Each line outside code blocks, and the package of the section that it is in."""
    package: Path | None = None
    is_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code:
            if HEADING.fullmatch(line):
                named = FOLDER.fullmatch((QUOTED.findall(line) or [""])[0])
                package = PROGRAM / named[0] if named else None
            yield line, package


def found(token: str, package: Path | None) -> Path | None:
    """The file or folder that the token names, in the section of a package; None if there is none."""
    if not (FILE.fullmatch(token) or FOLDER.fullmatch(token)):
        return None
    places = (package, *PLACES) if package else PLACES
    return next((place / token for place in places if (place / token).exists()), None)


def named_files(page: Path) -> set[Path]:
    """Every existing file and folder that the page names."""
    tokens = ((token, package) for line, package in lines(page) for token in QUOTED.findall(line))
    return {path.resolve() for token, package in tokens if (path := found(token, package)) is not None}


@cache
def names_in(module: Path) -> frozenset[str]:
    """The names that a module defines, and `Class.member` for its classes."""
    names: set[str] = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        for name in defined(node):
            names.add(name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{name}.{member}" for inner in node.body for member in defined(inner)}
    return frozenset(names)


def defined(node: ast.stmt) -> tuple[str, ...]:
    """The names that one statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return (node.name,)
    targets = (
        node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    )
    return tuple(target.id for target in targets if isinstance(target, ast.Name))


def unknown_names(line: str, package: Path | None) -> list[str]:
    """Names of code on this line that no Python file on the same line defines."""
    tokens = QUOTED.findall(line)
    files = [path for token in tokens if (path := found(token, package)) is not None and path.suffix == ".py"]
    known = {name for file in files for name in names_in(file)}
    return [token for token in tokens if NAME.fullmatch(token) and token.removesuffix("()") not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_document_names_exists(page: Path) -> None:
    gone = [
        token
        for line, package in lines(page)
        for token in QUOTED.findall(line)
        if FILE.fullmatch(token) and token not in WRITTEN and found(token, package) is None
    ]
    assert gone == [], f"{page.name} names files that do not exist"


def test_every_name_of_the_architecture_is_defined_in_a_file_on_its_line() -> None:
    wrong = [name for line, package in lines(PAGE) for name in unknown_names(line, package)]
    assert wrong == [], "docs/architecture.md: no file on the same line defines these names"


def test_a_wrong_name_is_found() -> None:
    assert unknown_names("`terms.py` has `Document`, `Document.doc_id` and `chunked()`", None) == []
    assert unknown_names("`terms.py` has `Nothing`, `Document.nothing`, `nothing()`", None) == [
        "Nothing",
        "Document.nothing",
        "nothing()",
    ]
    assert unknown_names("no file defines `Document`", None) == ["Document"]


def uncovered(modules: Collection[Path], covered: Collection[Path]) -> list[str]:
    """The modules that are not covered, by their path below the program."""
    return sorted(path.relative_to(PROGRAM).as_posix() for path in modules if path.resolve() not in covered)


def test_the_architecture_covers_every_module_and_package() -> None:
    """After adding, renaming or removing a module, change its line in docs/architecture.md."""
    covered = named_files(PAGE)
    modules = [path for path in PROGRAM.rglob("*.py") if not path.name.startswith("__")]
    assert uncovered(modules, covered) == [], "add these modules to docs/architecture.md"
    packages = [path.parent for path in PROGRAM.rglob("__init__.py") if path.parent != PROGRAM]
    assert uncovered(packages, covered) == [], "add these packages to docs/architecture.md"
