"""Webhooks against a receiver on this machine that fails in the usual ways."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.deliver.consignments import INVOICE, consignment
from tests.support.certificates import self_signed
from tests.support.http_receiver import QuietHandler, http_receiver

from easytracking_sync.deliver.event_sink import Announcement, Attachment
from easytracking_sync.deliver.guarded_post import Target
from easytracking_sync.deliver.webhook import MOST_BYTES, Webhook, event_body, pause_asked_for
from easytracking_sync.deliver.webhook_signature import SigningSecret, signatures
from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import SinkGone, SinkRefused, SinkUnavailable, SyncError, UsageError

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEYS = [bytes([number]) * 32 for number in (1, 2)]
SECRETS = [SigningSecret(key) for key in KEYS]
ANNOUNCED = Announcement(consignment(), NOW, link="https://archive.example/acme/4711")


class Clock(SystemClock):
    """Every look at the stopwatch costs some seconds."""

    def __init__(self, seconds_per_look: float = 0.0) -> None:
        self._step = seconds_per_look
        self._seconds = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        self._seconds += self._step
        return self._seconds


class Receiver:
    """What arrived, and how to answer."""

    def __init__(self, answer: Callable[[QuietHandler], None]) -> None:
        self.arrived: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.arrived.append(({name.lower(): value for name, value in self.headers.items()}, body))
                answer(self)

        self.handler = Handler


def send(answer: Callable[[QuietHandler], None], clock: Clock | None = None, times: int = 1) -> Receiver:
    receiver = Receiver(answer)
    with http_receiver(receiver.handler) as port:
        sink = Webhook(Target(f"http://127.0.0.1:{port}/hook?token=t0ken"), SECRETS, clock or Clock())
        for _ in range(times):
            receipt = sink.send([ANNOUNCED])
    assert receipt.answer == "http://127.0.0.1 answered 204"
    return receiver


def answering(status: int, **headers: str) -> Callable[[QuietHandler], None]:
    def answer(handler: QuietHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_a_receiver_verifies_an_event_with_either_secret() -> None:
    """As Standard Webhooks 1.0.0 says, written here a second time."""
    ((headers, body),) = send(answering(204)).arrived
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = ["v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in KEYS]
    assert headers["webhook-signature"].split(" ") == expected
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))


def test_the_signature_is_that_of_the_published_example() -> None:
    """The example of the specification's reference libraries."""
    secret = SigningSecret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_repetition_has_the_same_id_and_bytes() -> None:
    (first, second) = send(answering(204), times=2).arrived
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == second[0]["webhook-id"] == ANNOUNCED.consignment.id


def test_an_event_is_thin_unless_files_are_attached() -> None:
    thin: dict[str, Any] = json.loads(event_body(ANNOUNCED))
    assert (thin["type"], thin["data"]["doc_id"], thin["data"]["link"]) == ("invoice.received", 4711, ANNOUNCED.link)
    assert thin["data"]["attachments"] == []
    with_file = Announcement(consignment(), NOW, (Attachment("a.xml", "application/xml", INVOICE),))
    (attached,) = json.loads(event_body(with_file))["data"]["attachments"]
    assert base64.b64decode(attached["content"]) == INVOICE


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, SinkUnavailable),
        (400, SinkRefused),
        (401, SinkUnavailable),
        (404, SinkUnavailable),
        (413, SinkRefused),
        (410, SinkGone),
        (429, SinkUnavailable),
        (500, SinkUnavailable),
        (502, SinkUnavailable),
    ],
)
def test_only_2xx_is_a_success(status: int, error: type[SyncError]) -> None:
    with pytest.raises(error, match=f"answered {status}") as raised:
        send(answering(status, Location="http://127.0.0.1:9/"))
    assert type(raised.value) is error
    assert "t0ken" not in str(raised.value)


