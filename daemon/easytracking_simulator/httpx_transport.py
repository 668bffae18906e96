"""An httpx transport to a simulator in the same process; torn replies raise the errors that httpx raises."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from easytracking_simulator.http_messages import Reply, Request, TearKind
from easytracking_simulator.simulator import Simulator

CHUNK = 65536


class SimulatorTransport(httpx.BaseTransport):
    """Pass it as `httpx.Client(transport=…)`. Nothing sleeps: timeouts and slow bodies take no time."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises ConnectError (unreachable), ReadTimeout (timeout), ReadError (lost; cut, in mid-body)."""
        url = request.url
        query = url.query.decode("ascii")
        reply = self._simulator.answer(
            Request(request.method, url.path, query, dict(request.headers.items()), request.read())
        )
        match reply.fault.kind if reply.fault else None:
            case TearKind.UNREACHABLE:
                raise httpx.ConnectError("Connection refused", request=request)
            case TearKind.TIMEOUT:
                raise httpx.ReadTimeout("timed out", request=request)
            case TearKind.LOST:
                raise httpx.ReadError("Connection reset by peer", request=request)
        return httpx.Response(reply.status, headers=_headers(reply), stream=_Stream(reply, request), request=request)


class _Stream(httpx.SyncByteStream):
    def __init__(self, reply: Reply, request: httpx.Request) -> None:
        self._reply = reply
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        body = self._reply.arriving()
        for start in range(0, len(body), CHUNK):
            yield body[start : start + CHUNK]
        if self._reply.fault and self._reply.fault.kind is TearKind.CUT:
            raise httpx.ReadError("Connection reset by peer", request=self._request)


def _headers(reply: Reply) -> list[tuple[str, str]]:
    if reply.fault and reply.fault.kind in {TearKind.SHORT, TearKind.CLOSE_DELIMITED}:
        return [*reply.headers, ("Connection", "close")]
    return [*reply.headers, ("Content-Length", str(len(reply.body)))]
