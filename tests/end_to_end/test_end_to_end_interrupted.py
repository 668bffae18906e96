"""Killed, terminated, started twice: a process may end at any moment, and the next one finishes its work."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from easytracking_simulator import Fault, Faults, Kind

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place

KILLS = 4
SLOW = Fault(kind=Kind.SLOW, seconds=30.0)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Until it happened, or the process ended; an AssertionError after that long."""
    until = time.monotonic() + seconds
    while not happened() and process.poll() is None:
        assert time.monotonic() < until, "it never happened"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)


def test_killed_and_restarted_at_any_moment_it_loses_nothing_and_acknowledges_nothing_early(busy: Place) -> None:
    """SIGKILL after so many calls and a little more; then a run to the end, and one that has nothing to do."""
    dice = random.Random("kills")
    killed = 0
    for _ in range(KILLS):
        calls = busy.simulator.count() + dice.randint(1, 12)
        with busy.started("catch-up") as process:
            wait_until(lambda calls=calls: busy.simulator.count() >= calls, process)  # type: ignore[misc]
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            killed += process.wait(30) == -signal.SIGKILL
            busy.expect_nothing_told_too_early()
    assert killed >= 1
    busy.catch_up()
    busy.expect_all_home()
    calls = busy.calls()
    busy.catch_up()
    assert busy.calls() == calls


def test_row_25_terminated_while_a_call_hangs_it_ends_within_ten_seconds_and_resumes(small: Place) -> None:
    """SIGTERM: exit code 143, one line, no traceback; the next run goes on from there."""
    for call in ("list", "fetch", "acknowledge"):
        small.simulator.faults = Faults(always={call: SLOW})
        before = small.simulator.count(call)
        with small.started("catch-up") as process:
            wait_until(lambda call=call, before=before: small.simulator.count(call) > before, process)  # type: ignore[misc]
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
            assert time.monotonic() - begun < 10
        assert process.returncode == 143, err
        *log, told = err.splitlines()
        assert told == "easytracking-sync: terminated; start it again to resume"
        assert all('"event": "batch.lost"' in line for line in log), "what was reserved is reserved anew"
        small.expect_nothing_told_too_early()
    small.simulator.clear_faults()
    small.catch_up()
    assert set(small.simulator.marked()) == set(small.simulator.ids()) == small.stored()


def test_a_second_catch_up_on_the_same_archive_is_refused_and_names_the_first(small: Place) -> None:
    small.simulator.faults = Faults(always={"list": SLOW})
    with small.started("catch-up") as first:
        wait_until(lambda: small.simulator.count("list") > 0, first)
        code, out, err = small.run("catch-up")
        assert (code, out) == (5, "")
        assert re.search(rf"in use by pid {first.pid}, host \S+, command catch-up", err)
        assert first.poll() is None
