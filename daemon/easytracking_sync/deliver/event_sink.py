"""What every receiver of messages promises: a webhook, a mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from easytracking_sync.deliver.consignment import Consignment
from easytracking_sync.deliver.delivery import Receipt


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a message."""

    name: str
    media_type: str  # type/subtype
    content: bytes


@dataclass(frozen=True, slots=True)
class Announcement:
    """One consignment as a message: the same for each attempt."""

    consignment: Consignment
    stored_at: datetime  # when the archive stored this version
    attachments: tuple[Attachment, ...] = ()
    link: str = ""  # where the receiver fetches the files


class EventSink(Protocol):
    """A receiver of messages. Threads may share one.

    SinkUnavailable: try later. SinkRefused: it does not take this message. SinkGone: it wants no more of any.
    """

    def groups(self, announcements: Sequence[Announcement]) -> tuple[tuple[Announcement, ...], ...]:
        """In which messages to send them, in order."""
        ...

    def send(self, group: Sequence[Announcement]) -> Receipt:
        """Send one message, with an id that repetitions share. The receipt says that the receiver took it."""
        ...
