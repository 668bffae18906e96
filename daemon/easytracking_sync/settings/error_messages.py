"""Writes one line for each problem of a configuration: the source, the key, what is wrong and what to do."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from easytracking_sync.settings.display import bare, quoted
from easytracking_sync.settings.model import Settings
from easytracking_sync.settings.sources import CONFIG_VARIABLE, SECRETS_VARIABLE, Key, Layer

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_NEVER_SHOWN = {"password", "client_secret", "url", "proxy", "token", "urls", "heartbeat_url"}
_ADDRESSES = {"base_url", "auth_base_url"}
_ANY_LABEL = "LABEL"


def explain(error: ValidationError, layers: list[Layer]) -> list[str]:
    """One line for each problem and each unknown key; never the value of a secret."""
    lines = []
    details = [(_key_of(detail), detail) for detail in error.errors(include_url=False)]
    misspelled = {key[:-1] for key, detail in details if detail["type"] == "extra_forbidden"}
    for key, detail in details:
        if detail["type"] == "missing" and key[:-1] in misspelled:
            continue  # probably the misspelled one; one line is enough
        if detail["type"] == "extra_forbidden":
            lines += [line for layer in layers if layer.holds(key) for line in _unknown(key, layer, layers)]
        elif detail["type"] == "problems":
            problems: list[tuple[str, str]] = detail["ctx"]["problems"]
            lines += [about((*key, *below.split(".")), layers, text) for below, text in problems]
        else:
            lines.append(about(key, layers, _complaint(key, detail, layers)))
    return lines


def _key_of(detail: ErrorDetails) -> Key:
    """The key of a problem. pydantic adds a part "[key]" for a wrong label, but a key may have that name too."""
    key = tuple(str(part) for part in detail["loc"])
    return key[:-1] if key[-1:] == ("[key]",) and detail["type"] != "extra_forbidden" else key


def _nearest(wrong: Key) -> str | None:
    """The most similar key of the same table."""
    close = get_close_matches(wrong[-1].lower(), sorted(_fields(wrong[:-1])), n=1)
    return close[0] if close else None


def _complaint(key: Key, detail: ErrorDetails, layers: list[Layer]) -> str:
    match detail["type"]:
        case "missing":
            return "is missing"
        case "expected" if detail["loc"][-1] == "[key]":
            return f"is not a valid account name; it must be {detail['ctx']['expected']}"
        case "expected" if _may_be_secret(key, detail["input"]):
            return f"must be {detail['ctx']['expected']}"
        case "expected":
            return f"is {quoted(detail['input'])}, but must be {detail['ctx']['expected']}"
        case _:  # a value in the place of a table may be a misplaced secret
            layer = next(layer for layer in layers if layer.holds(key))
            spelled = {layer.spelled(known): known for known in _all_keys(layers)}
            close = get_close_matches(layer.spelled(key), spelled, n=1, cutoff=0.8) if layer.is_text else []
            fields = ", ".join(sorted(_fields(key)))
            hint = f"its keys are {fields}" if fields else "each account has its own"
            if close:
                hint = f"did you mean {close[0]}?"
            return f"is a table and takes no single value; {hint}"


def _may_be_secret(key: Key, found: object) -> bool:
    """Whether to hide the value: a secret, a table, or an address with a login or a query."""
    if key[-1] in _NEVER_SHOWN or not isinstance(found, (str, int, float)):
        return True
    return key[-1] in _ADDRESSES and not set("@?#").isdisjoint(str(found))


def about(key: Key, layers: list[Layer], text: str) -> str:
    """The line about one key. It begins with the source of the key, or of the table that lacks it."""
    dotted = ".".join(map(bare, key))
    layer = next((layer for layer in layers if layer.holds(key)), None)
    if layer is not None and key in layer.names:
        return f"{layer.origin(key)} {text}"
    if layer is None:
        layer = next((layer for layer in reversed(layers) if layer.holds(key[:-1])), None)
    if layer is None:
        return f"{dotted} {text}"
    if layer.is_text:
        known = ", ".join(name for at, name in layer.names.items() if at[: len(key) - 1] == key[:-1])
        return f"{dotted} {text} (for {bare(key[-2]) if len(key) > 1 else dotted} only {known} is set)"
    return f"{layer.title.removeprefix('file ')}: {dotted} {text}"


def _unknown(key: Key, layer: Layer, layers: list[Layer]) -> list[str]:
    """The lines about an unknown key: one for each of its variables or credentials, or one for the file."""
    opening = "" if layer.is_text else f"{layer.title.removeprefix('file ')}: "
    names = {at: f"{layer.title} {bare(name)}" for at, name in layer.names.items()}
    below = {at: name for at, name in names.items() if at[: len(key)] == key} or {key: layer.spelled(key)}
    return [f"{opening}{name} is not a key{_instead(at, key, layer, layers)}" for at, name in below.items()]


def _instead(at: Key, wrong: Key, layer: Layer, layers: list[Layer]) -> str:
    """The most similar key as this source spells it, or the keys of the table."""
    nearest = _nearest(wrong)
    if nearest:
        return f"; did you mean {layer.spelled((*wrong[:-1], nearest, *at[len(wrong) :]))}?"
    elsewhere = {layer.spelled(key): layer.spelled(key) for key in _all_keys(layers)}
    elsewhere |= {key[-1]: layer.spelled(key) for key in _all_keys(layers)}
    if layer.title == "environment":
        elsewhere |= {name: name for name in (CONFIG_VARIABLE, SECRETS_VARIABLE)}
    sought = layer.spelled(wrong) if len(wrong) == 1 else wrong[-1].lower()
    close = get_close_matches(sought, elsewhere, n=1, cutoff=0.8)
    return (
        f"; did you mean {elsewhere[close[0]]}?"
        if close
        else f"; valid keys are {', '.join(sorted(_fields(wrong[:-1])))}"
    )


def _fields(section: Key) -> dict[str, Any]:
    """The keys of a table with their types; {} if it has no fixed keys."""
    fields: dict[str, Any] = {name: info.annotation for name, info in Settings.model_fields.items()}
    for depth, part in enumerate(section):
        kind = get_args(fields["accounts"])[1] if section[0] == "accounts" and depth == 1 else fields.get(part)
        if part == "accounts" and depth == 0:
            if len(section) == 1:
                return {}
            continue
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return {}
        fields = {name: info.annotation for name, info in kind.model_fields.items()}
    return fields


def _all_keys(layers: list[Layer]) -> list[Key]:
    """Every key, for every account that a source names (or for any label)."""
    labels = {label for layer in layers if isinstance(at := layer.tree.get("accounts"), dict) for label in at}
    keys: list[Key] = []
    for name in Settings.model_fields:
        if name == "accounts":
            keys += [(name, label, key) for label in sorted(labels) or [_ANY_LABEL] for key in _fields((name, label))]
        else:
            keys += [(name, key) for key in _fields((name,))] or [(name,)]
    return keys
