"""Fuzz targets for configurations, as functions of any bytes: usable settings, or lines that say what is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from tests.fuzz.network_input import NOON, StillClock
from tests.fuzz.seeds import ORDINARY

from easytracking_sync.app.composition import bounds_of, client_of, policy_of
from easytracking_sync.app.schedule import longest_gap, trigger_of
from easytracking_sync.effects import Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import load_settings


def configuration(data: bytes) -> None:
    """A TOML file: usable settings, or lines that say what is wrong."""
    path = Path(_FOLDER.name) / "config.toml"
    path.write_bytes(data)
    _configured(path, {})


def variable(data: bytes) -> None:
    """An environment variable, name and value, together with an ordinary file."""
    name, _, value = data.decode("utf-8", "surrogateescape").replace("\0", "").partition("=")
    path = Path(_FOLDER.name) / "ordinary.toml"
    path.write_text(ORDINARY, encoding="utf-8")
    _configured(path, {f"EASYTRACKING_{name}": value})


_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-configuration-")


def _configured(path: Path, environ: Mapping[str, str]) -> None:
    try:
        settings = load_settings(path, environ)
    except UsageError as error:
        _expect_lines(str(error))
        return
    effects = Effects(clock=StillClock())
    policy_of(settings)
    bounds_of(settings)
    for label in settings.accounts:
        schedule = settings.schedule(label)
        gap = longest_gap(schedule, settings.timezone, NOON)
        assert timedelta() < gap
        trigger_of(schedule, settings.timezone, NOON)
        with suppress(UsageError):  # a ca_file that is not there
            client_of(settings, label, effects).close()


def _expect_lines(text: str) -> None:
    """One problem per line, each printable."""
    assert text
    assert all(line.isprintable() for line in text.split("\n")), ascii(text)
