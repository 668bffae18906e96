"""The post: every channel has a thread and a bounded queue of its own, so that none delays another, nor the sync."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from easytracking_sync.effects import Clock
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer
from easytracking_sync.observe.alarms.messages import Letter

MOST_WAITING = 100
"""Letters a channel may be behind; what comes on top is dropped, and noted."""

PAUSES = (5.0, 30.0, 120.0, 300.0)
"""Seconds between the attempts to send one letter; with the attempts themselves less than `watch.RETAKE` in all."""

LOOK_SECONDS = 0.1


class Channel(Protocol):
    """One way to tell somebody."""

    @property
    def name(self) -> str:
        """How it may be shown: no secret is in it."""
        ...

    def send(self, letter: Letter) -> str:
        """Empty where it was accepted, else why not. May take long, and may raise anything."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """A letter, and what its acceptance means to whoever posted it."""

    letter: Letter
    began: tuple[str, ...] = ()  # keys of alarms
    ended: tuple[str, ...] = ()


@dataclass(slots=True)
class _Carrier:
    channel: Channel
    letters: queue.Queue[Posted | None] = field(default_factory=lambda: queue.Queue(MOST_WAITING))


class Post:
    """Takes letters at once and delivers them in the background; nothing here blocks or raises."""

    def __init__(self, channels: Sequence[Channel], clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._stop = threading.Event()
        self._accepted: queue.SimpleQueue[Posted] = queue.SimpleQueue()
        self._carriers = [_Carrier(channel) for channel in channels]
        self._lock = threading.Lock()
        self._under_way = 0
        for number, carrier in enumerate(self._carriers):
            threading.Thread(target=self._carry, args=(carrier,), name=f"post-{number}", daemon=True).start()

    def put(self, posted: Posted) -> None:
        """Send this through every channel; a channel that is too far behind does without it."""
        for carrier in self._carriers:
            try:
                with self._lock:
                    carrier.letters.put_nowait(posted)
                    self._under_way += 1
            except queue.Full:
                self._note(EventName.ALERT_DROPPED, carrier.channel, posted)

    def accepted(self) -> list[Posted]:
        """What some channel accepted since this was asked last; one letter may come once for each channel."""
        found = []
        while not self._accepted.empty():
            found.append(self._accepted.get())
        return found

    def join(self, seconds: float) -> bool:
        """Wait at most so long until everything is sent or given up; whether it is."""
        until = self._clock.monotonic() + seconds
        never = threading.Event()
        while (busy := self._is_busy) and self._clock.monotonic() < until:
            self._clock.wait(never, LOOK_SECONDS)
        return not busy

    def stop(self) -> None:
        """Send nothing more; a call under way is left to itself."""
        self._stop.set()
        for carrier in self._carriers:
            with contextlib.suppress(queue.Full):
                carrier.letters.put_nowait(None)

    @property
    def _is_busy(self) -> bool:
        with self._lock:
            return self._under_way > 0

    def _carry(self, carrier: _Carrier) -> None:
        while not self._stop.is_set() and (posted := carrier.letters.get()) is not None:
            if self._deliver(carrier.channel, posted):
                self._accepted.put(posted)
            with self._lock:
                self._under_way -= 1

    def _deliver(self, channel: Channel, posted: Posted) -> bool:
        for pause in (*PAUSES, None):
            if self._stop.is_set():
                return False
            trouble = _try(channel, posted.letter)
            if not trouble:
                self._note(EventName.ALERT_SENT, channel, posted)
                return True
            self._observer.note(EventName.ALERT_FAILED, channel=channel.name, reason=trouble)
            if pause is not None:
                self._clock.wait(self._stop, pause)
        self._note(EventName.ALERT_REFUSED, channel, posted)
        return False

    def _note(self, name: EventName, channel: Channel, posted: Posted) -> None:
        self._observer.note(name, channel=channel.name, title=posted.letter.title)


def _try(channel: Channel, letter: Letter) -> str:
    try:
        return channel.send(letter)
    except Exception as error:  # noqa: BLE001  a library of a hundred services: whatever it raises, it did not send
        return type(error).__name__
