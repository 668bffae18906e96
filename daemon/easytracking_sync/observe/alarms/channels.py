"""Channels by way of apprise, an optional extra that knows a hundred services; imported when there is an address."""

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
from easytracking_sync.observe.alarms.messages import Letter
from easytracking_sync.settings.display import scheme_and_host

EXTRA = "apprise"


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """One address."""

    name: str
    service: Any
    apprise: ModuleType

    def send(self, letter: Letter) -> str:
        """Empty where the service took it, else why not; apprise bounds each connection by some seconds."""
        with _overheard() as said:
            accepted = self.service.notify(
                title=letter.title,
                body=letter.body,
                notify_type=self.apprise.NotifyType(letter.tone.value),
                body_format=self.apprise.NotifyFormat.TEXT,
            )
        return "" if accepted else "; ".join(said) or "it was not accepted"


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
    service, shown = apprise.Apprise(asset=_asset(apprise)), scheme_and_host(url)
    with _overheard():  # it quotes the address
        known = service.add(url)
    if not known:
        raise UsageError(
            f"alerts.urls: number {number} ({shown}) is no address that apprise can send to; see "
            "https://appriseit.com/services/ for how each service is written"
        )
    return AppriseChannel(shown, service, apprise)


def _asset(apprise: ModuleType) -> Any:
    """Everything in the thread that sends: apprise's own threads would hold up the end of the process."""
    try:
        return apprise.AppriseAsset(async_mode=False, service_timeout=0)
    except AttributeError:  # of before there was such a limit
        return apprise.AppriseAsset(async_mode=False)


class _Ear(logging.Handler):
    """Keeps what is said in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.said.append(record.getMessage().rstrip("."))


@contextlib.contextmanager
def _overheard() -> Iterator[list[str]]:
    """What apprise says meanwhile: it gives no reason otherwise. From then on its own log lines go nowhere else."""
    logger, ear = logging.getLogger(EXTRA), _Ear()
    logger.propagate = False
    logger.addHandler(ear)
    try:
        yield ear.said
    finally:
        logger.removeHandler(ear)
