"""The commands, options and configuration keys in the manuals exist, and decisions.md explains every dependency."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement

from easytracking_sync.cli import COMMANDS, commands

ROOT = Path(__file__).parents[2]
MANUALS = ("README.md", "README.it.md", "CHANGELOG.md", "docs/operations.md", "config/easytracking-sync.toml")
NAME = "easytracking-sync "
PROGRAM = re.compile(rf"(?:.*(?:exec|run --rm) )?(?:\S*/)?(?:{NAME})+((?:--|(?!{NAME})[a-z])[^|;>&…)]*)")
SPAN = re.compile(r"`([^`\n]+)`")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = sorted(
    {
        Requirement(text).name
        for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
        for text in group
    }
)


def shown(page: Path) -> Iterator[str]:
    """The code of a page: lines of code blocks, and spans."""
    is_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif is_code:
            yield line.partition("  #")[0]
        else:
            yield from SPAN.findall(line)


def calls(page: Path) -> Iterator[list[str]]:
    """The arguments of each call of the program that a page shows, with the program's name or without."""
    for code in shown(page):
        if (call := PROGRAM.match(code)) is not None:
            yield call[1].split()
        elif code.partition(" ")[0] in COMMANDS:
            yield re.split(r"[|…]", code)[0].split()


def problem_of(arguments: list[str]) -> str:
    """What is wrong with a call; "" if its commands and options exist."""
    context = click.Context(commands)
    command: click.Command = commands
    words = iter(arguments)
    for word in words:
        options = {
            name: option for option in command.params for name in option.opts if isinstance(option, click.Option)
        }
        if word.startswith("-"):
            if word not in options:
                return f"{command.name} has no option {word}"
            if not options[word].is_flag:
                next(words, None)
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return f"{command.name} has no command {word}"
            command = found
    return ""


@pytest.mark.parametrize("name", MANUALS)
def test_every_call_of_the_program_in_a_manual_is_valid(name: str) -> None:
    found = list(calls(ROOT / name))
    assert found
    assert [f"{' '.join(call)}: {problem}" for call in found if (problem := problem_of(call))] == []


def test_a_wrong_call_is_found() -> None:
    assert problem_of(["--config", "x.toml", "status", "--check"]) == ""
    assert "--chek" in problem_of(["status", "--chek"])
    assert "frob" in problem_of(["database", "frob"])


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_every_dependency_has_its_reason_in_decisions(name: str) -> None:
    page = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", page, re.IGNORECASE)
