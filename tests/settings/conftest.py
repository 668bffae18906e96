"""A configuration loaded from text, an environment and credentials, never from this machine's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

ACME = """
[accounts.acme]
environment = "varhub-production"
username = "mario"
password = "s3cret-of-acme"
"""


@dataclass(frozen=True)
class Bench:
    """A folder of its own to load from."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "config.toml"

    def load(self, toml: str | None = None, **environ: str) -> Settings:
        """Settings of a TOML text and variables."""
        if toml is not None:
            self.file.write_text(toml, encoding="utf-8")
        named = self.file if toml is not None else None
        return load_settings(named, {**self.environ, **environ}, fallback=self.folder / "absent.toml")

    def refusal(self, toml: str | None = None, **environ: str) -> list[str]:
        """The lines that say what is wrong, the file's own path cut to its name."""
        with pytest.raises(UsageError) as caught:
            self.load(toml, **environ)
        return str(caught.value).replace(f"{self.folder}/", "").split("\n")

    def credential(self, name: str, content: str | bytes) -> None:
        """Put a file into $CREDENTIALS_DIRECTORY."""
        folder = self.folder / "credentials"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.environ["CREDENTIALS_DIRECTORY"] = str(folder)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def acme() -> str:
    return ACME
