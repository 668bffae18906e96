"""`run` and the pages it serves: a port in use is reported, and no other command loads them."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from easytracking_sync import cli
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.instance_lock import instance_lock

if TYPE_CHECKING:
    from tests.cli.conftest import Run

empty_archive: Callable[[], bytes] = importlib.import_module("tests.support.archive_builder")._empty_archive
NOBODY = "http://127.0.0.1:9"


def test_run_reports_a_port_in_use_with_code_2_but_first_another_instance(tmp_path: Path, run: Run) -> None:
    """If it is started twice by mistake, the message is about that, not about the port."""
    path = tmp_path / "archive.db"
    path.write_bytes(empty_archive())
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        config = tmp_path / "config.toml"
        config.write_text(
            f'[database]\nurl = "sqlite:///{path}"\n[http]\nlisten = "{listen}"\n[accounts.acme]\n'
            f'base_url = "{NOBODY}"\nauth_base_url = "{NOBODY}"\nusername = "u"\npassword = "p"\n',
            encoding="utf-8",
        )
        ran = run("--config", config, "run")
        said = ran.err.splitlines()
        assert ran.code == 2
        assert said[-1].startswith(f"easytracking-sync: http.listen: {listen} is in use by another program; ")
        assert not any("service.started" in line for line in said)
        with instance_lock(Database(f"sqlite:///{path}"), {"command": "run"}):
            assert run("--config", config, "run").code == 5


def test_no_other_command_waits_for_the_web_to_be_imported() -> None:
    modules = {name.replace("-", "_") for name in cli.COMMANDS if name != "run"}
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(modules)}: importlib.import_module('easytracking_sync.cli.' + name)\n"
        "print(sorted({'uvicorn', 'starlette', 'prometheus_client'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout.strip() == "[]"
