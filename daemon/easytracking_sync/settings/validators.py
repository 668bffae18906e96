"""Validators of values from TOML, environment and credentials: each returns the typed value, or says what it expects.

Each raises one pydantic error of type "expected" whose context completes the sentence "must be …". None repeats the
value, because it may be a secret.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainValidator, SecretStr, ValidatorFunctionWrapHandler
from pydantic_core import PydanticCustomError

from easytracking_sync.settings.cron import cron_numbers
from easytracking_sync.settings.display import brief, either
from easytracking_sync.terms import FileType

Choice = TypeVar("Choice", bound=StrEnum)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EARLIEST = date(2000, 1, 1)
_MOST_SECRET_BYTES = 65536


def refuse(expected: str) -> NoReturn:
    """Raise the error that says the value must be `expected`."""
    raise PydanticCustomError("expected", "{expected}", {"expected": expected})


def plain_text(value: object) -> str:
    """Printable text, without blanks around it; may be empty."""
    if not isinstance(value, str):
        refuse("text in quotes")
    if not value.isprintable():
        refuse("text without control characters")
    return value.strip()


def required_text(value: object) -> str:
    """Like `plain_text`, but not empty."""
    return plain_text(value) or refuse("text that is not empty")


def secret(value: object) -> SecretStr:
    """A secret, unchanged; may be empty."""
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        refuse("text in quotes")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse("text in UTF-8")
    return SecretStr(value)


def read_secret(path: Path) -> str:
    """The secret in a file, without the final newline. The text of ValueError completes "the file …"."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ValueError(f"cannot be read: {reason}") from None
    if len(content) > _MOST_SECRET_BYTES:
        raise ValueError(f"is longer than {_MOST_SECRET_BYTES} bytes, too long for a secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("is empty")
    return text


def is_file(path: Path) -> bool:
    """Whether this is a file that can be accessed."""
    try:
        return path.is_file()
    except OSError:
        return False


def whole(least: int, most: int) -> PlainValidator:
    """A whole number within bounds, also as text; not true or 1.0."""

    def read(value: object) -> int:
        number = value
        if isinstance(value, str):
            try:
                number = int(value)
            except ValueError:
                number = None
        if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
            return number
        refuse(f"a whole number from {least:_} to {most:_}")

    return PlainValidator(read)


def seconds(least: float, most: float) -> PlainValidator:
    """A number of seconds within bounds."""

    def read(value: object) -> float:
        number = _number(value)
        return number if number is not None and least <= number <= most else refuse(_range(least, most))

    return PlainValidator(read)


def _range(least: float, most: float) -> str:
    return f"a number of seconds from {least:g} to {most:g}"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def duration(least: timedelta, most: timedelta) -> PlainValidator:
    """A duration like "90s", "15m", "1h", "1d", or a number of seconds."""

    def read(value: object) -> timedelta:
        if isinstance(value, timedelta):
            number: float | None = value.total_seconds()
        elif isinstance(value, str) and value[-1:] in _UNITS:
            amount = _number(value[:-1])
            number = None if amount is None else amount * _UNITS[value[-1]]
        else:
            number = _number(value)
        if number is None or not least.total_seconds() <= number <= most.total_seconds():
            refuse(f'a time like "90s", "15m", "1h" or "1d", from {brief(least)} to {brief(most)}')
        return timedelta(seconds=number)

    return PlainValidator(read)


def unless_empty(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    """None for an empty value, else the result of `read`."""
    return None if value is None or value == "" else read(value)


def yes_or_no(value: object) -> bool:
    """true or false, also as text."""
    known: dict[object, bool] = {"true": True, "false": False}
    found = value if isinstance(value, bool) else known.get(value.lower() if isinstance(value, str) else None)
    return found if found is not None else refuse("true or false")


def time_of_day(value: object) -> time:
    """A time of day, as "HH:MM"."""
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", value):
        refuse('a time of day like "07:30", or empty for none')
    hour, _, minute = value.partition(":")
    return time(int(hour), int(minute))


def one_of(choices: type[Choice]) -> PlainValidator:
    """One of an enumeration's values."""

    def read(value: object) -> Choice:
        found = next((choice for choice in choices if choice.value == value), None)
        return found if found is not None else refuse(either(choice.value for choice in choices))

    return PlainValidator(read)


def name_among(names: Iterable[str]) -> PlainValidator:
    """One of these names, or empty."""
    known = tuple(names)

    def read(value: object) -> str:
        return value if isinstance(value, str) and value in ("", *known) else refuse(either(known))

    return PlainValidator(read)


def file_types(value: object) -> tuple[FileType, ...]:
    """One or more distinct file types, in the given order; in text separated by commas."""
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    known = {kind.value: kind for kind in FileType}
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        refuse("a list of FA, MT, FU and FI with at least one of them")
    if not set(names) <= set(known) or len(set(names)) < len(names):
        refuse("a list of FA, MT, FU and FI, each at most once")
    return tuple(known[name] for name in names)


def history_start(value: object) -> date:
    """A date, as a TOML date or as yyyy-mm-dd."""
    day: object = value
    if isinstance(value, str):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
    if not isinstance(day, date) or isinstance(day, datetime) or day < _EARLIEST:
        refuse(f"a date like 2019-01-01, not before {_EARLIEST}")
    return day


def zone(value: object) -> ZoneInfo:
    """A time zone, by name."""
    if isinstance(value, ZoneInfo):
        return value
    if not isinstance(value, str):
        refuse('the name of a time zone, like "Europe/Rome"')
    try:
        return ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        close = get_close_matches(value, sorted(available_timezones()), n=1)
        refuse(f'the name of a time zone, like "{close[0] if close else "Europe/Rome"}"')


def label(value: object) -> str:
    """An account's label, in lower case."""
    text = value.lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[a-z0-9_-]{1,64}", text):
        refuse("a label of 1 to 64 letters, digits, - and _")
    return text


def route(value: object) -> str:
    """The API version in the service's address, like v10."""
    return value if isinstance(value, str) and re.fullmatch(r"v[0-9]{1,3}", value) else refuse("a route like v10")


def tax_code(value: object) -> str:
    """A VAT number or tax code; may be empty."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9]{0,28}", value):
        refuse("a VAT number or tax code in quotes, letters and digits only")
    return value


def optional_path(value: object) -> Path | None:
    """A path; None if it is empty."""
    if value is None or isinstance(value, Path):
        return value
    text = plain_text(value)
    return Path(text) if text else None


def cron(value: object) -> str:
    """A cron expression of five fields; may be empty."""
    if value == "":
        return ""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    try:
        cron_numbers(text)
    except ValueError as error:
        refuse(str(error))
    return text
