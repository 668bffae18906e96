"""HTTP exchanges under a deadline. The errors of httpx are translated here, and only here."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import re
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, cast
from urllib.parse import urlsplit

import httpx

from easytracking_sync.effects import Clock, Network
from easytracking_sync.errors import CallFailed, ServiceUnavailable, SyncError, Unreachable, UsageError
from easytracking_sync.remote.endpoint import Endpoint
from easytracking_sync.remote.error_excerpts import Censor
from easytracking_sync.remote.inflate import inflated

CONNECT_SECONDS: Final = 5.0
CONNECT_RETRIES: Final = 2
SMALL_BODY_BYTES: Final = 64 * 1024
"""Answers that are not a list or a parcel are read no further."""

_INFLATE_STEP = 64 * 1024
_LONGEST_SECONDS_TEXT = 15

_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
_NO_ANSWER = (httpx.ReadTimeout, httpx.WriteTimeout, httpx.NetworkError, httpx.RemoteProtocolError, OSError)
_NETWORK_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Call:
    """One of the nine calls, as messages name it, and how long it may take."""

    name: str
    most_seconds: float = 60.0  # in all, the login that it may need not counted
    silence_seconds: float = 30.0  # between two pieces of the answer


@dataclass(frozen=True, slots=True)
class CallEnded:
    """One exchange with the service, after its answer was read or given up."""

    call: str  # its name
    status: str  # three digits; "none" where no answer came, "torn" where one broke off
    seconds: float  # from sending to the end of the answer
    bytes: int  # of the answer's body, as they came over the line


class Reply:
    """An answer whose status has come and whose body has not been read yet."""

    def __init__(self, response: httpx.Response, client: HttpClient, call: Call, until: float) -> None:
        self.status = response.status_code
        self.received_bytes = 0
        self.is_torn = False
        self._response = response
        self._http = client
        self._call = call
        self._until = until

    def problem(self, text: str) -> str:
        """The text of an error about this call."""
        return self._http.message(self._call, text)

    @property
    def media_type(self) -> str:
        """Without parameters, lower case; empty where there is none."""
        return str(self._response.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float | None:
        """`Retry-After` in seconds from now, however absurd; None where it is missing, past or unreadable."""
        text = str(self._response.headers.get("retry-after", "")).strip()
        if re.fullmatch(r"[0-9]+", text, re.ASCII):
            return float(text[:_LONGEST_SECONDS_TEXT])
        seconds = _seconds_ahead(text, self._http.clock)
        return seconds if seconds is not None and seconds >= 0 else None

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds the service's clock is ahead of ours, by its `Date`; None where it does not say."""
        return _seconds_ahead(str(self._response.headers.get("date", "")), self._http.clock)

    @property
    def target(self) -> str:
        """The host a redirect points at; its path and query may hold anything, and are not shown."""
        try:
            return urlsplit(str(self._response.headers.get("location", ""))).hostname or "the same host"
        except ValueError:
            return "an unreadable address"

    @property
    def declared_bytes(self) -> int | None:
        """`Content-Length`, where it is a number and the body is not compressed."""
        text = str(self._response.headers.get("content-length", ""))
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) and not self._encoding else None

    def pieces(self, torn: Callable[[str], SyncError]) -> Iterator[bytes]:
        """The body, inflated, in pieces of bounded size; `torn` makes the error for one that breaks off."""
        received = self._received(torn)
        try:
            yield from _decoded(received, self._encoding)
        except zlib.error as error:
            raise torn(self.problem(f"the compressed answer is broken ({error})")) from error

    def small_body(self) -> bytes:
        """The body of an answer that is short by nature; CallFailed where it breaks off, else ServiceUnavailable."""
        body = bytearray()
        for piece in self.pieces(CallFailed):
            body += piece
            if len(body) > SMALL_BODY_BYTES:
                raise ServiceUnavailable(self.problem(f"the answer is longer than {SMALL_BODY_BYTES} bytes"))
        return bytes(body)

    def error_text(self) -> str:
        """The message in an error's body, on one line; empty if there is none or the body breaks off."""
        body = bytearray()
        with contextlib.suppress(ServiceUnavailable):
            for piece in self.pieces(ServiceUnavailable):
                body += piece
                if len(body) > SMALL_BODY_BYTES:
                    break
        return self._http.censor.reply(bytes(body[:SMALL_BODY_BYTES]))

    @property
    def _encoding(self) -> str:
        encoding = str(self._response.headers.get("content-encoding", "")).strip().lower()
        return "" if encoding == "identity" else encoding

    def _received(self, torn: Callable[[str], SyncError]) -> Iterator[bytes]:
        """The body as it came over the line."""
        stream = self._response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        pieces = iter(stream)
        while True:
            try:
                piece = next(pieces, None)
            except _NETWORK_ERRORS as error:
                self.is_torn = True
                raise torn(self.problem(f"the answer broke off ({self._http.censor.line(_named(error))})")) from error
            if piece is None:
                return
            self.received_bytes += len(piece)
            if self._http.clock.monotonic() > self._until:
                self.is_torn = True
                raise torn(self.problem(f"the answer took longer than {self._call.most_seconds:.0f} seconds"))
            yield piece


