"""A mailbox as a sink, over SMTP with TLS."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from easytracking_sync.deliver.delivery import Receipt
from easytracking_sync.deliver.event_sink import Announcement
from easytracking_sync.deliver.mail_message import Letterhead, compose
from easytracking_sync.errors import SinkRefused, SinkUnavailable, UsageError

TIMEOUT_SECONDS = 30.0
MOST_BYTES = 20_000_000
_BASE64_GROWTH = 1.37
_ROOM_PER_DOCUMENT = 10_000


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    TLS = "tls"  # from the beginning, mostly port 465
    STARTTLS = "starttls"  # mostly port 587; without it nothing is sent
    NONE = "none"  # this machine only


class Per(StrEnum):
    """What one message contains."""

    DOCUMENT = "document"
    DAY = "day"  # all documents stored on one day; give whole days only


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where to hand over mail. UsageError for an unprotected connection to another machine."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if self.security is Security.NONE and not _is_loopback(self.host):
            raise UsageError(
                f"{self.host}: mail needs tls or starttls; an unprotected server must be on this machine"
            )

    def connect(self) -> smtplib.SMTP:
        """A connection that is protected and logged in; errors of smtplib."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.security is Security.TLS:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            if self.security is Security.STARTTLS:
                smtp.starttls(context=context)
            smtp.ehlo_or_helo_if_needed()
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


class Mail:
    """Sends the same message to all recipients or to none. Messages stay below `most_bytes`."""

    def __init__(
        self, server: MailServer, letterhead: Letterhead, per: Per = Per.DOCUMENT, most_bytes: int = MOST_BYTES
    ) -> None:
        self._server = server
        self._letterhead = letterhead
        self._per = per
        self._most_bytes = most_bytes

    def groups(self, announcements: Sequence[Announcement]) -> tuple[tuple[Announcement, ...], ...]:
        """See EventSink. A day that is too large for one message is divided; the same way if its end is missing."""
        groups: list[list[Announcement]] = []
        room = 0.0
        for one in announcements:
            size = _ROOM_PER_DOCUMENT + _BASE64_GROWTH * sum(len(attached.content) for attached in one.attachments)
            same_day = bool(groups) and groups[-1][-1].stored_at.date() == one.stored_at.date()
            if self._per is Per.DAY and same_day and size <= room:
                groups[-1].append(one)
                room -= size
            else:
                groups.append([one])
                room = self._most_bytes - size
        return tuple(tuple(group) for group in groups)

    def send(self, group: Sequence[Announcement]) -> Receipt:
        """See EventSink."""
        content = compose(group, self._letterhead)
        if len(content) > self._most_bytes:
            raise SinkRefused(
                f"the message has {len(content)} bytes, more than {self._most_bytes}; raise the limit, or send a link"
            )
        host = self._server.host
        try:
            smtp = self._server.connect()
            try:
                self._hand_over(smtp, content)
            finally:
                _leave(smtp)
        except smtplib.SMTPResponseException as error:  # of the greeting or the login: it concerns the server
            raise SinkUnavailable(f"{host} answered {error.smtp_code} before the message was sent") from error
        except ssl.SSLCertVerificationError as error:
            raise SinkUnavailable(f"{host}: its certificate is not trusted: {error.verify_message}") from error
        except (OSError, ValueError) as error:  # smtplib's own errors are OSErrors
            raise SinkUnavailable(f"{host} did not take mail: {type(error).__name__}") from error
        return Receipt(answer=f"{host} took the message")

    def _hand_over(self, smtp: smtplib.SMTP, content: bytes) -> None:
        limit = smtp.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(content):
            raise SinkRefused(f"{self._server.host} takes {limit} bytes; the message has {len(content)}: send a link")
        self._require(smtp.mail(self._letterhead.sender)[0], "the sender")
        for recipient in self._letterhead.recipients:
            self._require(smtp.rcpt(recipient)[0], f"the recipient {recipient}")
        self._require(smtp.data(content)[0], "the message")

    def _require(self, code: int, what: str) -> None:
        if 200 <= code < 300:
            return
        said = f"{self._server.host} answered {code} to {what}"
        if 500 <= code < 600:
            raise SinkRefused(f"{said}: it does not take it; ask its administrator")
        raise SinkUnavailable(said)


def _leave(smtp: smtplib.SMTP) -> None:
    """The message is taken or not by now: a failing goodbye changes nothing."""
    try:
        smtp.quit()
    except (OSError, ValueError):
        smtp.close()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
