"""Calls a dead-man monitor regularly; the monitor raises an alarm when the calls stop."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse

from easytracking_sync.effects import Clock
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings.display import scheme_and_host

TIMEOUT_SECONDS = 10.0
LOOK_SECONDS = 0.1


def call(url: str) -> str:
    """Call the monitor once, without following redirects; empty if it accepted, else the reason."""
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        answer: HTTPResponse
        with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:  # the configuration allows http and https only
            return "" if answer.status < 300 else f"it answered {answer.status}"
    except urllib.request.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return type(getattr(error, "reason", error)).__name__


class Heartbeat:
    """Calls a monitor from its own thread, one call at a time. No method blocks or raises."""

    def __init__(self, url: str, clock: Clock, observer: Observer, ring: Callable[[str], str] = call) -> None:
        self.name = scheme_and_host(url)
        self._url = url
        self._clock = clock
        self._observer = observer
        self._ring = ring
        self._due = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stop = threading.Event()
        threading.Thread(target=self._work, name="heartbeat", daemon=True).start()

    def beat(self) -> None:
        """Call the monitor soon; during a call, once more after it."""
        self._idle.clear()
        self._due.set()

    def join(self, seconds: float) -> bool:
        """Wait at most so long for the current call to end; whether it has."""
        return self._clock.wait(self._idle, seconds)

    def stop(self) -> None:
        """Start no more calls; a current call is left to itself."""
        self._stop.set()
        self._due.set()

    def _work(self) -> None:
        while self._due.wait() and not self._stop.is_set():
            self._due.clear()
            trouble = self._ring(self._url)
            if trouble:
                self._observer.note(EventName.HEARTBEAT_FAILED, channel=self.name, reason=trouble)
            if not self._due.is_set():
                self._idle.set()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treats a redirect as a failed call."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow."""
