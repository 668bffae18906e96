"""Sends one message through every alert channel, to see which of them accept it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from easytracking_sync.app.alerts import channels_of, writer_of
from easytracking_sync.effects import Clock
from easytracking_sync.errors import UsageError
from easytracking_sync.observe.alarms.heartbeat import call
from easytracking_sync.settings import Language, Settings
from easytracking_sync.settings.display import scheme_and_host

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One channel by scheme and host, and why it did not accept the message; "" where it did.

    The reason may quote what the channel's library says, secrets included: redact it before it is shown.
    """

    channel: str
    refusal: str


def try_channels(settings: Settings, clock: Clock, language: Language | None = None) -> Iterator[Trial]:
    """Try each channel, and the monitor of the heartbeat, one after the other; each for 30 seconds at most.

    UsageError before any is tried where there is none, or one cannot be opened.
    """
    if language is not None:
        alerts = settings.alerts.model_copy(update={"language": language})
        settings = settings.model_copy(update={"alerts": alerts})
    letter = writer_of(settings).trial(clock.now())
    trials: list[tuple[str, Callable[[], str]]] = [
        (channel.name, functools.partial(channel.send, letter)) for channel in channels_of(settings)
    ]
    heartbeat = settings.alerts.heartbeat_url.get_secret_value()
    if heartbeat:
        trials.append((scheme_and_host(heartbeat), functools.partial(call, heartbeat)))
    if not trials:
        raise UsageError("alerts.urls names no channel, and alerts.heartbeat_url no monitor: nobody would be told")
    return (Trial(name, _refusal(send)) for name, send in trials)


def _refusal(send: Callable[[], str]) -> str:
    answers: list[str] = []

    def try_it() -> None:
        try:
            answers.append(send())
        except Exception as error:  # noqa: BLE001  a library of a hundred services: whatever it raises, it did not send
            answers.append(type(error).__name__)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return answers[0] if answers else f"no answer within {PATIENCE_SECONDS:.0f} seconds"
