"""A thread and a bounded queue for every channel, so that no channel delays another, or the sync."""

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
from easytracking_sync.observe.alarms.messages import Message

MOST_WAITING = 100
"""Messages that may wait for a channel; further ones are dropped, with a log event."""

PAUSES = (5.0, 30.0, 120.0, 300.0)
"""Seconds between attempts to send one message. All attempts together take less than `alarm_watch.RETRY_AFTER`."""

LOOK_SECONDS = 0.1


class Channel(Protocol):
    """One way to send messages."""

    @property
    def name(self) -> str:
        """Its name in logs, without secrets."""
        ...

    def send(self, message: Message) -> str:
        """Empty if it was accepted, else the reason. May take long, and may raise anything."""
        ...


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message, and the keys of the alarms whose begin or end it reports."""

    message: Message
    began: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


@dataclass(slots=True)
class _Queue:
    channel: Channel
    messages: queue.Queue[QueuedMessage | None] = field(default_factory=lambda: queue.Queue(MOST_WAITING))


class MessageQueues:
    """Accepts messages at once and sends them in the background. No method raises; only `join` waits."""

    def __init__(self, channels: Sequence[Channel], clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._stop = threading.Event()
        self._accepted: queue.SimpleQueue[QueuedMessage] = queue.SimpleQueue()
        self._queues = [_Queue(channel) for channel in channels]
        self._lock = threading.Lock()
        self._under_way = 0
        for number, own in enumerate(self._queues):
            threading.Thread(target=self._work, args=(own,), name=f"messages-{number}", daemon=True).start()

    def put(self, queued: QueuedMessage) -> None:
        """Queue this for every channel; a channel with a full queue does not get it."""
        for own in self._queues:
            try:
                with self._lock:
                    own.messages.put_nowait(queued)
                    self._under_way += 1
            except queue.Full:
                self._note(EventName.ALERT_DROPPED, own.channel, queued)

    def accepted(self) -> list[QueuedMessage]:
        """What channels accepted since the last call; a message is repeated for each channel."""
        found = []
        while not self._accepted.empty():
            found.append(self._accepted.get())
        return found

    def join(self, seconds: float) -> bool:
        """Wait at most so long until every message is sent or given up; whether that is so."""
        until = self._clock.monotonic() + seconds
        never = threading.Event()
        while (busy := self._is_busy) and self._clock.monotonic() < until:
            self._clock.wait(never, LOOK_SECONDS)
        return not busy

    def stop(self) -> None:
        """Send nothing more; a current call is left to itself."""
        self._stop.set()
        for own in self._queues:
            with contextlib.suppress(queue.Full):
                own.messages.put_nowait(None)

    @property
    def _is_busy(self) -> bool:
        with self._lock:
            return self._under_way > 0

    def _work(self, own: _Queue) -> None:
        while not self._stop.is_set() and (queued := own.messages.get()) is not None:
            if self._deliver(own.channel, queued):
                self._accepted.put(queued)
            with self._lock:
                self._under_way -= 1

    def _deliver(self, channel: Channel, queued: QueuedMessage) -> bool:
        for pause in (*PAUSES, None):
            if self._stop.is_set():
                return False
            trouble = _try(channel, queued.message)
            if not trouble:
                self._note(EventName.ALERT_SENT, channel, queued)
                return True
            self._observer.note(EventName.ALERT_FAILED, channel=channel.name, reason=trouble)
            if pause is not None:
                self._clock.wait(self._stop, pause)
        self._note(EventName.ALERT_REFUSED, channel, queued)
        return False

    def _note(self, name: EventName, channel: Channel, queued: QueuedMessage) -> None:
        self._observer.note(name, channel=channel.name, title=queued.message.title)


def _try(channel: Channel, message: Message) -> str:
    try:
        return channel.send(message)
    except Exception as error:  # noqa: BLE001  a library of a hundred services: whatever it raises, it did not send
        return type(error).__name__
