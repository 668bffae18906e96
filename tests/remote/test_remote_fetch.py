"""Fetching a parcel: the service sends it once, and an incomplete one is lost."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from easytracking_sync.errors import JobLost, ParcelBad, ServiceUnavailable, StorageFault, SyncError
from easytracking_sync.remote import EasyTracking, ParcelLimits, Pending, Received, inspect_parcel

if TYPE_CHECKING:
    from tests.remote.conftest import Desk, Packer, RawServer

JOB_ID = "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c001"
BODY = bytes(range(256)) * 40
BINARY = {"Content-Type": "application/octet-stream"}


class Pieces(httpx.SyncByteStream):
    """A body in pieces, which may fail at its end."""

    def __init__(self, *pieces: bytes, fails: Exception | None = None) -> None:
        self.pieces, self.fails = pieces, fails
        self.closed = False

    def __iter__(self) -> Any:
        yield from self.pieces
        if self.fails:
            raise self.fails

    def close(self) -> None:
        self.closed = True


def fetch(desk: Desk, answer: httpx.Response | Exception, most_bytes: int = 1_000_000) -> tuple[object, bytes]:
    """The fetch's result or error, and the bytes in the sink."""
    desk.answers = [answer]
    desk.calls.clear()
    got = io.BytesIO()
    outcome = outcome_of(desk.client(), got, most_bytes)
    assert len(desk.calls) == 1
    return outcome, got.getvalue()


def outcome_of(client: EasyTracking, got: io.BytesIO, most_bytes: int) -> object:
    try:
        return client.fetch(JOB_ID, got.write, most_bytes)
    except SyncError as error:
        return error


def test_a_parcel_is_written_to_the_sink_piece_by_piece(desk: Desk) -> None:
    outcome, got = fetch(desk, httpx.Response(200, headers=BINARY, stream=Pieces(BODY[:100], BODY[100:])))
    assert (outcome, got) == (Received(len(BODY)), BODY)
    (call,) = desk.calls
    assert (call.method, call.url.path) == ("GET", f"/api/v10/DownloadInvoices/jobs/{JOB_ID}")
    assert call.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("header", "pause"), [({}, None), ({"Retry-After": "7"}, 7.0)])
def test_a_202_is_pending(desk: Desk, header: dict[str, str], pause: float | None) -> None:
    assert fetch(desk, httpx.Response(202, headers=header)) == (Pending(pause), b"")


@pytest.mark.parametrize("status", [400, 403, 404, 410, 201, 204, 206])
def test_a_status_that_ends_the_job_raises_job_lost(desk: Desk, status: int) -> None:
    outcome, got = fetch(desk, httpx.Response(status, json={"message": "GUID non trovato"}))
    assert isinstance(outcome, JobLost)
    assert str(outcome).startswith("acme: fetch: ")
    assert got == b""


@pytest.mark.parametrize("status", [302, 405, 429, 500, 503])
def test_a_status_that_says_nothing_about_the_job_raises_service_unavailable(desk: Desk, status: int) -> None:
    outcome, _ = fetch(desk, httpx.Response(status, headers={"Retry-After": "9"}))
    assert isinstance(outcome, ServiceUnavailable)
    assert outcome.retry_after == 9


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ConnectError("no"), httpx.ReadError("reset")])
def test_a_failure_before_the_status_keeps_the_job(desk: Desk, error: Exception) -> None:
    assert isinstance(fetch(desk, error)[0], ServiceUnavailable)


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("slow"), httpx.ReadError("reset"), httpx.RemoteProtocolError("cut"), OSError(5, "io")]
)
def test_a_failure_after_the_status_loses_the_job(desk: Desk, error: Exception) -> None:
    stream = Pieces(BODY, fails=error)
    outcome, _ = fetch(desk, httpx.Response(200, headers=BINARY, stream=stream))
    assert isinstance(outcome, JobLost)
    assert stream.closed


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "TEXT/HTML"])
def test_a_page_instead_of_a_parcel_is_quoted_and_not_written_to_the_sink(desk: Desk, kind: str) -> None:
    outcome, got = fetch(desk, httpx.Response(200, headers={"Content-Type": kind}, content=b"<p>Manutenzione</p>"))
    assert isinstance(outcome, JobLost)
    assert kind.lower().split(";")[0] in str(outcome)
    assert "Manutenzione" in str(outcome)
    assert got == b""


def test_an_empty_body_raises_job_lost(desk: Desk) -> None:
    assert isinstance(fetch(desk, httpx.Response(200, headers=BINARY))[0], JobLost)


def test_a_parcel_beyond_the_limit_raises_job_lost(desk: Desk) -> None:
    declared, got = fetch(desk, httpx.Response(200, content=BODY), most_bytes=len(BODY) - 1)
    assert isinstance(declared, JobLost)
    assert got == b""
    counted, got = fetch(desk, httpx.Response(200, stream=Pieces(*[b"x" * 100] * 99)), most_bytes=950)
    assert isinstance(counted, JobLost)
    assert len(got) == 900


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_unrequested_compression_is_inflated_within_the_limit(desk: Desk, encoding: str) -> None:
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    headers = {**BINARY, "Content-Encoding": encoding}
    assert fetch(desk, httpx.Response(200, headers=headers, stream=Pieces(compress(BODY))))[1] == BODY
    bomb, got = fetch(desk, httpx.Response(200, headers=headers, stream=Pieces(compress(bytes(50_000_000)))))
    assert isinstance(bomb, JobLost)
    assert len(got) <= 1_000_000
    torn, _ = fetch(desk, httpx.Response(200, headers=headers, stream=Pieces(compress(BODY)[:-3])))
    assert isinstance(torn, JobLost)


