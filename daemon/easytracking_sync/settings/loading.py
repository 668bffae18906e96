"""Loads the configuration: reads its sources, merges and validates them, and reports every problem."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import UsageError
from easytracking_sync.settings.display import leaves
from easytracking_sync.settings.error_messages import about, explain
from easytracking_sync.settings.model import Settings
from easytracking_sync.settings.sources import (
    CONFIG_VARIABLE,
    CREDENTIALS_VARIABLE,
    SECRETS_VARIABLE,
    Layer,
    claimed_files,
    read_credentials,
    read_environment,
    read_toml,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from easytracking_sync.effects import Clock

DEFAULT_CONFIG = Path("/etc/easytracking-sync/config.toml")


MOST_DAYS_AHEAD = 366
"""`history_from` may be in the future, for a contract that begins later; a date beyond this is a mistake."""


def load_settings(
    path: Path | None, environ: Mapping[str, str], *, fallback: Path = DEFAULT_CONFIG, clock: Clock | None = None
) -> Settings:
    """Load defaults, one TOML file, `environ` and credentials; later sources override earlier ones.

    The file is `path` (the option --config), else the one in EASYTRACKING_CONFIG, else `fallback` if it exists.
    Credentials are the files in the folder of EASYTRACKING_SECRETS_DIR, then in $CREDENTIALS_DIRECTORY. Raises
    UsageError with one line for each problem and without secrets.
    """
    problems: list[str] = []
    layers = _read_layers(path, environ, fallback, problems)
    try:
        settings = _merge(layers)
    except ValidationError as error:
        problems += explain(error, layers)
    else:
        problems += _beyond_today(settings, layers, (clock or SystemClock()).now().date())
    if problems:
        raise UsageError("\n".join(dict.fromkeys(problems)))
    settings._sources = _origins(settings, layers)  # noqa: SLF001 - a frozen value is completed by its one maker
    return settings


def _read_layers(path: Path | None, environ: Mapping[str, str], fallback: Path, problems: list[str]) -> list[Layer]:
    """The sources, the one with the highest precedence first."""
    named = path if path is not None else Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None
    layers: list[Layer] = []
    if named is not None or _may_exist(fallback):
        layers.append(read_toml(named if named is not None else fallback))
    accounts = layers[0].tree.get("accounts") if layers else None
    labels = list(accounts) if isinstance(accounts, dict) else []
    layers.insert(0, read_environment(environ, labels, problems))
    claimed = set().union(*(claimed_files(layer.tree) for layer in layers))
    for variable in (SECRETS_VARIABLE, CREDENTIALS_VARIABLE):
        if environ.get(variable):
            folder = Path(environ[variable])
            layers.insert(0, read_credentials(folder, variable, labels, claimed, problems))
    return layers


def _may_exist(path: Path) -> bool:
    """Whether the file exists, or cannot be checked: then reading it reports why."""
    try:
        return path.exists()
    except OSError:
        return True


def _merge(winning_first: list[Layer]) -> Settings:
    class Layered(Settings):
        layers: ClassVar[tuple[Layer, ...]] = tuple(winning_first)

    return Layered()


def _beyond_today(settings: Settings, layers: list[Layer], today: date) -> list[str]:
    latest = today + timedelta(days=MOST_DAYS_AHEAD)
    return [
        about(
            ("accounts", label, "history_from"),
            layers,
            f"is {account.history_from}, but must be {latest} or earlier; older documents are not fetched",
        )
        for label, account in settings.accounts.items()
        if account.history_from > latest
    ]


def _origins(settings: Settings, layers: list[Layer]) -> dict[str, str]:
    origins = {}
    for dotted in leaves(settings.redacted()):
        key = tuple(dotted.split("."))
        in_file = (*key[:-1], f"{key[-1]}_file")
        winner = next((layer for layer in layers if layer.holds(key) or layer.holds(in_file)), None)
        if winner is not None:
            origins[dotted] = winner.origin(key) if winner.holds(key) else f"{winner.origin(in_file)} (a file's name)"
    return origins
