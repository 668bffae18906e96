"""A signal ends a command whatever the main thread does, and is handled once."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOST = """
import gc, os, signal, sys, threading, time
from easytracking_sync.cli.signals import Terminated, ending_the_command

class Finaliser:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.05)

sys.unraisablehook = lambda _: print("lost", flush=True)
try:
    with ending_the_command():
        thing = Finaliser()
        del thing
        threading.Event().wait(20)
        print("never told")
except (Terminated, KeyboardInterrupt) as told:
    print(type(told).__name__)
"""

SLOW_FAREWELL = """
import os, signal, threading
from easytracking_sync.cli.signals import Terminated, ending_the_command
try:
    with ending_the_command():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(20)
        finally:
            threading.Event().wait(2.5)
            print("in order")
except Terminated:
    print("Terminated")
"""


def lines(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("name", "told"), [("SIGTERM", "Terminated"), ("SIGINT", "KeyboardInterrupt")])
def test_a_signal_whose_exception_was_lost_is_sent_again(name: str, told: str) -> None:
    """It came while Python was in a finaliser, which drops what is raised in it."""
    assert lines(LOST.format(name=name)) == ["lost", told]


def test_a_signal_during_shutdown_is_ignored() -> None:
    """However long the shutdown takes."""
    assert lines(SLOW_FAREWELL) == ["in order", "Terminated"]
