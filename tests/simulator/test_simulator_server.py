"""The simulator on a real socket, as an httpx transport, its admin API, and its command."""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
import sys
import threading
import time
import tomllib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from easytracking_simulator import (
    Fault,
    Faults,
    Kind,
    Options,
    Rate,
    SimulatorError,
    bad_zip,
    lost,
    odd_element,
    random_faults,
    status,
    torn,
)
from easytracking_simulator.admin_api import faults_as_json, faults_from_json
from easytracking_simulator.command import configuration, run
from easytracking_simulator.httpx_transport import SimulatorTransport
from easytracking_simulator.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulator.conftest import Desk

LIST = "/api/v10/DownloadInvoices/passive-invoices"


@pytest.fixture
def client(desk: Desk) -> Iterator[httpx.Client]:
    """httpx over a real socket, with the desk's token."""
    with (
        serve(desk.simulator) as base_url,
        httpx.Client(base_url=base_url, headers=desk.headers, timeout=10, trust_env=False, verify=False) as client,
    ):
        yield client


@pytest.fixture
def near(desk: Desk) -> Iterator[httpx.Client]:
    """httpx without a socket, with the desk's token."""
    transport = SimulatorTransport(desk.simulator)
    with httpx.Client(base_url="http://simulator", headers=desk.headers, transport=transport) as client:
        yield client


def test_a_document_is_listed_fetched_and_marked_over_a_socket(desk: Desk, client: httpx.Client) -> None:
    options = desk.simulator.options
    given = {
        "apiName": options.api_name, "clientName": options.client_name, "clientSecret": options.client_secret,
        "username": desk.account.username, "password": desk.account.password,
    }  # fmt: skip
    token = client.post("/api/Token/AccessToken", json=given).json()
    client.headers["Authorization"] = f"Bearer {token}"
    ids = [element["id"] for element in client.get(LIST, params={"fase1": "false"}).json()["invoices"]]
    job_id = client.post("/api/v10/DownloadInvoices/jobs", json={"docIds": ids}).json()["jobId"]
    desk.clock.forward(minutes=1)
    parcel = client.get(f"/api/v10/DownloadInvoices/jobs/{job_id}")
    assert parcel.headers["content-type"] == "application/octet-stream"
    assert parcel.content.startswith(b"PK\x03\x04")
    assert client.post("/api/v10/PassiveInvoices/set-fase-1", json={"docIds": ids}).status_code == 200
    assert client.get(LIST, params={"fase1": "false"}).json() == {"invoices": [], "total": 0}


def test_one_connection_serves_many_requests_without_delay(client: httpx.Client) -> None:
    started = time.monotonic()
    for _ in range(25):
        assert client.get(LIST).status_code == 200
    assert time.monotonic() - started < 1.0  # with Nagle's algorithm each would take 40 ms more


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lost(), httpx.HTTPError),
        (Fault(kind=Kind.UNREACHABLE), httpx.HTTPError),
        (Fault(kind=Kind.TIMEOUT, seconds=0.01), httpx.HTTPError),
        (torn(100), httpx.HTTPError),
    ],
)
def test_torn_replies_are_errors_over_a_socket_and_in_process(
    desk: Desk, client: httpx.Client, near: httpx.Client, fault: Fault, error: type[Exception]
) -> None:
    for one in (client, near):
        desk.simulator.script("list", fault)
        with pytest.raises(error):
            one.get(LIST)
        assert one.get(LIST).status_code == 200


@pytest.mark.parametrize(
    ("fault", "arrives"), [(torn(100, framed=False), 100), (Fault(kind=Kind.CLOSE_DELIMITED), None)]
)
def test_a_truncated_close_delimited_body_looks_complete(
    desk: Desk, client: httpx.Client, near: httpx.Client, fault: Fault, arrives: int | None
) -> None:
    for one in (client, near):
        whole = one.get(LIST, headers={"Accept-Encoding": "identity"}).content
        desk.simulator.script("list", fault)
        reply = one.get(LIST, headers={"Accept-Encoding": "identity"})
        assert "content-length" not in reply.headers
        assert reply.content == whole[:arrives]


