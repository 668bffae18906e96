"""Runs the tests on other dates: in a year, in ten, on 29 February, and in both nights of the clock changes.

The machine's clock is moved for the tests' processes only, by a preloaded library (Debian's `libfaketime`). The
monotonic clock stays true, as it does on a real machine whose wall clock is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRELOADED = "faketime/libfaketimeMT.so.1"
MISSING = "*** The tests were not run on other dates: apt-get install libfaketime ***"


def other_dates(now: datetime) -> Iterator[tuple[str, datetime]]:
    """What is special about each date, and the instant at which its tests begin."""
    yield "in a year", now + timedelta(days=366)
    yield "in ten years", now + timedelta(days=3653)
    leap_year = now.year + 4 - now.year % 4
    yield "29 February", datetime(leap_year, 2, 29, 11, tzinfo=UTC)
    # Italy's clocks change at 01:00 UTC on the last Sundays of March and of October.
    yield "the night clocks go forward", last_sunday(now.year + 1, 3) + timedelta(minutes=59)
    yield "the night clocks go back", last_sunday(now.year + 1, 10) + timedelta(minutes=59)


def last_sunday(year: int, month: int) -> datetime:
    """Of a month with 31 days; its midnight, UTC."""
    last = datetime(year, month, 31, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() + 1) % 7)


def environment(library: Path, offset: timedelta) -> dict[str, str]:
    """The tests' environment: this one, its wall clock moved by the offset."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{offset.total_seconds():+.0f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "FAKETIME_NO_CACHE": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }


def main() -> int:
    """Zero where the tests pass on every date, or where the library is missing and the run says so."""
    library = next(Path("/usr/lib").glob(f"*/{PRELOADED}"), None)
    if library is None:
        print(MISSING)
        return 0
    failed = []
    for special, instant in other_dates(datetime.now(UTC)):
        print(f"{special}: {instant:%Y-%m-%d %H:%M} UTC", flush=True)
        tests = [sys.executable, "-m", "pytest", "-n", "auto", "-m", "not long", *sys.argv[1:]]
        moved = environment(library, instant - datetime.now(UTC))
        if subprocess.run(tests, check=False, env=moved).returncode:
            failed.append(special)
    print(f"failed: {', '.join(failed)}" if failed else "passed on every date")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
