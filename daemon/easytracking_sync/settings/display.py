"""Shows values and keys on one line, without secrets."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretStr

HIDDEN = "********"


def quoted(value: object) -> str:
    """A value on one line, shortened to 60 characters; paths are kept whole."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "an enormous number"  # Python refuses to write very long ones
    shown = str(value) if isinstance(value, Path) else value
    text = f'"{shown}"' if isinstance(shown, str) and shown.isprintable() else ascii(shown)
    longest = 4096 if isinstance(value, Path) else 60
    return text if len(text) <= longest else f"{text[:longest]}…"


def bare(text: str) -> str:
    """A key: like `quoted`, but plain keys have no quotes."""
    return text if re.fullmatch(r"[\w.-]{1,200}", text) else quoted(text)


def either(names: Iterable[str]) -> str:
    """The names as "A, B or C"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def brief(span: timedelta) -> str:
    """A duration in the largest whole unit, as in the configuration."""
    total = span.total_seconds()
    sizes = {"d": 86400, "h": 3600, "m": 60}
    unit = next((unit for unit, size in sizes.items() if total and total % size == 0), "s")
    return f"{total / sizes.get(unit, 1):.15g}{unit}"


def redacted(section: BaseModel) -> dict[str, Any]:
    """A section's keys as in the configuration; secrets are hidden, and unset keys are empty texts."""
    return {name: _written(name, getattr(section, name)) for name in type(section).model_fields}


def _written(name: str, value: object) -> Any:
    shown: Any = value
    match value:
        case BaseModel():
            shown = redacted(value)
        case SecretStr():
            shown = _redacted(name, value)
        case Mapping():
            shown = {str(key): _written(str(key), entry) for key, entry in value.items()}
        case tuple():
            shown = [_written(name, entry) for entry in value]
        case timedelta():
            shown = brief(value)
        case time():
            shown = value.isoformat("minutes")
        case float():
            shown = int(value) if value.is_integer() else value
        case None:
            shown = ""
        case StrEnum() | date() | Path() | ZoneInfo():
            shown = str(value)
    return shown


def _redacted(name: str, value: SecretStr) -> str:
    if name in {"urls", "heartbeat_url"}:
        return scheme_and_host(value.get_secret_value())
    if name in {"url", "proxy"}:
        return _redacted_url(value)
    return HIDDEN if value.get_secret_value() else ""


def scheme_and_host(url: str) -> str:
    """The public part of an alert address. In place of the host some services have a token, which is hidden."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return HIDDEN if url else ""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    named = re.fullmatch(
        r"localhost|\[[0-9a-fA-F:]+\]|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", host.rpartition(":")[0] or host
    )
    return f"{scheme}://{named[0] if named else HIDDEN}"


def _redacted_url(url: SecretStr) -> str:
    """The address with its password and its query hidden."""
    shown = url.get_secret_value()
    scheme, _, rest = shown.partition("://")
    if scheme != "sqlite" and "@" in rest:
        login, _, rest = rest.rpartition("@")
        user, colon, _ = login.partition(":")
        shown = f"{scheme}://{user}{colon and f':{HIDDEN}'}@{rest}"
    shown, query, _ = shown.partition("?")
    return f"{shown}?{HIDDEN}" if query else shown


def leaves(tree: Mapping[str, Any], above: str = "") -> list[str]:
    """The dotted keys of nested tables, without the tables themselves."""
    keys = []
    for name, value in tree.items():
        keys += leaves(value, f"{above}{name}.") if isinstance(value, Mapping) else [f"{above}{name}"]
    return keys
