"""A proxy that cuts the connection at a COMMIT: before it arrives, after it took effect, or long before it does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message of the wire protocol with which the driver ends a transaction."""

PIECE = 1 << 16


class Cut(Enum):
    """What becomes of a COMMIT whose answer the client does not get."""

    BEFORE = "before it arrives"
    AFTER = "after it took effect"
    LATE = "before it takes effect, which it does all the same"


class ConnectionCutter:
    """Stands before a server on 127.0.0.1. `plan` is asked at each COMMIT, in order, and says whether to cut there.

    With LATE the server gets the COMMIT when `late` returns.
    """

    def __init__(
        self, server: Path, plan: Callable[[int], Cut | None], late: Callable[[], object] = lambda: None
    ) -> None:
        self.commits = 0
        self.cuts = 0
        self._server = server
        self._plan = plan
        self._late = late
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Every line is cut."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for line in self._open:
                _hang_up(line)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            try:
                upstream.connect(str(self._server))
            except OSError:  # the server is down: so is the line
                client.close()
                upstream.close()
                continue
            with self._lock:
                self._open += [client, upstream]
            mute = threading.Event()
            self._start(self._to_server, client, upstream, mute)
            self._start(self._to_client, upstream, client, mute)

    def _to_server(self, client: socket.socket, upstream: socket.socket, mute: threading.Event) -> None:
        while piece := _receive(client):
            cut = self._decide() if piece.endswith(COMMIT) else None
            if cut is None:
                _send(upstream, piece)
            else:
                mute.set()
                self._cut(cut, piece, client, upstream)
                return
        _hang_up(upstream)

    def _to_client(self, upstream: socket.socket, client: socket.socket, mute: threading.Event) -> None:
        while piece := _receive(upstream):
            if not mute.is_set():
                _send(client, piece)
        if not mute.is_set():
            _hang_up(client)

    def _decide(self) -> Cut | None:
        with self._lock:
            self.commits += 1
            cut = self._plan(self.commits)
            self.cuts += cut is not None
        return cut

    def _cut(self, cut: Cut, piece: bytes, client: socket.socket, upstream: socket.socket) -> None:
        if cut is Cut.LATE:
            _hang_up(client)
            self._late()
        if cut is not Cut.BEFORE:
            _send(upstream, piece)
            _send(upstream, b"X\x00\x00\x00\x04")  # the server hangs up when it has done what came before
            while _receive(upstream):
                pass
        _hang_up(client)
        _hang_up(upstream)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


def _receive(line: socket.socket) -> bytes:
    try:
        return line.recv(PIECE)
    except OSError:
        return b""


def _send(line: socket.socket, piece: bytes) -> None:
    with contextlib.suppress(OSError):
        line.sendall(piece)


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
