"""All threads share one login; tokens are renewed in time, and logins never loop."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from easytracking_sync.errors import CredentialsRefused, ServiceUnavailable
from easytracking_sync.remote.access_tokens import read_expiry, read_token

if TYPE_CHECKING:
    from tests.remote.conftest import Desk


def bearer(request: httpx.Request) -> str:
    return str(request.headers["Authorization"])


def test_the_login_sends_the_fields_of_section_3(desk: Desk) -> None:
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text='"abc"')

    desk.login_answers = [note]
    desk.client().log_in()
    assert str(seen[0].url) == "https://auth.example/api/Token/AccessToken"
    assert seen[0].method == "POST"
    assert seen[0].headers["Content-Type"] == seen[0].headers["Accept"] == "application/json"
    assert httpx.Response(200, content=seen[0].read()).json() == {
        "apiName": "openBusiness.scope.serviziweb.api",
        "clientName": "openBusiness.client.serviziweb.api",
        "clientSecret": "client-canary-2",
        "password": 'pässw"ord<canary>&1',
        "username": "mario",
    }


def test_one_login_serves_many_calls(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200) for _ in range(5)]
    for _ in range(5):
        client.set_phase_1([1])
    assert desk.logins == 1
    assert len({bearer(call) for call in desk.calls}) == 1


def test_a_token_is_renewed_a_minute_before_it_expires(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200) for _ in range(3)]
    client.set_phase_1([1])
    desk.clock.pass_time(3600 - 61)
    client.set_phase_1([1])
    assert desk.logins == 1
    desk.clock.pass_time(2)
    client.set_phase_1([1])
    assert desk.logins == 2


@pytest.mark.parametrize("life", [-86_400.0, 0.0, 1.0, 59.0, None])
def test_a_token_that_seems_expired_by_our_clock_does_not_cause_a_login_per_call(
    desk: Desk, life: float | None
) -> None:
    desk.token_life = life
    client = desk.client()
    desk.answers = [httpx.Response(200) for _ in range(10)]
    for _ in range(10):
        client.set_phase_1([1])
        desk.clock.pass_time(30)
    assert desk.logins == 1


def test_a_clock_that_jumps_ahead_causes_one_login(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200) for _ in range(10)]
    client.set_phase_1([1])
    service_time = desk.clock.now().timestamp()
    desk.clock.moment += timedelta(days=3650)
    desk.token_life = service_time + 3600 - desk.clock.now().timestamp()
    for _ in range(9):
        client.set_phase_1([1])
    assert desk.logins == 2


def test_a_401_is_answered_by_one_fresh_login_and_the_same_call_again(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200), httpx.Response(401), httpx.Response(200)]
    client.set_phase_1([1])
    client.set_phase_1([2])
    assert desk.logins == 2
    assert desk.calls[1].read() == desk.calls[2].read()
    assert bearer(desk.calls[1]) != bearer(desk.calls[2])


def test_a_refused_fresh_token_raises_credentials_refused(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200), httpx.Response(401), httpx.Response(401, json={"message": "bloccato"})]
    client.set_phase_1([1])
    with pytest.raises(CredentialsRefused, match=r"acme: set-fase-1: a fresh token was refused.*bloccato"):
        client.set_phase_1([2])
    assert (desk.logins, len(desk.calls)) == (2, 3)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_login_is_tried_once(desk: Desk, status: int) -> None:
    desk.login_answers = [httpx.Response(status, json={"message": "credenziali errate"})] * 2
    with pytest.raises(CredentialsRefused, match=r"acme: log in: refused.*credenziali errate.*check the username"):
        desk.client().reserve([1])
    assert (desk.logins, len(desk.calls)) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "/login"}),
        httpx.Response(404),
        httpx.Response(200, html="<html>manutenzione</html>"),
        httpx.Response(200, json={"token": "x"}),
        httpx.Response(200, text='""'),
        httpx.Response(200, text='"a\\r\\nX-Evil: 1"'),
        httpx.Response(200, text='"' + "a" * 100_000 + '"'),
        httpx.ConnectTimeout("slow"),
    ],
)
def test_any_other_failure_of_the_login_raises_service_unavailable(
    desk: Desk, answer: httpx.Response | Exception
) -> None:
    desk.login_answers = [answer]
    with pytest.raises(ServiceUnavailable, match=r"^acme: log in: "):
        desk.client().reserve([1])
    assert desk.logins == 1


def test_log_in_always_logs_in(desk: Desk) -> None:
    client = desk.client()
    client.log_in()
    client.log_in()
    assert desk.logins == 2


def in_threads(count: int, run: object) -> list[BaseException | None]:
    """Run it in threads that start together; return what each raised."""
    gate = threading.Barrier(count)

    def one(_: int) -> None:
        gate.wait(10)
        assert callable(run)
        run()

    with ThreadPoolExecutor(count) as pool:
        return [future.exception() for future in [pool.submit(one, number) for number in range(count)]]


def test_threads_that_start_together_share_one_login(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200) for _ in range(16)]
    assert in_threads(16, lambda: client.set_phase_1([1])) == [None] * 16
    assert desk.logins == 1


def test_threads_whose_token_is_refused_share_one_fresh_login(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200)]
    client.set_phase_1([1])
    old = bearer(desk.calls[0])
    desk.answers = [lambda request: httpx.Response(401 if bearer(request) == old else 200) for _ in range(32)]
    assert in_threads(16, lambda: client.set_phase_1([1])) == [None] * 16
    assert desk.logins == 2


def test_threads_that_wait_for_a_refused_login_do_not_repeat_it(desk: Desk) -> None:
    """Sixteen attempts at once could lock the account."""
    client = desk.client()

    def refuse_late(_: httpx.Request) -> httpx.Response:
        threading.Event().wait(0.25)  # by then the other threads wait for the lock
        return httpx.Response(401)

    desk.login_answers = [refuse_late] * 16
    errors = in_threads(16, lambda: client.set_phase_1([1]))
    assert {type(error) for error in errors} == {CredentialsRefused}
    assert desk.logins < 4


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'"a.b.c"', "a.b.c"),
        (b'\xef\xbb\xbf "a.b.c"\r\n', "a.b.c"),
        (b"a.b.c", "a.b.c"),
        (b'"a.b', None),
        (b"", None),
        (b"null!", None),
        (b'"\xc3\xa8"', None),
    ],
)
def test_the_token_is_a_json_string(body: bytes, token: str | None) -> None:
    assert read_token(body) == token


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", "a.!!!.c", "a.bnVsbA.c", "a.W10.c", "a.eyJleHAiOnRydWV9.c", "a.eyJleHAiOjFlMzAwfQ.c"],
)
def test_an_unreadable_jwt_has_no_expiry(token: str) -> None:
    assert read_expiry(token) is None
