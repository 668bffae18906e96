"""`config`: show the effective settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.safe_text import visible

WIDEST = 44
"""A longer value shifts its own source to the right, not those of the other keys."""


@click.group()
def config() -> None:
    """Show the effective configuration: file, environment and credentials together."""


@config.command(
    short_help="Show every key with its value and source.",
    epilog="""\b
Secrets are shown as ********. The comment after a value names its source.

Example:
  easytracking-sync config show

Exit codes: 0 shown, 2 the configuration is wrong.""",
)
@pass_runtime
def show(runtime: Runtime) -> None:
    """Show every key with its value and its source, as TOML."""
    settings = runtime.settings
    tree = settings.redacted()
    sources = settings.sources
    notes = {"storage.path": f"{settings.blobs_path}", "storage.spool": f"{settings.spool_path}"}
    for number, (section, entries) in enumerate(_sections(tree)):
        if number:
            click.echo()
        if section:
            click.echo(click.style(f"[{section}]", bold=True))
        _show_section(section, entries, sources, {key: note for key, note in notes.items() if _is_empty(tree, key)})


def _sections(tree: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables in the documented order, each with its keys; "" holds the keys without a table."""
    yield "", {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    for name, value in tree.items():
        if isinstance(value, Mapping) and name != "accounts":
            yield name, value
    for label, account in tree["accounts"].items():
        yield f"accounts.{label}", account


def _show_section(
    section: str, entries: Mapping[str, Any], sources: Mapping[str, str], notes: Mapping[str, str]
) -> None:
    written = {key: _toml(value) for key, value in entries.items()}
    name_width = max(map(len, written), default=0)
    value_width = min(max(map(len, written.values()), default=0), WIDEST)
    for key, value in written.items():
        dotted = f"{section}.{key}" if section else key
        note = f": {visible(notes[dotted])}" if dotted in notes else ""
        source = click.style(f"# {visible(sources.get(dotted, 'default'))}{note}", dim=True)
        click.echo(f"{key.ljust(name_width)} = {value.ljust(value_width)}  {source}")


def _toml(value: Any) -> str:
    """The value as TOML writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return visible(json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def _is_empty(settings: Mapping[str, Any], dotted: str) -> bool:
    section, _, key = dotted.partition(".")
    return not settings[section][key]
