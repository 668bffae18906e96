"""The HTTP server for health and metrics: three plain pages, in a thread of its own.

Once it listens, nothing that happens to it stops the service. Connections are few and short, so that no client uses
up the file descriptors that the service needs. A new connection replaces the oldest one that waits for a request, so
that idle clients never keep a health check out.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from easytracking_sync.effects import Clock
from easytracking_sync.errors import UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Observer

KEY = "http.listen"
HEALTH = "/healthz"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
MOST_CONNECTIONS = 32
MOST_CONNECTION_SECONDS = 30.0
MOST_REQUEST_BYTES = 16 * 1024
SHUTDOWN_SECONDS = 2.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Connection": "close",
}
_ERRORS = {
    errno.EADDRINUSE: "is in use by another program; stop that program, choose another port, or leave the key empty",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
    errno.EACCES: "is a port that only root may use; choose one from 1024 on",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """What is served. `unhealthy` and `unready` give the reason on one line, or nothing if all is well."""

    unhealthy: Callable[[], str]  # answers at once
    unready: Callable[[], str]  # may take some seconds
    metrics: Callable[[], tuple[str, bytes]]  # content type and body


@dataclass(frozen=True, slots=True)
class Admission:
    """Which requests are answered: those with a known host name, and with the token if one is configured.

    The health page needs no token from this machine itself: a container's own check has none.
    """

    hosts: frozenset[str]
    token: str = ""

    def refusal(self, path: str, peer: str, headers: Headers) -> Response | None:
        """The answer to a request that is refused; None if it is not."""
        if not self._is_known(headers.get("host", "")):
            return PlainTextResponse("unknown host name; see http.allowed_hosts\n", 400)
        if not self.token or (path == HEALTH and _is_loopback(peer)):
            return None
        given = headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return None
        return PlainTextResponse("a token is needed\n", 401, {"WWW-Authenticate": "Bearer"})

    def _is_known(self, host: str) -> bool:
        name, colon, port = host.lower().rpartition(":")
        name = name if colon and port.isdecimal() else host.lower()
        return name.removesuffix(".") in self.hosts


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


class AdmissionMiddleware:
    """Refuses requests by the admission's rules, and adds the security headers to every response."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        peer = scope.get("client") or ("", 0)
        refusal = self._admission.refusal(scope["path"], peer[0], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)


def application(pages: Pages, admission: Admission) -> Starlette:
    """The pages behind the admission."""

    async def health(_request: Request) -> Response:
        return _verdict(pages.unhealthy())

    def readiness(_request: Request) -> Response:
        return _verdict(pages.unready())

    def metrics(_request: Request) -> Response:
        content_type, body = pages.metrics()
        return Response(body, headers={"Content-Type": content_type})

    routes = [Route(HEALTH, health), Route("/readyz", readiness), Route("/metrics", metrics)]
    return Starlette(routes=routes, middleware=[Middleware(AdmissionMiddleware, admission=admission)])


def _verdict(trouble: str) -> Response:
    return PlainTextResponse(f"{trouble}\n", 503) if trouble else PlainTextResponse("ok\n")


class _ShortConnection(H11Protocol):
    """A connection that is closed after seconds, or to make room for a new one while it waits for a request."""

    opened_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        super().connection_made(transport)
        self.opened_at = self.loop.time()
        self.loop.call_later(MOST_CONNECTION_SECONDS, transport.abort)
        connections = [one for one in self.connections if isinstance(one, _ShortConnection) and not one.is_closing]
        if len(connections) > MOST_CONNECTIONS:
            waiting = [one for one in connections if one.awaits_request and one is not self]
            min(waiting, key=lambda one: one.opened_at, default=self).transport.abort()

    @property
    def is_closing(self) -> bool:
        """Whether it takes no place any more."""
        return self.transport.is_closing()

    @property
    def awaits_request(self) -> bool:
        """Whether no whole request has come yet."""
        return cast("object", self.cycle) is None


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. UsageError that names the key if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = _ERRORS.get(error.errno or 0, f"cannot be used: {error.strerror or error}")
        raise UsageError(f"{KEY}: {_shown(host, port)} {why}") from error


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server:
    """Serves an application on a socket, from `start` to `stop`."""

    def __init__(self, listening: socket.socket, app: ASGIApp, observer: Observer, clock: Clock) -> None:
        self._socket = listening
        self._observer = observer
        self._clock = clock
        self._ended = threading.Event()
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # bad requests must not fill the log
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=_ShortConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=MOST_REQUEST_BYTES,
            )
        )

    def start(self) -> None:
        """Start serving; call it once."""
        host, port, *_ = self._socket.getsockname()
        self._observer.note(EventName.HTTP_LISTENING, address=_shown(host, port))
        threading.Thread(target=self._work, name="http", daemon=True).start()

    def stop(self) -> None:
        """Stop serving. Requests under way have two seconds to finish."""
        self._server.should_exit = True
        self._clock.wait(self._ended, SHUTDOWN_SECONDS)

    def _work(self) -> None:
        error = "ended by itself"
        try:
            self._server.run(sockets=[self._socket])
        except (Exception, SystemExit) as failure:  # noqa: BLE001  the service goes on without these pages
            error = type(failure).__name__
        finally:
            self._socket.close()
            self._ended.set()
        if not self._server.should_exit:
            self._observer.note(EventName.HTTP_FAILED, error=error)
