"""A reply of the service: its headers, its body in pieces, and the error that its status means."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Final, NoReturn
from urllib.parse import urlsplit

import httpx

from easytracking_sync.effects import Clock
from easytracking_sync.errors import CallFailed, JobLost, Refused, ServiceUnavailable, SyncError
from easytracking_sync.redaction import Redactor
from easytracking_sync.remote.error_excerpts import message_of, one_line
from easytracking_sync.remote.inflate import InflateError, inflate

SMALL_BODY_BYTES: Final = 64 * 1024
"""No more is read of replies other than a list or a parcel."""
NETWORK_ERRORS: Final = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError)

_MOST_SECONDS_DIGITS = 15
_TEMPORARY: Final = {401, 407, 408, 425, 429}
_PAGES: Final = {"text/html", "application/xhtml+xml"}
_NO_PARCELS: Final = {*_PAGES, "application/json", "application/problem+json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One of the nine calls: its name in messages, and its timeouts."""

    name: str
    most_seconds: float = 60.0  # in total, without the login that it may need
    silence_seconds: float = 30.0  # between two pieces of the reply

    def problem(self, account: str, text: str) -> str:
        """The text of an error about this call."""
        return f"{account}: {self.name}: {text}"


class Reply:
    """A reply whose status has arrived and whose body has not been read yet."""

    def __init__(
        self, response: httpx.Response, call: Call, *, account: str, clock: Clock, redactor: Redactor, until: float
    ) -> None:
        self.status = response.status_code
        self.received_bytes = 0
        self.is_torn = False
        self._response = response
        self._call = call
        self._account = account
        self._clock = clock
        self._redactor = redactor
        self._until = until

    def problem(self, text: str) -> str:
        """The text of an error about this call."""
        return self._call.problem(self._account, text)

    @property
    def media_type(self) -> str:
        """Without parameters, in lower case; empty if there is none."""
        return self._header("content-type").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float | None:
        """`Retry-After` in seconds from now, however large; None if it is missing, past or unreadable."""
        text = self._header("retry-after").strip()
        if re.fullmatch(r"[0-9]+", text, re.ASCII):
            return float(text[:_MOST_SECONDS_DIGITS])
        seconds = _seconds_until(text, self._clock)
        return seconds if seconds is not None and seconds >= 0 else None

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds the service's clock is ahead of ours, by its `Date`; None without a readable one."""
        return _seconds_until(self._header("date"), self._clock)

    def pieces(self, torn: Callable[[str], SyncError]) -> Iterator[bytes]:
        """The inflated body in pieces of bounded size; `torn` makes the error for an incomplete body."""
        received = self._received(torn)
        try:
            yield from received if not self._encoding else _inflated(received, self._encoding)
        except InflateError as error:
            raise torn(self.problem(f"the compressed answer {error}")) from error

    def small_body(self) -> bytes:
        """A body of at most 64 KiB; CallFailed if it is incomplete, ServiceUnavailable if it is longer."""
        body = bytearray()
        for piece in self.pieces(CallFailed):
            body += piece
            if len(body) > SMALL_BODY_BYTES:
                raise ServiceUnavailable(self.problem(f"the answer is longer than {SMALL_BODY_BYTES} bytes"))
        return bytes(body)

    def excerpt(self) -> str:
        """The message in an error's body, on one line; empty if there is none or the body is incomplete."""
        body = bytearray()
        with contextlib.suppress(ServiceUnavailable):
            for piece in self.pieces(ServiceUnavailable):
                body += piece
                if len(body) > SMALL_BODY_BYTES:
                    break
        return message_of(bytes(body[:SMALL_BODY_BYTES]), self._redactor)

    def quoted(self) -> str:
        """The excerpt, as the rest of a sentence."""
        return _in_quotes(self.excerpt())

    def refuse(self) -> NoReturn:
        """Raise Refused for 400 and 403, and for another 4xx with a JSON body; else ServiceUnavailable.

        A 404 without JSON may come from a proxy or a wrong address, so no document is blamed for it.
        """
        status = self.status
        in_json = self.media_type.endswith("json") and 400 <= status < 500 and status not in _TEMPORARY
        if status in {400, 403} or in_json:
            excerpt = self.excerpt()
            text = self.problem(f"refused ({status}){_in_quotes(excerpt)}")
            raise Refused(text, status=status, reply=excerpt)
        raise self.unavailable()

    def unavailable(self) -> ServiceUnavailable:
        """The error for a status that says nothing about the request; CallFailed if the request may be the cause.

        A service that is down answers 503.
        """
        status, pause = self.status, self.retry_after
        if 300 <= status < 400:
            text = f"redirected ({status}) to {self._redirect_host}, which is never followed; "
            text += "check the addresses and the proxy"
        elif status in {404, 405}:
            text = f"there is no such call ({status}){self.quoted()}; check the addresses and the route"
        elif status == 407:
            text = "the proxy requires a user name and a password (407); check proxy"
        elif status == 429:
            text = f"too many requests (429){self.quoted()}"
        elif status >= 500:
            text = f"the service failed ({status}){self.quoted()}"
        else:
            text = f"unexpected status {status}{self.quoted()}"
        kind = CallFailed if status >= 500 and status != 503 else ServiceUnavailable
        return kind(self.problem(text), retry_after=pause)

    def expect_no_page(self) -> None:
        """ServiceUnavailable for a successful web page: something other than the service answered."""
        if self.media_type in _PAGES:
            text = f"a web page instead of the service's answer ({self.status}){self.quoted()}"
            raise ServiceUnavailable(self.problem(text), retry_after=self.retry_after)

    def pour_parcel(self, sink: Callable[[bytes], object], most_bytes: int) -> int:
        """Write the parcel into the sink; return its length. JobLost unless the whole body arrives within bounds.

        Whether a web page consumed the job is unknown. Reserving the documents again is safe.
        """
        if self.status != 200:
            raise self._job_lost(f"success without a parcel ({self.status}); its documents are reserved again")
        if self.media_type in _NO_PARCELS:
            text = f"{self.media_type} instead of a parcel{self.quoted()}; its documents are reserved again"
            raise self._job_lost(text)
        too_large = self._job_lost(f"the parcel is larger than {most_bytes} bytes")
        if (self._declared_bytes or 0) > most_bytes:
            raise too_large
        count = 0
        for piece in self.pieces(JobLost):
            count += len(piece)
            if count > most_bytes:
                raise too_large
            sink(piece)
        if not count:
            raise self._job_lost("an empty parcel; its documents are reserved again")
        return count

    def _job_lost(self, text: str) -> JobLost:
        return JobLost(self.problem(text))

    def _header(self, name: str) -> str:
        return str(self._response.headers.get(name, ""))

    @property
    def _redirect_host(self) -> str:
        """The host a redirect names. Its path and query may hold anything, so they are not shown."""
        try:
            return urlsplit(self._header("location")).hostname or "the same host"
        except ValueError:
            return "an unreadable address"

    @property
    def _encoding(self) -> str:
        encoding = self._header("content-encoding").strip().lower()
        return "" if encoding == "identity" else encoding

    @property
    def _declared_bytes(self) -> int | None:
        """`Content-Length`, if it is a number and the body is not compressed."""
        text = self._header("content-length")
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) and not self._encoding else None

    def _received(self, torn: Callable[[str], SyncError]) -> Iterator[bytes]:
        """The body as it arrives, not inflated."""
        stream = self._response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        pieces = iter(stream)
        while True:
            try:
                piece = next(pieces, None)
            except NETWORK_ERRORS as error:
                self.is_torn = True
                text = f"the answer broke off ({one_line(describe(error), self._redactor)})"
                raise torn(self.problem(text)) from error
            if piece is None:
                return
            self.received_bytes += len(piece)
            if self._clock.monotonic() > self._until:
                self.is_torn = True
                raise torn(self.problem(f"the answer took longer than {self._call.most_seconds:.0f} seconds"))
            yield piece


def describe(error: Exception) -> str:
    """The error's class and text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _in_quotes(excerpt: str) -> str:
    return f' and said "{excerpt}"' if excerpt else ""


def _seconds_until(text: str, clock: Clock) -> float | None:
    """From now to a moment in an HTTP header; None if it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _inflated(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    first = next(pieces, b"")
    return inflate(chain([first], pieces), _window_bits(encoding, first))


def _window_bits(encoding: str, first: bytes) -> int:
    """zlib's number for the format. For "deflate" some servers send a zlib stream, others a raw one."""
    if encoding in {"gzip", "x-gzip"}:
        return 16 + zlib.MAX_WBITS
    if encoding == "deflate":
        return zlib.MAX_WBITS if first[:1] and first[0] & 0x8F == 0x08 else -zlib.MAX_WBITS
    raise InflateError(f"has the encoding {encoding[:40]!r}, which was not requested")
