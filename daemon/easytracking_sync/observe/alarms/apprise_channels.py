"""Alert channels through apprise, an optional dependency; it is imported only if an address is configured."""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from easytracking_sync.errors import UsageError
from easytracking_sync.observe.alarms.messages import Message
from easytracking_sync.settings.display import scheme_and_host

EXTRA = "apprise"


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """One address."""

    name: str
    service: Any
    apprise: ModuleType

    def send(self, message: Message) -> str:
        """Send; empty if the service accepted it, else the reason. apprise limits each connection to some seconds."""
        with _logged() as said:
            accepted = self.service.notify(
                title=message.title,
                body=message.body,
                notify_type=self.apprise.NotifyType(message.tone.value),
                body_format=self.apprise.NotifyFormat.TEXT,
            )
        return "" if accepted else "; ".join(said) or "not accepted"


def open_channels(urls: Sequence[str]) -> tuple[AppriseChannel, ...]:
    """The channels of these addresses; nothing is sent. UsageError without apprise, or for an unknown address."""
    if not urls:
        return ()
    try:
        apprise = importlib.import_module(EXTRA)
    except ImportError as error:
        raise UsageError("alerts.urls: messages need apprise; install easytracking-sync[alerts]") from error
    return tuple(_channel(apprise, number, url) for number, url in enumerate(urls, start=1))


def _channel(apprise: ModuleType, number: int, url: str) -> AppriseChannel:
    service, shown = apprise.Apprise(asset=_asset(apprise)), scheme_and_host(url)
    with _logged():  # apprise logs the address
        known = service.add(url)
    if not known:
        raise UsageError(
            f"alerts.urls: number {number} ({shown}) is not an address that apprise can send to; see "
            "https://appriseit.com/services/ for the address of each service"
        )
    return AppriseChannel(shown, service, apprise)


def _asset(apprise: ModuleType) -> Any:
    """Send in the calling thread: threads of apprise would delay the end of the process."""
    try:
        return apprise.AppriseAsset(async_mode=False, service_timeout=0)
    except AttributeError:  # older versions have no such limit
        return apprise.AppriseAsset(async_mode=False)


class _MessageCollector(logging.Handler):
    """Collects the log messages of this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.said.append(record.getMessage().rstrip("."))


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what apprise logs, its only statement of a reason. Its log lines go nowhere else from then on."""
    logger, ear = logging.getLogger(EXTRA), _MessageCollector()
    logger.propagate = False
    logger.addHandler(ear)
    try:
        yield ear.said
    finally:
        logger.removeHandler(ear)