def test_a_receiver_may_ask_for_a_pause() -> None:
    with pytest.raises(SinkUnavailable) as raised:
        send(answering(429, Retry_After="120"))
    assert raised.value.retry_after == 120.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("17", 17.0),
        ("Fri, 27 Nov 2026 12:01:00 GMT", 60.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_a_pause_is_given_in_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert pause_asked_for(header, NOW) == seconds


def hang_up(handler: QuietHandler) -> None:
    handler.close_connection = True


def not_http(handler: QuietHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")
    handler.close_connection = True


def endless_headers(handler: QuietHandler) -> None:
    handler.send_response(200)
    for number in range(2000):
        handler.send_header(f"X-{number}", "x" * 100)
    handler.end_headers()


@pytest.mark.parametrize("answer", [hang_up, not_http, endless_headers])
def test_an_answer_that_is_none_is_tried_again(answer: Callable[[QuietHandler], None]) -> None:
    with pytest.raises(SinkUnavailable, match="did not answer"):
        send(answer)


def test_all_parts_of_an_answer_share_one_deadline() -> None:
    """A receiver that sends one byte in time, again and again, must not hold up a thread."""
    with pytest.raises(SinkUnavailable, match="TimeoutError"):
        send(answering(204), Clock(seconds_per_look=7.0))


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    def endless(handler: QuietHandler) -> None:
        handler.send_response(204)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()

    send(endless)


def test_an_event_that_is_too_large_is_not_sent() -> None:
    huge = Attachment("a.pdf", "application/pdf", bytes(MOST_BYTES))
    with pytest.raises(SinkRefused, match="link"):
        Webhook(Target("http://127.0.0.1:9/"), SECRETS, Clock()).send([Announcement(consignment(), NOW, (huge,))])


def test_over_tls_the_certificate_must_be_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    receiver = Receiver(answering(200))
    with http_receiver(receiver.handler, server) as port:
        url = f"https://localhost:{port}/"
        with pytest.raises(SinkUnavailable, match="certificate"):
            Webhook(Target(url), SECRETS, Clock()).send([ANNOUNCED])
        assert receiver.arrived == []
        trusting = Webhook(Target(url, ca_file=str(certificate)), SECRETS, Clock())
        assert trusting.send([ANNOUNCED]).answer == "https://localhost answered 200"


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example/",
        "ftp://erp.example/",
        "https://",
        "https://user:pw@erp.example/",
        "https://a b/",
        "x",
        "",
        "https://erp.example/\r\nX-A: b",
        "https://erp.example:99999/",
        "https://[",
    ],
)
def test_an_address_must_be_https_or_this_machine(url: str) -> None:
    with pytest.raises(UsageError):
        Target(url)


PRIVATE = ["10.1.2.3", "192.168.1.9", "127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("address", [*PRIVATE, "0.0.0.0", "224.0.0.1"])
def test_a_name_that_leads_into_a_private_network_is_refused(address: str) -> None:
    target = Target("https://erp.example/", find=lambda host, port: [address])
    with pytest.raises(SinkRefused, match="private_networks"):
        target.post({}, b"", Clock(), 1.0)


def test_a_private_network_that_is_named_is_allowed(tmp_path: Path) -> None:
    """The connection then fails, as nothing listens there: it was tried."""
    networks = [ip_network("fd00::/8"), ip_network("127.0.0.0/8")]
    target = Target("https://erp.example:1/", networks, find=lambda host, port: ["127.0.0.1"])
    with pytest.raises(SinkUnavailable, match="did not answer"):
        target.post({}, b"", Clock(), 1.0)


def test_a_name_without_an_address_is_tried_again() -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(SinkUnavailable, match="resolved"):
        Target("https://erp.example/", find=nothing).post({}, b"", Clock(), 1.0)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", f"whsec_{'A' * 100}", "A" * 44, "whsec_!!!"])
def test_a_weak_or_malformed_secret_is_not_taken_and_not_shown(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        SigningSecret.parse(text)
    assert not text or text == "whsec_" or text not in str(raised.value)
    assert "key" not in repr(SECRETS[0])


def test_each_document_is_an_event_of_its_own() -> None:
    other = Announcement(consignment(doc_id=1), NOW)
    assert Webhook(Target("https://erp.example/"), SECRETS, Clock()).groups([ANNOUNCED, other]) == (
        (ANNOUNCED,),
        (other,),
    )