def test_a_cut_body_arrives_up_to_the_cut(desk: Desk, near: httpx.Client) -> None:
    desk.simulator.script("list", torn(70_000 - 1))
    desk.simulator.add_document("demo1", number="7" * 100_000)
    with near.stream("GET", LIST, headers={"Accept-Encoding": "identity"}) as reply:
        parts = reply.iter_raw()
        assert len(next(parts) + next(parts)) == 70_000 - 1
        with pytest.raises(httpx.ReadError):
            next(parts)


def test_in_process_errors_are_those_of_httpx(desk: Desk, near: httpx.Client) -> None:
    kinds = {
        Kind.UNREACHABLE: httpx.ConnectError, Kind.TIMEOUT: httpx.ReadTimeout,
        Kind.LOST: httpx.ReadError, Kind.CUT: httpx.ReadError,
    }  # fmt: skip
    for kind, error in kinds.items():
        desk.simulator.script("list", Fault(kind=kind))
        with pytest.raises(error):
            near.get(LIST)


def test_a_late_answer_is_complete(desk: Desk, client: httpx.Client) -> None:
    desk.simulator.script("list", Fault(kind=Kind.SLOW, seconds=0.02))
    assert client.get(LIST).json()["total"] == 12


def test_a_hanging_call_does_not_delay_the_shutdown(desk: Desk) -> None:
    desk.simulator.script("list", Fault(kind=Kind.TIMEOUT, seconds=1000.0))
    started = time.monotonic()
    with serve(desk.simulator) as base_url:
        address = urlsplit(base_url)
        hanging = socket.create_connection((address.hostname, address.port or 0), timeout=10)
        hanging.sendall(f"GET {LIST} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while desk.simulator.scripted():
            time.sleep(0.001)
    hanging.close()
    assert time.monotonic() - started < 5


def test_a_request_without_a_length_is_411(client: httpx.Client) -> None:
    assert client.post(LIST, content=iter([b"x"])).status_code == 411


def test_an_address_in_use_is_reported(desk: Desk) -> None:
    with serve(desk.simulator) as base_url:
        port = urlsplit(base_url).port or 0
        with pytest.raises(SimulatorError, match=f"127.0.0.1:{port} is in use"), serve(desk.simulator, port=port):
            pass


# The admin API


def test_the_admin_api_returns_every_document_and_file(desk: Desk, client: httpx.Client) -> None:
    first, *_ = ids = desk.listed()
    desk.phase("set-fase-1", [first])
    told = client.get("/_simulator/documents").json()
    assert [(document["id"], document["phase_1"]) for document in told] == [(i, i == first) for i in ids]
    for ordinal, file in enumerate(told[0]["files"]):
        body = client.get(f"/_simulator/documents/{first}/files/{ordinal}").content
        assert (file["size"], file["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_the_admin_api_sets_and_scripts_faults(desk: Desk, client: httpx.Client) -> None:
    client.post("/_simulator/script", json={"call": "list", "fault": {"kind": "status", "status": 418}, "times": 2})
    client.post("/_simulator/faults", json={"always": {"list": {"kind": "html"}}, "refused": [1]})
    assert [client.get(LIST).status_code for _ in range(3)] == [418, 418, 200]
    assert client.get("/_simulator/faults").json()["standing"]["refused"] == [1]
    client.post("/_simulator/calm", json={})
    assert client.get(LIST).json()["total"] == 12


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        random_faults(0.3),
        Faults(
            always={"list": odd_element("nul", 7)},
            spoilt={7: bad_zip("bomb", 7, size=9)},
            rates=(Rate(call="any", chance=0.1, fault=status(503, retry_after="3", body=b"x")),),
            unmarkable=frozenset({1}),
            list_cap=3,
        ),
    ],
)
def test_standing_faults_survive_conversion_to_json_and_back(faults: Faults) -> None:
    assert faults_from_json(faults_as_json(faults)) == faults


def test_the_admin_api_adds_changes_marks_and_withdraws_documents(desk: Desk, client: httpx.Client) -> None:
    files = {"FA": {"name": "a.xml", "base64": base64.b64encode(b"<a/>").decode()}}
    added = client.post("/_simulator/documents", json={"account": "demo1", "files": files, "fields": {"number": "9"}})
    doc_id = added.json()["id"]
    assert desk.simulator.files(doc_id)[0].body == b"<a/>"
    client.post(f"/_simulator/documents/{doc_id}/change", json={"files": {"FA": {"name": "a.xml", "base64": ""}}})
    assert client.get(f"/_simulator/documents/{doc_id}").json()["files"][0]["size"] == 0
    client.post("/_simulator/phase", json={"phase": 2, "ids": [doc_id], "on": True})
    assert desk.simulator.marked(2) == {doc_id}
    client.post(f"/_simulator/documents/{doc_id}/withdraw", json={})
    assert client.get(f"/_simulator/documents/{doc_id}").json()["withdrawn"] is True


def test_the_admin_api_returns_calls_and_journal(desk: Desk, client: httpx.Client) -> None:
    desk.phase("set-fase-1", desk.listed()[:1])
    calls = client.get("/_simulator/calls").json()["calls"]
    assert {"call": "set-fase-1", "account": "demo1", "status": 200, "count": 1} in calls
    assert client.get("/_simulator/journal").json()[-1]["ids"] == desk.listed()[:1]


def test_the_admin_api_revokes_tokens(client: httpx.Client) -> None:
    client.post("/_simulator/tokens/revoke", json={})
    assert client.get(LIST).status_code == 401


@pytest.mark.parametrize(
    ("path", "given", "status_code"),
    [
        ("nothing", {}, 404),
        ("documents/7/change", {}, 404),
        ("script", {"call": "list"}, 200),
        ("script", {"call": "lists"}, 400),
        ("script", {"call": "list", "fault": {"kind": "nonsense"}}, 400),
        ("script", {"call": "list", "fault": {"kind": "status", "colour": 1}}, 400),
        ("faults", {"weather": "bad"}, 400),
        ("phase", {"phase": 3, "ids": []}, 400),
        ("documents", {"account": "nobody"}, 400),
    ],
)
def test_the_admin_api_reports_invalid_requests(
    client: httpx.Client, path: str, given: dict[str, object], status_code: int
) -> None:
    reply = client.post(f"/_simulator/{path}", json=given)
    assert reply.status_code == status_code
    assert status_code == 200 or reply.json()["message"]


# The command


@pytest.fixture
def running() -> Iterator[Callable[..., list[str]]]:
    """Runs the command in a thread; returns what it announces once it listens."""
    ends: list[tuple[threading.Event, threading.Thread]] = []

    def start(options: Options) -> list[str]:
        lines: list[str] = []
        ready, stop = threading.Event(), threading.Event()

        def announce(line: str) -> None:
            lines.append(line)
            if "Ctrl-C" in line:
                ready.set()

        thread = threading.Thread(target=run, args=(options, "127.0.0.1", 0, announce, stop))
        ends.append((stop, thread))
        thread.start()
        assert ready.wait(20)
        return lines

    yield start
    for stop, thread in ends:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_the_command_prints_how_to_reach_the_simulator(running: Callable[..., list[str]]) -> None:
    lines = running(Options(documents=6, accounts=2, p7m_share=0.0))
    text = next(line for line in lines if "[accounts.demo1]" in line)
    accounts = tomllib.loads(text)["accounts"]
    assert list(accounts) == ["demo1", "demo2"]
    for account in accounts.values():
        told = [line for line in lines if f"account {account['username']} " in line]
        assert account["password"] in told[0]
        assert account["base_url"] == account["auth_base_url"]
        assert httpx.get(f"{account['base_url']}/_simulator/health", trust_env=False, verify=False).json() == {
            "ok": True
        }


def test_the_configuration_s_history_begins_before_the_oldest_document(desk: Desk) -> None:
    oldest = min(element["dataRicezione"] for element in desk.invoices().json()["invoices"])
    account = tomllib.loads(configuration(desk.simulator, "http://127.0.0.1:1"))["accounts"]["demo1"]
    assert str(account["history_from"]) < oldest


def test_the_simulator_imports_nothing_of_the_client() -> None:
    code = "import sys, easytracking_simulator.command, easytracking_simulator.httpx_transport\n"
    code += "sys.exit(any(name.startswith('easytracking_sync') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_signal_stops_the_command_with_code_0() -> None:
    code = "from easytracking_simulator import Options, command\n"
    code += "command.run(Options(documents=3, p7m_share=0.0), port=0, announce=lambda line: print(line, flush=True))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout
        assert any("Ctrl-C" in line for line in iter(ran.stdout.readline, ""))
        ran.terminate()
        assert ran.stdout.read() == "Stopped.\n"
    assert ran.returncode == 0
