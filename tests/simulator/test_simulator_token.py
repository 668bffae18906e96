"""Section 3 of the vendor's document: the token."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Desk

CONSTANTS = ("apiName", "clientName", "clientSecret")


def test_the_answer_is_the_token_between_double_quotes(desk: Desk) -> None:
    reply = desk.login()
    assert (reply.status, reply.body[:1], reply.body[-1:]) == (200, b'"', b'"')
    assert reply.body.count(b'"') == 2


def test_the_token_is_a_jwt_with_an_expiry(desk: Desk) -> None:
    claims = desk.login().json().split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] == desk.clock.now().timestamp() + 3600


@pytest.mark.parametrize("name", ["username", "password", *CONSTANTS])
@pytest.mark.parametrize("value", ["wrong", "", None, 7])
def test_a_wrong_credential_is_401(desk: Desk, name: str, value: Any) -> None:
    assert desk.login(**{name: value}).status == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff"])
def test_a_login_that_is_not_an_object_is_401(desk: Desk, body: bytes) -> None:
    assert desk.post("/api/Token/AccessToken", body).status == 401


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x.y.z", "Basic abc", "Bearer"])
def test_every_other_call_without_a_token_is_401(desk: Desk, header: str) -> None:
    desk.headers["Authorization"] = header
    answers = [desk.invoices(), desk.reserve([1]), desk.reserve([1], metadatoSDI=True), desk.fetch("x")]
    answers += [desk.phase(f"{verb}-fase-{n}", [1]) for verb in ("set", "clear") for n in (1, 2)]
    assert {reply.status for reply in answers} == {401}


def test_a_forged_token_is_401(desk: Desk) -> None:
    head, _, signature = desk.headers["Authorization"].rpartition(".")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "demo1", "generation": 0, "exp": 10**11}).encode()).decode()
    desk.headers["Authorization"] = f"{head.partition('.')[0]}.{claims}.{signature}"
    assert desk.invoices().status == 401


def test_a_token_expires_after_token_seconds(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(token_seconds=60.0)
    desk.clock.forward(seconds=59)
    assert desk.invoices().status == 200
    desk.clock.forward(seconds=1)
    assert desk.invoices().status == 401


def test_revoking_invalidates_only_earlier_tokens(desk: Desk) -> None:
    desk.simulator.revoke_tokens()
    assert desk.invoices().status == 401
    desk.login()
    assert desk.invoices().status == 200


def test_the_old_password_is_refused_after_a_change(desk: Desk) -> None:
    desk.simulator.set_password("demo1", "another")
    assert desk.login().status == 401
    assert desk.login(password="another").status == 200