class HttpClient:
    """The connections of one account; its threads share them. Refuses cookies and follows no redirect."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        account: str,
        clock: Clock,
        user_agent: str,
        network: Network | None,
        on_call: Callable[[CallEnded], object] | None = None,
    ) -> None:
        for name in ("httpx", "httpcore"):  # at INFO they log whole addresses
            logging.getLogger(name).setLevel(logging.WARNING)
        self.account = account
        self.clock = clock
        self.censor = Censor(endpoint.secrets)
        self.clock_ahead: float | None = None  # as of the last answer
        self._on_call = on_call
        self._client = httpx.Client(
            transport=cast("httpx.BaseTransport", network or _build_transport(endpoint, account)),
            headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    def message(self, call: Call, text: str) -> str:
        """Every error of this room begins with the account and the call."""
        return f"{self.account}: {call.name}: {text}"

    @contextlib.contextmanager
    def exchange(
        self,
        call: Call,
        method: str,
        url: str,
        *,
        until: float,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Iterator[Reply]:
        """Send, and give the reply with its body unread; closed afterwards whatever happens.

        CallFailed where the service gave no answer, Unreachable where no connection to it came about.
        What the body of the `with` raises escapes unchanged.
        """
        timeout = httpx.Timeout(call.silence_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
        begun = self.clock.monotonic()
        try:
            request = self._client.build_request(
                method, url, headers=dict(headers), params=params, content=content, timeout=timeout
            )
            response = self._client.send(request, stream=True)
        except _NETWORK_ERRORS as error:
            self._tell(call, "none", begun)
            raise _failure(error)(self.message(call, self._no_answer(error))) from error
        reply = Reply(response, self, call, until)
        self.clock_ahead = reply.clock_ahead
        try:
            yield reply
        finally:
            with contextlib.suppress(*_NETWORK_ERRORS):
                response.close()
            self._tell(call, "torn" if reply.is_torn else str(reply.status), begun, reply.received_bytes)

    def close(self) -> None:
        """Closes every connection; calls under way break off."""
        self._client.close()

    def _tell(self, call: Call, status: str, begun: float, received_bytes: int = 0) -> None:
        if self._on_call is not None:
            self._on_call(CallEnded(call.name, status, self.clock.monotonic() - begun, received_bytes))

    def _no_answer(self, error: Exception) -> str:
        reason = self.censor.line(_named(error))
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return f"the certificate is not trusted; a company's own authority goes into ca_file ({reason})"
        if isinstance(error, httpx.TimeoutException):
            return f"no answer in time ({reason})"
        return f"no answer ({reason})"


@functools.cache
def _trust(ca_file: str | None) -> ssl.SSLContext:
    """Whom to trust; one for all accounts of an authority, since building one costs a tenth of a second and a MB."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)


def _build_transport(endpoint: Endpoint, account: str) -> httpx.HTTPTransport:
    """Connecting is the one thing that is tried again here: nothing has been sent by then."""
    try:
        trust = _trust(endpoint.ca_file)
    except OSError as error:  # ssl's own errors are among them
        raise UsageError(f"{account}: ca_file {endpoint.ca_file}: {error.strerror or error}") from error
    try:
        return httpx.HTTPTransport(
            verify=trust, trust_env=False, proxy=endpoint.proxy or None, retries=CONNECT_RETRIES
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(f"{account}: proxy is not an http or https address") from error


def _seconds_ahead(text: str, clock: Clock) -> float | None:
    """From now to a moment as HTTP writes it; None where it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _failure(error: Exception) -> type[ServiceUnavailable]:
    if isinstance(error, _NO_CONNECTION):
        return Unreachable
    return CallFailed if isinstance(error, _NO_ANSWER) else ServiceUnavailable


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Undo gzip or deflate in steps; zlib.error for a body that is damaged or cut short."""
    if not encoding:
        yield from pieces
        return
    first = next(pieces, b"")
    yield from inflated(itertools.chain([first], pieces), _window_bits(encoding, first), _INFLATE_STEP)


def _window_bits(encoding: str, first: bytes) -> int:
    """zlib's word for the format. Some servers mean zlib's by "deflate", as they should, and some the bare stream."""
    if encoding in {"gzip", "x-gzip"}:
        return 16 + zlib.MAX_WBITS
    if encoding == "deflate":
        return zlib.MAX_WBITS if first[:1] and first[0] & 0x8F == 0x08 else -zlib.MAX_WBITS
    raise zlib.error(f"content encoding {encoding[:40]!r} was not asked for")
