"""Reads the five fields of a cron expression."""

import re
from calendar import monthrange

_EXAMPLE = 'five cron fields, like "*/15 6-22 * * *"'
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _WEEKDAYS),
)
_PART = re.compile(r"(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([1-9][0-9]?))?")
_A_LEAP_YEAR = 2024


def cron_numbers(text: str) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """Minutes, hours, days of the month, months, days of the week (0 is Sunday), each ascending and never empty.

    Raises ValueError, whose text completes the sentence "must be …"; also for a day that never comes.
    """
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(_EXAMPLE)
    minutes, hours, days, months, weekdays = (
        sorted({number for part in field.split(",") for number in _numbers(part, *bounds)})
        for field, bounds in zip(fields, _FIELDS, strict=True)
    )
    if not any(days[0] <= monthrange(_A_LEAP_YEAR, month)[1] for month in months):
        raise ValueError(f"{_EXAMPLE}; these months have no day {days[0]}")
    return minutes, hours, days, months, sorted({day % 7 for day in weekdays})


def _numbers(part: str, field: str, least: int, most: int, names: tuple[str, ...]) -> range:
    """The numbers of one part between commas. Sunday is 7 at the end of a range."""
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(_bounds(field, least, most))
    first, last, step = found.groups()
    low = least if first is None else _number(first, least, names)
    high = (low if first and not step else most) if last is None else _number(last, least, names)
    if names is _WEEKDAYS and last == _WEEKDAYS[0]:
        high = most
    if not least <= low <= most or not least <= high <= most:
        raise ValueError(_bounds(field, least, most))
    if low > high:
        raise ValueError(f"{_EXAMPLE}; in {part} the {field} range must go from lower to higher")
    return range(low, high + 1, int(step or 1))


def _number(text: str, least: int, names: tuple[str, ...]) -> int:
    """The number of a text; -1 for an unknown name."""
    if text.isdigit():
        return int(text)
    return names.index(text) + least if text in names else -1


def _bounds(field: str, least: int, most: int) -> str:
    return f"{_EXAMPLE}; the {field} is {least} to {most}"