def test_an_error_of_the_sink_escapes_unchanged_and_the_answer_is_closed(desk: Desk) -> None:
    stream = Pieces(BODY, BODY)
    desk.answers = [httpx.Response(200, headers=BINARY, stream=stream)]
    full = StorageFault("no space left")

    def sink(_: bytes) -> None:
        raise full

    with pytest.raises(StorageFault) as caught:
        desk.client().fetch(JOB_ID, sink, 1_000_000)
    assert caught.value is full
    assert stream.closed


def test_an_oserror_of_the_sink_is_not_translated_as_a_network_error(desk: Desk) -> None:
    desk.answers = [httpx.Response(200, headers=BINARY, stream=Pieces(BODY))]

    def sink(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space") as caught:
        desk.client().fetch(JOB_ID, sink, 1_000_000)
    assert not isinstance(caught.value, SyncError)


def test_a_slow_parcel_ends_at_the_deadline(desk: Desk) -> None:
    desk.answers = [httpx.Response(200, headers=BINARY, stream=Pieces(*[b"x"] * 1000))]
    with pytest.raises(JobLost, match="longer than 1800 seconds"):
        desk.client().fetch(JOB_ID, lambda _: desk.clock.pass_time(29), 1_000_000)


def test_a_401_renews_the_token_and_the_job_is_not_lost(desk: Desk) -> None:
    desk.answers = [httpx.Response(401), httpx.Response(200, headers=BINARY, content=BODY)]
    assert desk.client().fetch(JOB_ID, lambda _: None, 1_000_000) == Received(len(BODY))
    assert desk.logins == 2


@pytest.mark.parametrize("job_id", ["", "x" * 36, "../../../x", JOB_ID + "\n"])
def test_an_invalid_job_id_is_never_sent(desk: Desk, job_id: str) -> None:
    with pytest.raises(ValueError, match="GUID"):
        desk.client().fetch(job_id, lambda _: None, 1)
    assert desk.logins == 0


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"


def chunked(body: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def parcel(pack: Packer) -> bytes:
    return pack([(1, "a.xml", "FA")], [("a.xml", b"<a/>" * 50)]).getvalue()


def fetch_raw(server: RawServer, says: bytes, *, resets: bool = False) -> tuple[object, io.BytesIO]:
    server.says, server.resets = says, resets
    got = io.BytesIO()
    with server.client() as client:
        return outcome_of(client, got, 1_000_000), got


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_complete_parcel_is_received_with_every_framing(raw_server: RawServer, parcel: bytes, framing: str) -> None:
    tails = {
        "length": f"Content-Length: {len(parcel)}\r\n\r\n".encode() + parcel,
        "chunked": chunked(parcel),
        "close": b"Connection: close\r\n\r\n" + parcel,
    }
    outcome, got = fetch_raw(raw_server, HEAD + tails[framing])
    assert outcome == Received(len(parcel))
    assert len(inspect_parcel(got, requested=frozenset({1}), limits=ParcelLimits()).files) == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "gzip"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_parcel_is_never_accepted(
    raw_server: RawServer, parcel: bytes, framing: str, part: float
) -> None:
    packed = gzip.compress(parcel)
    tails = {
        "length": f"Content-Length: {len(parcel)}\r\n\r\n".encode() + parcel[: int(len(parcel) * part)],
        "chunked": chunked(parcel)[: 40 + int(len(parcel) * part)],
        "close": b"\r\n" + parcel[: int(len(parcel) * part)],
        "gzip": b"Content-Encoding: gzip\r\n\r\n" + packed[: int(len(packed) * part)],
    }
    outcome, got = fetch_raw(raw_server, HEAD + tails[framing])
    if isinstance(outcome, Received):
        with pytest.raises(ParcelBad):
            inspect_parcel(got, requested=frozenset({1}), limits=ParcelLimits())
    else:
        assert isinstance(outcome, JobLost)


def test_a_reset_within_the_body_raises_job_lost(raw_server: RawServer, parcel: bytes) -> None:
    says = HEAD + b"Content-Length: 9999\r\n\r\n" + parcel
    assert isinstance(fetch_raw(raw_server, says, resets=True)[0], (JobLost, ServiceUnavailable))


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Ty",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\x00\xff" * 40,
        b"HTTP/1.1 999 \r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda says: repr(says[:30]),
)
def test_an_answer_that_is_not_http_keeps_the_job(raw_server: RawServer, says: bytes) -> None:
    assert isinstance(fetch_raw(raw_server, says)[0], ServiceUnavailable)


def test_a_refused_connection_raises_service_unavailable(raw_server: RawServer) -> None:
    port, raw_server.port = raw_server.port, 1
    client = raw_server.client()
    raw_server.port = port
    with client, pytest.raises(ServiceUnavailable, match="no answer"):
        client.fetch(JOB_ID, lambda _: None, 1)
