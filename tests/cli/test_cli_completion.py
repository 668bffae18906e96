"""Shell completion: commands, options and the labels of the accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import BashComplete

from easytracking_sync.cli import COMMANDS, commands
from easytracking_sync.cli.completion import SHELLS
from easytracking_sync.cli.global_options import COMPLETE_VARIABLE, NAME

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder


def completed(*words: object) -> list[str]:
    """What is offered for the last of these words."""
    *before, last = map(str, words)
    return [item.value for item in BashComplete(commands, {}, NAME, COMPLETE_VARIABLE).get_completions(before, last)]


def test_every_command_is_offered_and_none_is_imported_for_it() -> None:
    assert set(completed("")) == set(COMMANDS)
    assert completed("cat") == ["catch-up"]
    assert completed("quarantine", "a") == ["accept"]
    assert "--deadline" in completed("catch-up", "--d")


@pytest.mark.parametrize("command", [["catch-up"], ["invoices", "list"], ["reconcile"], ["scrub"]])
def test_the_labels_of_the_configuration_are_offered_for_accounts(
    builder: ArchiveBuilder, command: list[str]
) -> None:
    builder.configure("acme", "Beta", "acorn")
    assert completed("--config", builder.config, *command, "--account", "") == ["acme", "beta", "acorn"]
    assert completed("--config", builder.config, *command, "--account", "ac") == ["acme", "acorn"]


@pytest.mark.parametrize("content", [None, "not toml =", "accounts = 5", "accounts = [1]", ""])
def test_an_unreadable_configuration_completes_nothing_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setenv("EASYTRACKING_CONFIG", str(file))
    if content is not None:
        file.write_text(content)
    assert completed("catch-up", "--account", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_printed(run: Run, shell: str) -> None:
    told = run("completion", shell)
    assert (told.code, told.err) == (0, "")
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in told.out
    assert run("completion", "tcsh").code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_real_bash_completes_with_the_script(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(run("completion", "bash").out)
    asked = f"COMP_WORDS=({NAME} sta); COMP_CWORD=1; _easytracking_sync_completion {NAME}"
    line = f"source {script}; {asked}; echo $COMPREPLY"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = subprocess.run(
        ["bash", "--norc", "-c", line], check=True, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert told.stdout.split() == ["status"]
