"""The HTTP client of one account: sends one request under a deadline and translates httpx's errors."""

from __future__ import annotations

import contextlib
import functools
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, cast

import httpx

from easytracking_sync import __version__
from easytracking_sync.effects import Clock, Network
from easytracking_sync.errors import CallFailed, ServiceUnavailable, Unreachable, UsageError
from easytracking_sync.redaction import Redactor
from easytracking_sync.remote.error_excerpts import one_line
from easytracking_sync.remote.reply import NETWORK_ERRORS, Call, Reply, describe
from easytracking_sync.settings import AccountSettings

CONNECT_SECONDS: Final = 5.0
CONNECT_RETRIES: Final = 2
USER_AGENT: Final = f"easytracking-sync/{__version__}"

_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
_NO_ANSWER = (httpx.ReadTimeout, httpx.WriteTimeout, httpx.NetworkError, httpx.RemoteProtocolError, OSError)


@dataclass(frozen=True, slots=True)
class CallEnded:
    """One exchange with the service, after its answer was read or given up."""

    call: str  # its name
    status: str  # three digits; "none" without an answer, "torn" for an incomplete one
    seconds: float  # from sending to the end of the answer
    bytes: int  # of the answer's body, as received


class HttpClient:
    """The connections of one account, shared by its threads. Refuses cookies and does not follow redirects."""

    def __init__(
        self,
        settings: AccountSettings,
        *,
        label: str,
        clock: Clock,
        network: Network | None,
        on_call: Callable[[CallEnded], object] | None = None,
    ) -> None:
        for name in ("httpx", "httpcore"):  # at INFO they log complete addresses
            logging.getLogger(name).setLevel(logging.WARNING)
        self.redactor = Redactor(settings.secrets, shortest=1)
        self.clock_ahead: float | None = None  # according to the last answer
        self._label = label
        self._clock = clock
        self._on_call = on_call
        self._client = httpx.Client(
            transport=cast("httpx.BaseTransport", network or _build_transport(settings, label)),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    @contextlib.contextmanager
    def exchange(
        self,
        call: Call,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Iterator[Reply]:
        """Send a request and yield the reply with its body unread; close it afterwards in any case.

        Unreachable if no connection was made, CallFailed if the service gave no answer, ServiceUnavailable for
        other network errors. What the body of the `with` raises escapes unchanged.
        """
        timeout = httpx.Timeout(call.silence_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
        begun = self._clock.monotonic()
        try:
            request = self._client.build_request(
                method, url, headers=dict(headers), params=params, content=content, timeout=timeout
            )
            response = self._client.send(request, stream=True)
        except NETWORK_ERRORS as error:
            self._report(call, "none", begun)
            raise _kind(error)(call.problem(self._label, self._no_answer(error))) from error
        reply = Reply(
            response,
            call,
            account=self._label,
            clock=self._clock,
            redactor=self.redactor,
            until=begun + call.most_seconds,
        )
        self.clock_ahead = reply.clock_ahead
        try:
            yield reply
        finally:
            with contextlib.suppress(*NETWORK_ERRORS):
                response.close()
            self._report(call, "torn" if reply.is_torn else str(reply.status), begun, reply.received_bytes)

    def close(self) -> None:
        """Close every connection; calls under way are aborted."""
        self._client.close()

    def _report(self, call: Call, status: str, begun: float, received_bytes: int = 0) -> None:
        if self._on_call is not None:
            self._on_call(CallEnded(call.name, status, self._clock.monotonic() - begun, received_bytes))

    def _no_answer(self, error: Exception) -> str:
        reason = one_line(describe(error), self.redactor)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return f"the certificate is not trusted; set ca_file to the company's own authority, if any ({reason})"
        if isinstance(error, httpx.TimeoutException):
            return f"no answer in time ({reason})"
        return f"no answer ({reason})"


def _kind(error: Exception) -> type[ServiceUnavailable]:
    if isinstance(error, _NO_CONNECTION):
        return Unreachable
    return CallFailed if isinstance(error, _NO_ANSWER) else ServiceUnavailable


@functools.cache
def _trust(ca_file: str | None) -> ssl.SSLContext:
    """The trusted authorities; cached, since building a context costs a tenth of a second and 1 MB."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)


def _build_transport(settings: AccountSettings, label: str) -> httpx.HTTPTransport:
    """Retries only connecting: nothing has been sent by then."""
    try:
        trust = _trust(str(settings.ca_file) if settings.ca_file else None)
    except OSError as error:  # ssl's own errors are among them
        raise UsageError(f"{label}: ca_file {settings.ca_file}: {error.strerror or error}") from error
    try:
        return httpx.HTTPTransport(
            verify=trust,
            trust_env=False,
            proxy=settings.proxy.get_secret_value() or None,
            retries=CONNECT_RETRIES,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise UsageError(f"{label}: proxy is not an http or https address") from error
