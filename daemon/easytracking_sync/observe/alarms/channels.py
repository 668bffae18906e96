"""Channels by way of apprise, an optional extra that knows a hundred services; imported when there is an address."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from easytracking_sync.errors import UsageError
from easytracking_sync.observe.alarms.letters import Letter
from easytracking_sync.settings.present import scheme_and_host

EXTRA = "apprise"


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """One address."""

    name: str
    service: Any
    apprise: ModuleType

    def send(self, letter: Letter) -> bool:
        """Whether the service took it; apprise bounds each connection by some seconds."""
        return bool(
            self.service.notify(
                title=letter.title,
                body=letter.body,
                notify_type=self.apprise.NotifyType(letter.tone.value),
                body_format=self.apprise.NotifyFormat.TEXT,
            )
        )


def open_channels(urls: Sequence[str]) -> tuple[AppriseChannel, ...]:
    """The channels of these addresses, nothing is sent yet; UsageError without apprise, or where one is unknown."""
    if not urls:
        return ()
    try:
        apprise = importlib.import_module(EXTRA)
    except ImportError as error:
        raise UsageError("alerts.urls: messages need apprise; install easytracking-sync[alerts]") from error
    return tuple(_channel(apprise, number, url) for number, url in enumerate(urls, start=1))


def _channel(apprise: ModuleType, number: int, url: str) -> AppriseChannel:
    service, shown = apprise.Apprise(), scheme_and_host(url)
    if not service.add(url):
        raise UsageError(
            f"alerts.urls: number {number} ({shown}) is no address that apprise can send to; see "
            "https://appriseit.com/services/ for how each service is written"
        )
    return AppriseChannel(shown, service, apprise)
