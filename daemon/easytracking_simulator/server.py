"""Serves a simulator on a real socket, including torn replies."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from easytracking_simulator.admin_api import PREFIX, Admin
from easytracking_simulator.errors import SimulatorError
from easytracking_simulator.http_messages import Reply, Request, Tear, TearKind, bare
from easytracking_simulator.simulator import Simulator

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 64 * 1024 * 1024  # the admin API receives files
LONGEST_SECONDS = 120.0  # the most that a fault delays an answer
NEVER_ANSWERED = frozenset({TearKind.UNREACHABLE, TearKind.TIMEOUT, TearKind.LOST})
WITHOUT_LENGTH = frozenset({TearKind.SHORT, TearKind.CLOSE_DELIMITED})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self.admin = Admin(simulator)
        self.closing = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EasyTrackingSimulator"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize: ClassVar[int] = 65536
    server: _Server

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self._write(bare(411))
            return
        request = Request.to(self.command, self.path, dict(self.headers.items()), self.rfile.read(int(length)))
        admin = request.path.startswith(PREFIX)
        reply = self.server.admin.answer(request) if admin else self.server.simulator.answer(request)
        self._carry(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815  http.server's names

    def _carry(self, reply: Reply) -> None:
        fault = reply.fault
        if fault is None:
            self._write(reply)
            return
        if fault.kind in {TearKind.TIMEOUT, TearKind.SLOW}:
            self.server.closing.wait(min(fault.seconds, LONGEST_SECONDS))
        if fault.kind in NEVER_ANSWERED:
            self._reset()
            return
        self._write(reply)
        if fault.kind is TearKind.CUT:
            self._reset()

    def _write(self, reply: Reply) -> None:
        fault = reply.fault or Tear(TearKind.SLOW)
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if fault.kind in WITHOUT_LENGTH:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.arriving())
        self.wfile.flush()

    def _reset(self) -> None:
        """Reset the connection instead of closing it."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Log nothing: the simulator keeps a journal."""


@contextlib.contextmanager
def serve(simulator: Simulator, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serve until the block ends; yield the base URL for both service and authentication. Port 0: any free port.

    SimulatorError if the address is unavailable.
    """
    try:
        server = _Server((host, port), simulator)
    except OSError as error:
        why = (
            "is in use by another program" if error.errno == errno.EADDRINUSE else f"is unavailable: {error.strerror}"
        )
        raise SimulatorError(f"the address {host}:{port} {why}; name another host or port") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="simulator", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
