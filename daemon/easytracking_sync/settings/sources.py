"""Reads the sources of values: the TOML file, the environment, folders of credentials. Each becomes a layer.

A layer is a tree of values as written, with the name of each value in its source, for error messages.
pydantic-settings merges and validates the layers; this module does not know which keys exist.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_settings import PydanticBaseSettingsSource

from easytracking_sync.errors import UsageError
from easytracking_sync.settings.display import bare, quoted
from easytracking_sync.settings.validators import read_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

Key = tuple[str, ...]

PREFIX = "EASYTRACKING_"
CONFIG_VARIABLE = "EASYTRACKING_CONFIG"
SECRETS_VARIABLE = "EASYTRACKING_SECRETS_DIR"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIALS_SET = "easytracking-sync_"
"""The prefix of names if systemd loads a whole folder (LoadCredential=easytracking-sync:FOLDER)."""
_DELIMITER = "__"


@dataclass(frozen=True, slots=True)
class Layer:
    """The values of one source. `title` begins an origin ("file /etc/x.toml"); `names` are those of text values."""

    title: str
    tree: dict[str, Any] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Whether the values are texts with their own names: variables or credentials."""
        return not self.title.startswith("file ")

    def holds(self, key: Key) -> bool:
        """Whether this key has a value or a table."""
        node: Any = self.tree
        for part in key:
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True

    def spelled(self, key: Key) -> str:
        """The key as this source writes it, whether or not it is set."""
        if self.title == "environment":
            return PREFIX + _DELIMITER.join(key).upper()
        return (_DELIMITER if self.is_text else ".").join(map(bare, key))

    def origin(self, key: Key) -> str:
        """Where the value at this key came from."""
        return f"{self.title} {self.names[key]}" if key in self.names else self.title

    def put(self, key: Key, value: str, name: str) -> str | None:
        """Add a text value with its name; returns the problem if it conflicts with another one."""
        node = self.tree
        for depth, part in enumerate(key[:-1], start=1):
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                return f"{self.title} {name} and {self.names[key[:depth]]} set the same key; remove one of them"
        if key[-1] in node:
            other = next(other for known, other in self.names.items() if known[: len(key)] == key)
            return f"{self.title} {name} and {other} set the same key; remove one of them"
        node[key[-1]] = value
        self.names[key] = name
        return None


class LayerSource(PydanticBaseSettingsSource):
    """A layer as a source of pydantic-settings."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its base's
        return self._layer.tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._layer.tree


def read_toml(path: Path) -> Layer:
    """The layer of a file, with account labels in lower case. UsageError names the file, line and column."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise UsageError(f"the configuration file {quoted(path)} cannot be read: {reason}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: is not text in UTF-8") from None
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(_syntax_error(path, text, error)) from None
    accounts = tree.get("accounts")
    if isinstance(accounts, dict):
        lowered: dict[str, Any] = {}
        for label, account in accounts.items():
            if label.lower() in lowered:
                raise UsageError(f"{path}: accounts.{bare(label)} is defined twice (labels ignore case); remove one")
            lowered[label.lower()] = account
        tree["accounts"] = lowered
    return Layer(f"file {path}", tree)


def _syntax_error(path: Path, text: str, error: Exception) -> str:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
    if found is None:
        return f"{path}: is not valid TOML" + ("" if isinstance(error, RecursionError) else ": a number is too long")
    last = text.splitlines() or [""]
    line, column = found[2] or len(last), found[3] or len(last[-1]) + 1
    return f"{path}, line {line}, column {column}: {' '.join(found[1].split())}"


def _is_plain(name: str) -> bool:
    """Whether a name is printable ASCII."""
    return name.isascii() and name.isprintable()


def _key_named(name: str, labels: Collection[str]) -> Key:
    """The key of a variable or credential. In labels - and _ are the same, because variables cannot contain -."""
    section, *rest = name.lower().split(_DELIMITER)
    if section != "accounts" or len(rest) < 2:  # accounts, label and key, or no key of an account
        return (section, *rest)
    label, last = _DELIMITER.join(rest[:-1]), rest[-1]
    if label not in labels:
        label = next((known for known in labels if known.replace("-", "_") == label.replace("-", "_")), label)
    return section, label, last


def read_environment(environ: Mapping[str, str], labels: Collection[str], problems: list[str]) -> Layer:
    """The layer of all EASYTRACKING_ variables, except those that name the file and the folder to read."""
    layer = Layer("environment")
    for name in sorted(environ):
        if name.startswith(PREFIX) and not _is_plain(name):
            problems.append(f"environment {quoted(name)} is not a key; names of keys have ASCII letters only")
        elif name.startswith(PREFIX) and name not in {CONFIG_VARIABLE, SECRETS_VARIABLE}:
            problem = layer.put(_key_named(name.removeprefix(PREFIX), labels), environ[name], name)
            problems += [problem] if problem else []
    return layer


def read_credentials(
    folder: Path, variable: str, labels: Collection[str], claimed: Collection[Path], problems: list[str]
) -> Layer:
    """The layer of a folder's files, without hidden files and files that `*_file` keys name."""
    layer = Layer("credential")
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        problems.append(f"{variable} names {quoted(folder)}, which cannot be read: {reason}")
        return layer
    for path in files:
        if path.absolute() in claimed:
            continue
        if not _is_plain(path.name):
            problems.append(f"credential {quoted(path.name)} is not a key; names of keys have ASCII letters only")
            continue
        try:
            key = _key_named(path.name.removeprefix(CREDENTIALS_SET), labels)
            problem = layer.put(key, read_secret(path), path.name)
        except ValueError as error:
            problem = f"credential {bare(path.name)} {error}"
        problems += [problem] if problem else []
    return layer


def claimed_files(tree: Mapping[str, Any]) -> set[Path]:
    """The files that `*_file` keys name."""
    claimed: set[Path] = set()
    for key, value in tree.items():
        if isinstance(value, dict):
            claimed |= claimed_files(value)
        elif key.endswith("_file") and isinstance(value, str) and value.isprintable():
            claimed.add(Path(value).absolute())
    return claimed
