"""Every exchange with the service is reported once: its call, its status, its duration and its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from tests.remote.conftest import JOB_ID, account_settings

from easytracking_sync.errors import JobLost, Refused, ServiceUnavailable
from easytracking_sync.remote import CallEnded, EasyTracking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.remote.conftest import Desk


def listened(desk: Desk) -> tuple[EasyTracking, list[CallEnded]]:
    """A client, and the reports of its calls."""
    told: list[CallEnded] = []
    client = EasyTracking(
        account_settings(),
        label="acme",
        clock=desk.clock,
        network=httpx.MockTransport(desk),
        on_call=told.append,
    )
    return client, told


class Breaking(httpx.SyncByteStream):
    """Two pieces after two seconds each, then an error."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __iter__(self) -> Iterator[bytes]:
        for piece in (b"PK", b"\x03\x04"):
            self._desk.clock.pass_time(2.0)
            yield piece
        raise httpx.ReadError("gone")


def test_the_login_and_the_call_are_reported_with_their_bytes(desk: Desk) -> None:
    client, told = listened(desk)
    desk.answers = [httpx.Response(200, content=b"PK\x03\x04")]
    client.fetch(JOB_ID, bytes, 100)
    assert [(one.call, one.status) for one in told] == [("log in", "200"), ("fetch", "200")]
    assert told[1].bytes == 4


def test_a_refusal_is_reported_with_its_status(desk: Desk) -> None:
    client, told = listened(desk)
    desk.answers = [httpx.Response(403)]
    with pytest.raises(Refused):
        client.set_phase_1([1])
    assert (told[-1].call, told[-1].status) == ("set-fase-1", "403")


def test_a_call_without_answer_is_reported_as_none(desk: Desk) -> None:
    client, told = listened(desk)
    desk.answers = [httpx.ConnectError("nobody there")]
    with pytest.raises(ServiceUnavailable):
        client.reserve([1])
    assert (told[-1].call, told[-1].status, told[-1].bytes) == ("reserve", "none", 0)


def test_an_incomplete_answer_is_reported_with_its_received_bytes_and_duration(desk: Desk) -> None:
    client, told = listened(desk)
    desk.answers = [httpx.Response(200, stream=Breaking(desk))]
    with pytest.raises(JobLost):
        client.fetch(JOB_ID, bytes, 100)
    assert told[-1] == CallEnded("fetch", "torn", 4.0, 4)


def test_a_call_repeated_after_a_fresh_login_is_reported_twice(desk: Desk) -> None:
    client, told = listened(desk)
    desk.answers = [httpx.Response(401), httpx.Response(200, json={"jobId": JOB_ID})]
    client.reserve([1])
    assert [(one.call, one.status) for one in told] == [
        ("log in", "200"),
        ("reserve", "401"),
        ("log in", "200"),
        ("reserve", "200"),
    ]
