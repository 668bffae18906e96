"""The built wheel is complete: it contains migrations and configuration, and works without a checkout."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from easytracking_sync import __version__

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a minimal environment that does not know the checkout."""
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LANG": "C.UTF-8"} | environ
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=bare, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    assert built.returncode == 0, built.stderr
    (found,) = out.glob("easytracking_sync-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of a new environment with the wheel; its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    asked = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home)
    # path files in this folder are not read, so the editable installation of the checkout is not visible
    (Path(asked.stdout.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip: tuple[str | Path, ...] = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    result = run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    assert result.returncode == 0, result.stderr
    return home / "bin"


@pytest.mark.parametrize(("folder", "pattern"), [("migrations", "**/*.py"), ("config", "*.toml")])
def test_the_wheel_contains_every_migration_and_every_example(wheel: Path, folder: str, pattern: str) -> None:
    source = ROOT / folder
    wanted = {f"easytracking_sync/_bundled/{folder}/{path.relative_to(source)}" for path in source.glob(pattern)}
    carried = set(zipfile.ZipFile(wheel).namelist())
    assert wanted
    assert wanted <= carried
    if folder == "migrations":
        assert "easytracking_sync/_bundled/migrations/env.py" in carried
        assert any(name.startswith("easytracking_sync/_bundled/migrations/versions/") for name in carried)


def test_the_wheel_contains_only_the_two_packages_with_their_types(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"easytracking_sync/py.typed", "easytracking_simulator/py.typed"} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"easytracking_sync", "easytracking_simulator", f"easytracking_sync-{__version__}.dist-info"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_installed_program_finds_its_bundled_folders(installed: Path, tmp_path: Path) -> None:
    code = "from easytracking_sync.bundled import bundled_folder as f; print(f('migrations')); print(f('config'))"
    asked = run(installed / "python", "-c", code, cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    folders = [Path(line) for line in asked.stdout.splitlines()]
    assert [folder.name for folder in folders] == ["migrations", "config"]
    assert all(folder.is_relative_to(installed.parent) for folder in folders)


def test_the_installed_program_prints_its_version(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "easytracking-sync", "version", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert __version__ in result.stdout


def test_the_installed_program_creates_its_archive(installed: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive.db"
    config = tmp_path / "config.toml"
    config.write_text(f'[database]\nurl = "sqlite:///{archive}"\n')
    migrated = run(installed / "easytracking-sync", "--config", config, "migrate", cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    connection = sqlite3.connect(archive)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()
    assert {"alembic_version", "account", "document", "file", "blob", "batch", "event"} <= tables
