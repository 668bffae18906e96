"""A webhook as a sink, by Standard Webhooks 1.0.0: signed, with an id that repetitions share."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from easytracking_sync.deliver.consignment import metadata
from easytracking_sync.deliver.delivery import Receipt
from easytracking_sync.deliver.event_sink import Announcement
from easytracking_sync.deliver.guarded_post import Target
from easytracking_sync.deliver.webhook_signature import SigningSecret, signatures
from easytracking_sync.effects import Clock
from easytracking_sync.errors import SinkGone, SinkRefused, SinkUnavailable, UsageError

EVENT = "invoice.received"
TIMEOUT_SECONDS = 20.0
MOST_BYTES = 10_000_000
REFUSALS = frozenset({400, 409, 413, 415, 422})
"""These concern the message. Others (401, 404, 3xx …) concern the receiver, and hold for all messages."""


class Webhook:
    """Posts one event per document. `secrets` are the new one, then old ones that receivers may still know."""

    def __init__(self, target: Target, secrets: Sequence[SigningSecret], clock: Clock) -> None:
        if not secrets:
            raise UsageError("a webhook needs at least one secret")
        self._target = target
        self._secrets = tuple(secrets)
        self._clock = clock

    def groups(self, announcements: Sequence[Announcement]) -> tuple[tuple[Announcement, ...], ...]:
        """See EventSink: one event per document."""
        return tuple((one,) for one in announcements)

    def send(self, group: Sequence[Announcement]) -> Receipt:
        """See EventSink."""
        (announcement,) = group
        body = event_body(announcement)
        if len(body) > MOST_BYTES:
            raise SinkRefused(
                f"the event has {len(body)} bytes, more than {MOST_BYTES}; send a link instead of the files"
            )
        message_id, timestamp = announcement.consignment.id, int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "easytracking-sync",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(message_id, timestamp, body, self._secrets),
        }
        answer = self._target.post(headers, body, self._clock, TIMEOUT_SECONDS)
        if 200 <= answer.status < 300:
            return Receipt(answer=f"{self._target.shown} answered {answer.status}")
        said = f"{self._target.shown} answered {answer.status}"
        if answer.status == 410:
            raise SinkGone(f"{said}: it wants no more events; remove this sink, or repair the receiver")
        if answer.status in REFUSALS:
            raise SinkRefused(f"{said}: it does not take this event; look into the receiver's log")
        raise SinkUnavailable(said, retry_after=pause_asked_for(answer.retry_after, self._clock.now()))


def event_body(announcement: Announcement) -> bytes:
    """The event as JSON; equal for each attempt. Files are in base64 if the announcement has attachments."""
    consignment = announcement.consignment
    event = {
        "type": EVENT,
        "timestamp": announcement.stored_at.astimezone(UTC).isoformat(),
        "data": {
            **metadata(consignment),
            "link": announcement.link or None,
            "files": [
                {"type": file.type, "name": file.name, "size": file.size, "sha256": file.sha256}
                for file in consignment.files
            ],
            "attachments": [
                {"name": one.name, "media_type": one.media_type, "content": base64.b64encode(one.content).decode()}
                for one in announcement.attachments
            ],
        },
    }
    return json.dumps(event, separators=(",", ":")).encode("ascii")


def pause_asked_for(header: str | None, now: datetime) -> float | None:
    """Retry-After in seconds, from a number or a date; None if there is none that makes sense."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max((until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds(), 0.0)
