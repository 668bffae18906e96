"""The HTTP server: which requests are admitted, the headers of answers, and that failures never stop the service."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import UsageError
from easytracking_sync.host import http_server
from easytracking_sync.host.http_server import Admission, Pages, Server, application, bind

TOKEN = "a-token-of-sixteen-letters"
LOCAL = Admission(http_server.LOOPBACK_NAMES)
CLIENT = httpx.Client(trust_env=False)
"""Shared by all tests, since creating one is slower than a request."""


@dataclass
class Notes:
    """An observer that records event names."""

    heard: list[str] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)

    def note(self, name: str, /, level: str = "", **facts: object) -> None:
        self.heard.append(name)
        if name == "http.failed":
            self.told.set()


@dataclass
class State:
    """The content of the pages."""

    unhealthy: str = ""
    unready: str = ""

    @property
    def pages(self) -> Pages:
        return Pages(lambda: self.unhealthy, lambda: self.unready, lambda: ("text/plain; version=0.0.4", b"up 1\n"))


@contextmanager
def listening(app: ASGIApp, notes: Notes | None = None) -> Iterator[str]:
    """The address of a server on a free loopback port; it must stop in time."""
    sock = bind("127.0.0.1", 0)
    address = f"http://127.0.0.1:{sock.getsockname()[1]}"
    server = Server(sock, app, notes or Notes(), SystemClock())
    server.start()
    try:
        yield address
    finally:
        server.stop()
        assert sock.fileno() == -1, "the socket is closed once the server has ended"


def get(address: str, path: str, **headers: str) -> httpx.Response:
    return CLIENT.get(address + path, headers=headers)


@pytest.fixture(scope="module")
def state() -> State:
    return State()


@pytest.fixture(scope="module")
def open_server(state: State) -> Iterator[str]:
    """Without a token, for loopback names and one more."""
    with listening(application(state.pages, Admission(http_server.LOOPBACK_NAMES | {"monitor.example"}))) as address:
        yield address


@pytest.fixture(scope="module")
def token_server(state: State) -> Iterator[str]:
    with listening(application(state.pages, Admission(http_server.LOOPBACK_NAMES, TOKEN))) as address:
        yield address


def test_each_page_answers(open_server: str) -> None:
    assert (get(open_server, "/healthz").text, get(open_server, "/readyz").text) == ("ok\n", "ok\n")
    page = get(open_server, "/metrics")
    assert (page.text, page.headers["content-type"]) == ("up 1\n", "text/plain; version=0.0.4")


@pytest.mark.parametrize(("page", "key"), [("/healthz", "unhealthy"), ("/readyz", "unready")])
def test_a_problem_is_answered_by_503_and_one_line(open_server: str, state: State, page: str, key: str) -> None:
    setattr(state, key, "the loop hangs")
    try:
        answer = get(open_server, page)
    finally:
        setattr(state, key, "")
    assert (answer.status_code, answer.text) == (503, "the loop hangs\n")


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/nowhere", "/metrics/"])
def test_every_answer_has_strict_security_headers_and_no_server_name(open_server: str, path: str) -> None:
    headers = get(open_server, path).headers
    assert headers["content-security-policy"] == "default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_other_methods_and_paths_are_refused(open_server: str) -> None:
    assert CLIENT.post(open_server + "/metrics").status_code == 405
    assert get(open_server, "/").status_code == 404


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8464", "127.0.0.1", "[::1]:1", "monitor.example", "localhost."]
)
def test_a_known_host_name_is_admitted_with_any_port(open_server: str, host: str) -> None:
    assert get(open_server, "/metrics", Host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "::1", "x:y"]
)
def test_an_unknown_host_name_is_a_400_on_every_page(open_server: str, host: str) -> None:
    """A web page whose host name resolves to this machine (DNS rebinding) must not read the metrics."""
    assert get(open_server, "/metrics", Host=host).status_code == 400
    assert get(open_server, "/healthz", Host=host).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"bearer {TOKEN}x"])
def test_without_the_token_every_page_is_refused(token_server: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    for path in ("/metrics", "/readyz"):
        answer = get(token_server, path, **headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "up 1" not in answer.text


def test_with_the_token_every_page_is_answered(token_server: str) -> None:
    assert get(token_server, "/metrics", Authorization=f"Bearer {TOKEN}").text == "up 1\n"


def test_a_health_check_from_this_machine_needs_no_token(token_server: str) -> None:
    assert get(token_server, "/healthz").status_code == 200
    refusal = Admission(http_server.LOOPBACK_NAMES, TOKEN).refusal
    headers = Headers({"host": "localhost"})
    assert refusal("/healthz", "10.0.0.7", headers) is not None
    assert refusal("/healthz", "::1", headers) is None


def test_an_invalid_token_is_refused_without_an_error(token_server: str) -> None:
    answer = CLIENT.get(token_server + "/metrics", headers=[(b"Authorization", b"Bearer \xff\xfe")])
    assert answer.status_code == 401


def test_a_port_in_use_is_an_error_that_names_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"^http\.listen: 127\.0\.0\.1:{port} is in use by another program; "):
            bind("127.0.0.1", port)


def test_the_error_names_an_address_of_another_machine() -> None:
    with pytest.raises(UsageError, match=r"http\.listen: 192\.0\.2\.1:8464 is not an address of this machine"):
        bind("192.0.2.1", 8464)


def test_the_server_stops_in_time_despite_a_silent_client(state: State) -> None:
    with listening(application(state.pages, LOCAL)) as address, contextlib.ExitStack() as closing:
        port = int(address.rpartition(":")[2])
        silent = closing.enter_context(socket.create_connection(("127.0.0.1", port)))
        silent.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        assert get(address, "/healthz").status_code == 200


def test_a_new_connection_beyond_the_limit_replaces_the_oldest_idle_one(state: State) -> None:
    """No client uses up the file descriptors, and idle clients never block a health check."""
    with listening(application(state.pages, LOCAL)) as address, contextlib.ExitStack() as closing:
        port = int(address.rpartition(":")[2])
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(http_server.MOST_CONNECTIONS + 3)]
        for one in crowd:
            closing.enter_context(one)
            one.settimeout(5)
        for early in crowd[:3]:
            with contextlib.suppress(ConnectionResetError):
                assert early.recv(1) == b""
        assert get(address, "/healthz").status_code == 200
        late = crowd[-1]
        late.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert late.recv(15) == b"HTTP/1.1 200 OK"


def test_a_silent_client_is_disconnected(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTION_SECONDS", 0.05)
    with listening(application(state.pages, LOCAL)) as address:
        silent = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        with silent, contextlib.suppress(ConnectionResetError):
            silent.settimeout(5)
            assert silent.recv(1) == b""


def test_a_failure_of_the_server_is_logged_once_and_raises_nothing() -> None:
    notes = Notes()
    server = Server(bind("127.0.0.1", 0), application(State().pages, LOCAL), notes, SystemClock())
    server._server.config.load = _broken  # type: ignore[method-assign]
    server.start()
    assert notes.told.wait(5)
    assert notes.heard == ["http.listening", "http.failed"]


def _broken() -> None:
    raise RuntimeError("no loop to be had")
