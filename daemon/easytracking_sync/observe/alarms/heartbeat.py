"""A sign of life for a dead-man monitor: somebody else's clock raises the alarm when it stays away."""

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
    """Call the monitor once, without following it elsewhere; empty where it took note, else why it did not."""
    opener = urllib.request.build_opener(_Straight)
    try:
        answer: HTTPResponse
        with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:  # http or https, says the configuration
            return "" if answer.status < 300 else f"it answered {answer.status}"
    except urllib.request.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return type(getattr(error, "reason", error)).__name__


class Heart:
    """Calls a monitor from a thread of its own, at most one call at a time; nothing here blocks or raises."""

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
        threading.Thread(target=self._work, name="heart", daemon=True).start()

    def beat(self) -> None:
        """Call it soon; while a call is under way, one more after it."""
        self._idle.clear()
        self._due.set()

    def join(self, seconds: float) -> bool:
        """Wait at most so long until no call is under way; whether none is."""
        return self._clock.wait(self._idle, seconds)

    def stop(self) -> None:
        """Call no more; a call under way is left to itself."""
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


class _Straight(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, and not the one that was hoped for."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow."""
