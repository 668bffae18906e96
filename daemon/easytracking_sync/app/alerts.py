"""Alarms, composed from settings: what is watched over a station, and how somebody is told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from easytracking_sync.app.calendar import due_after
from easytracking_sync.app.composition import Station
from easytracking_sync.archive.plights import Plight
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.machine.observer import Observer
from easytracking_sync.observe.alarms.channels import AppriseChannel, open_channels
from easytracking_sync.observe.alarms.heartbeat import Heart
from easytracking_sync.observe.alarms.messages import Writer
from easytracking_sync.observe.alarms.notifier import AlarmWatch, Wishes
from easytracking_sync.observe.alarms.rules import Disk, Limits, Watched
from easytracking_sync.observe.alarms.sender import Post
from easytracking_sync.settings import Settings

GRACE = timedelta(minutes=15)
"""A service that starts after a long rest lists first, and is called silent then."""

FLUSH_SECONDS = 6.0
"""So long a one-shot waits for its messages to be accepted."""

LAST_FLUSH_SECONDS = 2.0
"""And so long a service that is told to end."""


def channels_of(settings: Settings) -> tuple[AppriseChannel, ...]:
    """The configured channels; UsageError where apprise is not installed, or does not know an address."""
    return open_channels([url.get_secret_value() for url in settings.alerts.urls])


def writer_of(settings: Settings) -> Writer:
    """Who writes the messages."""
    least = settings.storage.min_free_bytes
    return Writer(settings.alerts.language, settings.timezone, socket.gethostname(), least)


def limits_of(settings: Settings) -> Limits:
    """From when on it is an alarm."""
    alerts = settings.alerts
    return Limits(timedelta(hours=alerts.backlog_hours), settings.storage.min_free_bytes + alerts.free_margin_bytes)


def wishes_of(settings: Settings) -> Wishes:
    """What is to be told."""
    alerts = settings.alerts
    return Wishes(limits_of(settings), settings.sync.max_attempts, alerts.new_invoices, alerts.digest)


def silent_at(settings: Settings, label: str, plight: Plight) -> datetime:
    """When the account's silence becomes an alarm: so many intervals after it was listed last, or was added."""
    last = plight.last_success_at or plight.created_at
    return due_after(settings.schedule(label), settings.timezone, last, settings.alerts.silent_intervals)


def fullest_disk(archive: Archive) -> Disk | None:
    """The disk with the least room among those that the archive and its downloads lie on; None where none says."""
    fullest = archive.spool.room.fullest()
    if fullest is None:
        return None
    place = "" if archive.database.is_sqlite else socket.gethostname()
    return Disk(str(fullest.folder), fullest.free_bytes, place)


def alarm_watch(
    current: Callable[[], Settings],
    at_work: Station,
    effects: Effects,
    observer: Observer,
    *,
    reasons: Callable[[], Mapping[int, str]],
    grace: timedelta = timedelta(),
) -> AlarmWatch | None:
    """The watch over this station; None where nobody is to be told. UsageError as for `channels_of`.

    `current` gives the settings in force, whose schedules may change. `reasons` says why accounts could not be listed
    last. One that was not listed in time is silent only after an interval from now, or this much `grace`, whichever
    is less.
    """
    settings = current()
    alerts, clock = settings.alerts, effects.clock
    channels, heartbeat = channels_of(settings), alerts.heartbeat_url.get_secret_value()
    if not channels and not heartbeat:
        return None
    labels = {account.id: account.label for account in at_work.accounts}
    begun = clock.now()

    def look(plight: Plight) -> Watched:
        label = labels[plight.account_id]
        patience = min(grace, current().schedule(label).every)
        at = max(silent_at(current(), label, plight), begun + patience)
        return Watched(plight, at, reasons().get(plight.account_id, plight.trouble))

    return AlarmWatch(
        at_work.archive,
        clock,
        observer,
        wishes_of(settings),
        writer_of(settings),
        Post(channels, clock, observer) if channels else None,
        Heart(heartbeat, clock, observer) if heartbeat else None,
        look=look,
        disk=lambda: fullest_disk(at_work.archive),
    )
