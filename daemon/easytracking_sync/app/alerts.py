"""Builds alarms and alert channels from the settings, and tests the channels."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from easytracking_sync.alarm_terms import AccountCondition
from easytracking_sync.app.composition import Instance
from easytracking_sync.app.schedule import due_after
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Clock, Effects
from easytracking_sync.errors import UsageError
from easytracking_sync.machine.observer import Observer
from easytracking_sync.observe.alarms.alarm_watch import AlarmSettings, AlarmWatch
from easytracking_sync.observe.alarms.apprise_channels import AppriseChannel, open_channels
from easytracking_sync.observe.alarms.heartbeat import Heartbeat, call
from easytracking_sync.observe.alarms.message_queues import MessageQueues
from easytracking_sync.observe.alarms.messages import MessageWriter
from easytracking_sync.observe.alarms.rules import Disk, Limits, Watched
from easytracking_sync.settings import Language, Settings
from easytracking_sync.settings.display import scheme_and_host

GRACE = timedelta(minutes=15)
"""After a start, accounts have this long to be listed before the alarm that they are silent."""

FLUSH_SECONDS = 6.0
"""How long a catch-up waits for its messages to be sent."""

LAST_FLUSH_SECONDS = 2.0
"""How long a stopping service waits for its messages to be sent."""


def channels_of(settings: Settings) -> tuple[AppriseChannel, ...]:
    """The configured channels. UsageError if apprise is not installed or does not know an address."""
    return open_channels([url.get_secret_value() for url in settings.alerts.urls])


def writer_of(settings: Settings) -> MessageWriter:
    """The writer of the messages."""
    least = settings.storage.min_free_bytes
    return MessageWriter(settings.alerts.language, settings.timezone, socket.gethostname(), least)


def limits_of(settings: Settings) -> Limits:
    """The thresholds of the alarms."""
    alerts = settings.alerts
    return Limits(timedelta(hours=alerts.backlog_hours), settings.storage.min_free_bytes + alerts.free_margin_bytes)


def alarm_settings_of(settings: Settings) -> AlarmSettings:
    """Which messages to send."""
    alerts = settings.alerts
    return AlarmSettings(limits_of(settings), settings.sync.max_attempts, alerts.new_invoices, alerts.digest)


def silent_at(settings: Settings, label: str, condition: AccountCondition) -> datetime:
    """When a missing list becomes an alarm: `silent_intervals` runs after the last one, or after the start."""
    last = condition.last_success_at or condition.created_at
    return due_after(settings.schedule(label), settings.timezone, last, settings.alerts.silent_intervals)


def fullest_disk(archive: Archive) -> Disk | None:
    """The disk of archive or spool with the least free space; None if it is unknown."""
    fullest = archive.spool.disk_space.fullest()
    if fullest is None:
        return None
    place = "" if archive.database.is_sqlite else socket.gethostname()
    return Disk(str(fullest.folder), fullest.free_bytes, place)


def alarm_watch(
    current: Callable[[], Settings],
    instance: Instance,
    effects: Effects,
    observer: Observer,
    *,
    reasons: Callable[[], Mapping[int, str]],
    grace: timedelta = timedelta(),
) -> AlarmWatch | None:
    """The alarm watch of this instance; None if no channel is configured. UsageError as for `channels_of`.

    `current` returns the settings in use, whose schedules may change; `reasons` why accounts cannot be listed, by
    account id. An account is silent at the earliest after one interval or after `grace` from now, whichever is less.
    """
    settings = current()
    alerts, clock = settings.alerts, effects.clock
    channels, heartbeat = channels_of(settings), alerts.heartbeat_url.get_secret_value()
    if not channels and not heartbeat:
        return None
    labels = {account.id: account.label for account in instance.accounts}
    begun = clock.now()

    def look(condition: AccountCondition) -> Watched:
        label = labels[condition.account_id]
        wait = min(grace, current().schedule(label).every)
        at = max(silent_at(current(), label, condition), begun + wait)
        return Watched(condition, at, reasons().get(condition.account_id, condition.trouble))

    return AlarmWatch(
        instance.archive,
        clock,
        observer,
        alarm_settings_of(settings),
        writer_of(settings),
        MessageQueues(channels, clock, observer) if channels else None,
        Heartbeat(heartbeat, clock, observer) if heartbeat else None,
        look=look,
        disk=lambda: fullest_disk(instance.archive),
    )


PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One channel by scheme and host, and why it did not accept the message; "" if it did.

    The reason may quote the channel's library, including secrets: redact it before showing it.
    """

    channel: str
    refusal: str


def try_channels(settings: Settings, clock: Clock, language: Language | None = None) -> Iterator[Trial]:
    """Try each channel and the heartbeat's monitor, one after the other, each for at most 30 seconds.

    UsageError, before any is tried, if there is none or one cannot be opened.
    """
    if language is not None:
        alerts = settings.alerts.model_copy(update={"language": language})
        settings = settings.model_copy(update={"alerts": alerts})
    message = writer_of(settings).trial(clock.now())
    trials: list[tuple[str, Callable[[], str]]] = [
        (channel.name, functools.partial(channel.send, message)) for channel in channels_of(settings)
    ]
    heartbeat = settings.alerts.heartbeat_url.get_secret_value()
    if heartbeat:
        trials.append((scheme_and_host(heartbeat), functools.partial(call, heartbeat)))
    if not trials:
        raise UsageError("no alert channel is configured; set alerts.urls or alerts.heartbeat_url")
    return (Trial(name, _refusal(send)) for name, send in trials)


def _refusal(send: Callable[[], str]) -> str:
    answers: list[str] = []

    def try_it() -> None:
        try:
            answers.append(send())
        except Exception as error:  # noqa: BLE001  the library may raise anything; then the message was not sent
            answers.append(type(error).__name__)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return answers[0] if answers else f"no answer within {PATIENCE_SECONDS:.0f} seconds"
