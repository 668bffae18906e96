"""Options that several commands have."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import click

from easytracking_sync.settings import DEFAULT_CONFIG
from easytracking_sync.settings.sources import CONFIG_VARIABLE


def account_labels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For a shell's completion: the labels in the configuration file that begin so; none where it cannot be read."""
    del param
    given = ctx.find_root().params.get("config") or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG
    try:
        accounts = tomllib.loads(Path(given).read_text(encoding="utf-8-sig")).get("accounts")
    except (OSError, ValueError, TypeError):
        return []
    labels = [label.lower() for label in accounts] if isinstance(accounts, dict) else []
    return [label for label in labels if label.startswith(incomplete.lower())]


ACCOUNTS = click.option(
    "--account",
    "accounts",
    metavar="A",
    multiple=True,
    help="Only this account; may be repeated.",
    shell_complete=account_labels,
)
