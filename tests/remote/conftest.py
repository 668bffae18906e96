"""A scripted service, a clock that only tests advance, and a writer of parcels."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from easytracking_sync.remote import EasyTracking
from easytracking_sync.settings import AccountSettings

PASSWORD = 'pässw"ord<canary>&1'
CLIENT_SECRET = "client-canary-2"
JOB_ID = "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c001"

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class StillClock:
    """Time that tests set. Waiting takes no real time."""

    moment: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    seconds: float = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.pass_time(seconds)
        return wake.is_set()

    def pass_time(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.seconds += seconds


def make_token(name: str, **claims: object) -> str:
    """A readable JWT."""
    parts = [{"alg": "none"}, {"name": name, **claims}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".s"


@dataclass
class Desk:
    """The service behind a transport: answers and counts logins; other calls get the next of `answers`."""

    clock: StillClock
    answers: list[Answer] = field(default_factory=list)
    login_answers: list[Answer] = field(default_factory=list)  # after these, tokens with `token_life` are issued
    token_life: float | None = 3600.0
    logins: int = 0
    calls: list[httpx.Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            answer = self._next(request)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    def _next(self, request: httpx.Request) -> Answer:
        if not request.url.path.endswith("/AccessToken"):
            self.calls.append(request)
            return self.answers.pop(0)
        self.logins += 1
        if self.login_answers:
            return self.login_answers.pop(0)
        life = {} if self.token_life is None else {"exp": self.clock.now().timestamp() + self.token_life}
        return httpx.Response(200, json=make_token(f"token {self.logins}", **life))

    def client(self) -> EasyTracking:
        return EasyTracking(account_settings(), label="acme", clock=self.clock, network=httpx.MockTransport(self))


def account_settings(**keys: object) -> AccountSettings:
    """An account's settings with both secrets set; `keys` replace others."""
    usual = {
        "base_url": "https://base.example",
        "auth_base_url": "https://auth.example",
        "username": "mario",
        "password": PASSWORD,
        "client_secret": CLIENT_SECRET,
    }
    return AccountSettings.model_validate(usual | keys)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def desk(clock: StillClock) -> Desk:
    return Desk(clock)


@dataclass
class RawServer:
    """A loopback server that answers every call except the login with the given bytes, and closes the connection."""

    says: bytes = b""
    resets: bool = False
    port: int = 0

    def client(self) -> EasyTracking:
        address = f"http://127.0.0.1:{self.port}"
        settings = account_settings(base_url=address, auth_base_url=address)
        return EasyTracking(settings, label="acme", clock=StillClock())

    def answer(self, line: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += line.recv(65536)
        if b"/AccessToken" in asked:
            line.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"abc"')
            line.shutdown(socket.SHUT_WR)
            while line.recv(65536):
                pass
            return
        line.sendall(self.says)
        if self.resets:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        over = threading.Event()

        def serve() -> None:
            while True:
                line, _ = listener.accept()
                with line:
                    if over.is_set():
                        return
                    server.answer(line)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server
        over.set()
        socket.create_connection(("127.0.0.1", server.port)).close()
        thread.join()


@dataclass(frozen=True)
class Packer:
    """Writes parcels: `rows` are (id, fileName, fileType), `entries` are (name, bytes)."""

    def __call__(
        self,
        rows: list[tuple[object, object, object]],
        entries: list[tuple[str, bytes]],
        *,
        index: bytes | None = None,
        index_name: str = "indice.json",
        compression: int = zipfile.ZIP_DEFLATED,
    ) -> io.BytesIO:
        body = io.BytesIO()
        listed = [{"id": doc_id, "fileName": name, "fileType": kind} for doc_id, name, kind in rows]
        with zipfile.ZipFile(body, "w", compression) as zipped:
            for name, content in entries:
                zipped.writestr(zipfile.ZipInfo(name), content, compression)
            zipped.writestr(index_name, json.dumps({"files": listed}).encode() if index is None else index)
        return body


@pytest.fixture(scope="session")
def pack() -> Packer:
    return Packer()
