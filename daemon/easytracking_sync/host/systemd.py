"""Reports the service's state to systemd, over the socket of sd_notify(3).

Only the service's own loop sends WATCHDOG=1, never a timer, so that systemd notices a loop that hangs.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from easytracking_sync.effects import Clock

MOST_STATUS_CHARS = 200
MESSAGES_PER_WATCHDOG_INTERVAL = 4
"""Messages per watchdog interval, so that one delayed message does not restart the service."""


class Systemd:
    """A supervisor that notifies systemd; it does nothing if `NOTIFY_SOCKET` is not set."""

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self.watchdog_seconds = _watchdog_seconds(environ)
        self._alive_at: float | None = None
        self._status = ""

    def preparing(self, status: str) -> None:
        """STATUS= before the start: a database that is not up yet, or a migration, may take its time."""
        self._notify(f"STATUS={status}")

    def started(self) -> None:
        self._notify("READY=1")

    def alive(self, status: str) -> None:
        """WATCHDOG=1 if it is due, STATUS= if it changed."""
        status = " ".join(status.split())[:MOST_STATUS_CHARS]
        state = []
        if status != self._status:
            state.append(f"STATUS={status}")
            self._status = status
        now = self._clock.monotonic()
        pause = None if self.watchdog_seconds is None else self.watchdog_seconds / MESSAGES_PER_WATCHDOG_INTERVAL
        if pause is not None and (self._alive_at is None or now - self._alive_at >= pause):
            state.append("WATCHDOG=1")
            self._alive_at = now
        if state:
            self._notify(*state)

    def reloading(self) -> None:
        """RELOADING=1; systemd waits for the READY=1 that follows."""
        microseconds = int(self._clock.monotonic() * 1_000_000)
        self._notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._status = ""
        self._notify("STOPPING=1", "STATUS=Stopping; the next start resumes work under way")

    def _notify(self, *state: str) -> None:
        """Send the message if possible: an error must not stop the service."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(1.0)
            line.sendto("\n".join(state).encode(), address)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The watchdog interval that systemd set for this process; None if it set none."""
    meant = environ.get("WATCHDOG_PID", "")
    if meant and meant != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdecimal() and int(text) > 0 else None
