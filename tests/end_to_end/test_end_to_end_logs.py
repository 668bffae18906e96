"""The log of a real process: it contains no secret; if it cannot be written, the work continues."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from tests.end_to_end.conftest import BUSY, Place, placed
from tests.end_to_end.test_end_to_end_interrupted import wait_until

from easytracking_simulator import Fault, Kind, status

CANARIES = {
    "password": "canary-Pass,word/1",
    "client_secret": "canary-client-secret-2",
    "token": "canary-http-token-3",
    "alert": "canary-alert-4",
    "alert_path": "canaryalertpath5",
    "heartbeat": "canary-heartbeat-6",
    "proxy": "canary-proxy-7",
    "database": "canary-database-8",
}
NOBODY = "127.0.0.1:9"


def forms(secret: str) -> set[bytes]:
    """How a secret may look where it leaked."""
    escaped = json.dumps(secret)[1:-1]
    logins = [base64.b64encode(f"user:{secret}".encode()).decode(), base64.b64encode(secret.encode()).decode()]
    return {form.encode() for form in (secret, quote(secret, safe=""), quote(secret), escaped, *logins)}


def leaks(text: bytes | str) -> set[str]:
    """The names of the canaries that are in it."""
    found = text.encode() if isinstance(text, str) else text
    return {name for name, secret in CANARIES.items() if any(form in found for form in forms(secret))}


@dataclass(frozen=True)
class Secretive(Place):
    """A place whose every secret is a canary, given by a file in a folder of credentials."""

    @property
    def config(self) -> Path:
        """Two accounts without a secret."""
        own = self.folder / "secretive.toml"
        login = f'base_url = "{self.base_url}"\nauth_base_url = "{self.base_url}"\nhistory_from = 2026-06-01\n'
        accounts = "".join(f'[accounts.{name}]\n{login}username = "{name}"\n' for name in ("demo1", "demo2"))
        own.write_text(self.sections + accounts, encoding="utf-8")
        return own

    @property
    def credentials(self) -> Path:
        return self.folder / "credentials"

    @property
    def variables(self) -> dict[str, str]:
        return {"EASYTRACKING_SECRETS_DIR": str(self.credentials)}

    def put(self, name: str, secret: str) -> None:
        self.credentials.mkdir(exist_ok=True)
        (self.credentials / name).write_text(secret, encoding="utf-8")


@pytest.fixture
def secretive(tmp_path: Path) -> Iterator[Secretive]:
    few = replace(BUSY, documents=20, job_seconds=0.0, p7m_share=0.0, client_secret=CANARIES["client_secret"])
    with placed(tmp_path / "secretive", few) as place:
        made = Secretive(place.folder, place.simulator, place.base_url)
        for name in ("demo1", "demo2"):
            made.simulator.set_password(name, CANARIES["password"])
            made.put(f"accounts__{name}__password", CANARIES["password"])
            made.put(f"accounts__{name}__client_secret", CANARIES["client_secret"])
        made.put("accounts__demo2__proxy", f"http://user:{CANARIES['proxy']}@{NOBODY}")
        made.put("http__token", CANARIES["token"])
        made.put("alerts__urls", f"json://user:{CANARIES['alert']}@{NOBODY}/{CANARIES['alert_path']}")
        made.put("alerts__heartbeat_url", f"http://{NOBODY}/ping/{CANARIES['heartbeat']}")
        yield made


def echoing(code: int) -> Fault:
    """A service that repeats what it was told, secrets and all."""
    said = {"message": f"{CANARIES['password']} and {CANARIES['client_secret']} are not welcome here"}
    return status(code, body=json.dumps(said).encode())


def spoil(place: Place) -> None:
    """Faults of every kind on the way, each with the secrets in it."""
    for call, code in (("token", 500), ("list", 500), ("reserve", 403), ("fetch", 503), ("acknowledge", 500)):
        place.simulator.script(call, echoing(code))
    page = f"<html><body>{CANARIES['password']}</body></html>".encode()
    place.simulator.script("list", Fault(kind=Kind.BODY, body=page, content_type="text/html"))
    place.simulator.script("fetch", Fault(kind=Kind.BODY, body=b"no zip", content_type="application/zip"))


def test_no_secret_comes_into_logs_database_pages_errors_or_the_process_s_own_environment(
    secretive: Secretive,
) -> None:
    place = secretive
    spoil(place)
    log = place.folder / "run.log"
    arguments = ("--log-level", "debug", "--log-format", "json", "run")
    with log.open("wb") as stderr, place.started(*arguments, stderr=stderr, variables=secretive.variables) as process:
        wait_until(lambda: len(place.simulator.marked()) >= len(place.simulator.ids("demo1")), process)
        bearing = {"Authorization": f"Bearer {CANARIES['token']}"}
        (address,) = (line["address"] for line in lines(log) if line["event"] == "http.listening")
        pages = [
            httpx.get(f"http://{address}{path}", headers=headers, trust_env=False).text
            for path in ("/metrics", "/readyz", "/healthz", "/nowhere")
            for headers in (bearing, {})
        ]
        assert "easytracking_build_info" in pages[0]
        assert leaks("".join(pages)) == set()
        for name in ("environ", "cmdline"):
            assert leaks(Path(f"/proc/{process.pid}/{name}").read_bytes()) == set()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    events = {str(line["event"]) for line in lines(log)}
    assert {"list.failed", "batch.unavailable", "cycle.ended", "call.ended"} <= events, "the faults were met"
    assert any(line["event"] == "list.failed" and line["account"] == "demo2" for line in lines(log))
    assert b"are not welcome here" in log.read_bytes(), "what the service said was told"
    kept = [path for path in place.folder.rglob("*") if path.is_file() and secretive.credentials not in path.parents]
    assert place.folder / "archive.db" in kept
    for path in kept:
        assert leaks(path.read_bytes()) == set(), path
        assert path == log or b"eyJ" not in path.read_bytes() or path.suffix == ".db"


@pytest.mark.parametrize(
    "command", [("check",), ("config", "show"), ("status",), ("catch-up", "--deadline", "3"), ("alerts", "test")]
)
def test_no_command_prints_a_secret(secretive: Secretive, command: tuple[str, ...]) -> None:
    spoil(secretive)
    code, out, err = secretive.run("--log-level", "debug", *command, variables=secretive.variables)
    assert leaks(out + err) == set()
    assert code != 1, err


@pytest.mark.parametrize("command", [("check",), ("config", "show"), ("status",), ("catch-up", "--deadline", "1")])
def test_no_secret_is_printed_about_an_unreachable_database(secretive: Secretive, command: tuple[str, ...]) -> None:
    pytest.importorskip("psycopg")
    secretive.put("database__url", f"postgresql+psycopg://user:{CANARIES['database']}@{NOBODY}/easytracking")
    code, out, err = secretive.run("--log-level", "debug", *command, variables=secretive.variables)
    assert leaks(out + err) == set()
    assert code in {0, 75}, err
    assert NOBODY.partition(":")[0] in out + err


def test_no_secret_is_printed_while_the_service_waits_for_its_database(secretive: Secretive) -> None:
    pytest.importorskip("psycopg")
    secretive.put("database__url", f"postgresql+psycopg://user:{CANARIES['database']}@{NOBODY}/easytracking")
    with secretive.started("--log-level", "debug", "run", variables=secretive.variables) as process:
        assert process.stderr is not None
        heard = ""
        while "database.awaited" not in heard:
            heard += process.stderr.readline() or pytest.fail("it ended before it told that it waits")
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert leaks(heard + out + err) == set()
    assert NOBODY.partition(":")[0] in heard


def test_a_wrong_configuration_is_reported_without_its_secrets(secretive: Secretive) -> None:
    for key in ("accounts__demo1__pasword", "http__tokn", "alerts__url", "database__urls"):
        secretive.put(key, CANARIES["password"])
    code, out, err = secretive.run("check", variables=secretive.variables)
    assert code == 2
    assert leaks(out + err) == set()


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_row_25_with_its_log_on_a_full_disk_the_service_does_its_work_and_ends_in_order(small: Place) -> None:
    with Path("/dev/full").open("wb") as full, small.started("--log-level", "debug", "run", stderr=full) as process:
        wait_until(lambda: set(small.simulator.marked()) == set(small.simulator.ids()), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    small.expect_all_home()


def test_row_25_with_nobody_reading_its_log_the_service_does_its_work_and_ends_in_order(small: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe, small.started("--log-level", "debug", "run", stderr=pipe) as process:
        wait_until(lambda: set(small.simulator.marked()) == set(small.simulator.ids()), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    small.expect_all_home()


def test_a_catch_up_succeeds_although_its_log_cannot_be_written(small: Place) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        small.started("--log-level", "debug", "catch-up", stderr=full) as process,
    ):
        assert process.wait(60) == 0
    small.expect_all_home()


def test_row_25_terminated_while_somebody_holds_its_pages_open_it_ends_within_ten_seconds(small: Place) -> None:
    log = small.folder / "run.log"
    with log.open("wb") as stderr, small.started("run", stderr=stderr) as process, contextlib.ExitStack() as closing:
        wait_until(lambda: b"http.listening" in log.read_bytes(), process)
        (address,) = (str(line["address"]) for line in lines(log) if line["event"] == "http.listening")
        host, _, port = address.rpartition(":")
        for said in (
            b"",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n",
            b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ):
            held = closing.enter_context(socket.create_connection((host, int(port))))
            held.sendall(said)
        wait_until(lambda: set(small.simulator.marked()) == set(small.simulator.ids()), process)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        assert process.poll() == 0
