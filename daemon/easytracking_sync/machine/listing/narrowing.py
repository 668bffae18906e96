"""Which windows are narrowed because the service does not list them, and when that is given up. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FAILURES_TO_NARROW: Final = 3
"""A window that failed so often while other lists were answered is halved."""

FAILURES_OF_A_HALF: Final = 2
"""For a part of a window that failed as a whole, fewer failures are enough."""

MOST_IN_VAIN: Final = 32
"""Windows in a row that could not be listed. From a year to the second at fault it takes 25 halvings."""

MOST_NARROWED: Final = 500
"""Halvings in one cycle: 20 seconds that cannot be listed (BOUNDED)."""


@dataclass(slots=True)
class Failures:
    """The failed calls for one window."""

    is_part: bool = False  # of a window that could not be listed
    in_row: int = 0
    counted: int = 0
    answers: int = 0  # of the cycle's lists, at the last failure


class Narrowing:
    """The rule of one cycle.

    1. A window that the service refuses is halved at once.
    2. A window that the service fails over (500, 502, 504, no answer) is halved after some failures, if other lists
       are answered in between. If there are no others, `probe` asks for one. In an outage nothing is halved.
    3. After `MOST_IN_VAIN` windows in a row nothing is halved until a list is answered: the account may not list.
    """

    def __init__(self) -> None:
        self.answers = 0
        self._in_vain = 0
        self._narrowed = 0

    def answered(self) -> None:
        """A window was listed."""
        self.answers += 1
        self._in_vain = 0

    def blames(self, failures: Failures, probe: Callable[[], bool]) -> bool:
        """A call for the window failed: whether the window is the cause."""
        failures.in_row += 1
        if self.answers > failures.answers or (failures.in_row > 1 and probe()):
            failures.counted += 1
        failures.answers = self.answers
        return failures.counted >= (FAILURES_OF_A_HALF if failures.is_part else FAILURES_TO_NARROW)

    def may_halve(self) -> bool:
        """A window cannot be listed: whether to look for the part at fault."""
        self._in_vain += 1
        self._narrowed += 1
        return self._in_vain <= MOST_IN_VAIN and self._narrowed <= MOST_NARROWED
