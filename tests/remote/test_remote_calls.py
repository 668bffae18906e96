"""The calls follow the vendor's document, and every answer becomes an error that says what the caller must do."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from easytracking_sync.errors import CallFailed, CredentialsRefused, Refused, ServiceUnavailable, SyncError, TooLarge
from easytracking_sync.remote import EasyTracking, ListQuery, api_client, http_client
from easytracking_sync.terms import FileType, Window, WindowKind

if TYPE_CHECKING:
    from tests.remote.conftest import Desk

JOB_ID = "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c001"
START = datetime(2024, 3, 1)  # noqa: DTZ001 - windows are naive local time
QUERY = ListQuery(Window(WindowKind.RECEIVED, START, START + timedelta(days=1)), phase1=False)
LIST = b'{"invoices":[{"id":1}],"total":1}'
ZIPPED = gzip.compress(LIST, mtime=0)

Use = Callable[[EasyTracking], Any]
CALLS: dict[str, Use] = {
    "list": lambda client: client.list_documents(QUERY),
    "reserve": lambda client: client.reserve([1]),
    "set-fase-1": lambda client: client.set_phase_1([1]),
    "clear-fase-1": lambda client: client.clear_phase_1([1]),
    "set-fase-2": lambda client: client.set_phase_2([1]),
    "clear-fase-2": lambda client: client.clear_phase_2([1]),
}


def failing(desk: Desk, call: str, answer: httpx.Response | Exception) -> SyncError:
    desk.answers = [answer]
    with pytest.raises(SyncError) as caught:
        CALLS[call](desk.client())
    assert str(caught.value).startswith(f"acme: {call}: ")
    assert len(desk.calls) == 1, "nothing is tried again here"
    return caught.value


def test_the_list_request_follows_section_4(desk: Desk) -> None:
    desk.answers = [httpx.Response(200, content=LIST)]
    listing = desk.client().list_documents(QUERY)
    assert (listing.documents[0].doc_id, listing.total) == (1, 1)
    (call,) = desk.calls
    assert (call.method, call.url.path) == ("GET", "/api/v10/DownloadInvoices/passive-invoices")
    assert dict(call.url.params) == QUERY.parameters
    assert call.headers["Accept"] == call.headers["Content-Type"] == "application/json"
    assert call.headers["Accept-Encoding"] == "gzip"
    assert call.headers["User-Agent"] == http_client.USER_AGENT


@pytest.mark.parametrize("status", [200, 202])
def test_a_reservation_sends_docids_and_returns_the_job_id(desk: Desk, status: int) -> None:
    desk.answers = [httpx.Response(status, json={"jobId": JOB_ID})]
    assert desk.client().reserve({30, 10, 20}) == JOB_ID
    (call,) = desk.calls
    assert (call.method, call.url.path) == ("POST", "/api/v10/DownloadInvoices/jobs")
    assert json.loads(call.read()) == {"docIds": [10, 20, 30]}


def test_a_reservation_of_chosen_types_sends_all_four_fields(desk: Desk) -> None:
    desk.answers = [httpx.Response(202, json={"jobId": JOB_ID})]
    assert desk.client().reserve_types([1], frozenset({FileType.FA, FileType.FI})) == JOB_ID
    assert desk.calls[0].url.path == "/api/v10/DownloadInvoices/jobs-select-type"
    assert json.loads(desk.calls[0].read()) == {
        "docIds": [1],
        "fatturaOriginale": True,
        "metadatoSDI": False,
        "fatturaNonFirmata": False,
        "fatturaIntermediario": True,
    }


@pytest.mark.parametrize("verb", ["set-fase-1", "clear-fase-1", "set-fase-2", "clear-fase-2"])
@pytest.mark.parametrize("answer", [httpx.Response(200), httpx.Response(200, json=True), httpx.Response(204)])
def test_a_phase_call_sends_docids(desk: Desk, verb: str, answer: httpx.Response) -> None:
    desk.answers = [answer]
    CALLS[verb](desk.client())
    assert (desk.calls[0].method, desk.calls[0].url.path) == ("POST", f"/api/v10/PassiveInvoices/{verb}")
    assert json.loads(desk.calls[0].read()) == {"docIds": [1]}


@pytest.mark.parametrize(
    "doc_ids", [[], [0], [-1], [1, 1], [2**63], list(range(1, 102))], ids=lambda ids: str(ids[:2])
)
@pytest.mark.parametrize("call", ["reserve", "reserve_types", "set_phase_1", "clear_phase_2"])
def test_ids_that_the_service_would_refuse_are_never_sent(desk: Desk, call: str, doc_ids: list[int]) -> None:
    more = [frozenset({FileType.FA})] if call == "reserve_types" else []
    with pytest.raises(ValueError, match="ids"):
        getattr(desk.client(), call)(doc_ids, *more)
    assert (desk.logins, desk.calls) == (0, [])


def test_a_reservation_without_a_type_is_never_sent(desk: Desk) -> None:
    with pytest.raises(ValueError, match="at least one"):
        desk.client().reserve_types([1], frozenset())
    assert desk.calls == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_has_its_status_and_the_service_s_message(desk: Desk, call: str, status: int) -> None:
    error = failing(desk, call, httpx.Response(status, json={"message": "docId già impostato"}))
    assert isinstance(error, Refused)
    assert (error.status, error.reply) == (status, "docId già impostato")
    assert "docId già impostato" in str(error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer",
    [
        *(
            httpx.Response(status)
            for status in (100, 203, 301, 302, 307, 404, 405, 407, 408, 429, 500, 502, 503, 504)
        ),
        httpx.Response(404, html="<html>no</html>"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.PoolTimeout(""),
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.ReadError("reset"),
        ConnectionResetError(104, "reset"),
        UnicodeError("label too long"),
        httpx.Response(200, html="<html>Manutenzione in corso</html>"),
        httpx.Response(200, text="<html>Manutenzione in corso</html>"),
    ],
    ids=repr,
)
def test_an_answer_that_is_not_the_service_s_raises_service_unavailable(
    desk: Desk, call: str, answer: httpx.Response | Exception
) -> None:
    assert isinstance(failing(desk, call, answer), ServiceUnavailable)


@pytest.mark.parametrize("call", ["list", "reserve", "set-fase-1"])
@pytest.mark.parametrize(
    ("answer", "blames"),
    [
        *((httpx.Response(status), True) for status in (500, 502, 504, 520)),
        *((httpx.Response(status), False) for status in (302, 404, 429, 503)),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), True),
        (httpx.ReadError("reset"), True),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ConnectError("refused"), False),
        (httpx.PoolTimeout(""), False),
        (httpx.Response(200, html="<html>Manutenzione in corso</html>"), False),
    ],
    ids=repr,
)
def test_only_a_failure_during_the_call_raises_call_failed(
    desk: Desk, call: str, answer: httpx.Response | Exception, *, blames: bool
) -> None:
    assert isinstance(failing(desk, call, answer), CallFailed) is blames


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.ReadTimeout("slow")], ids=repr)
def test_a_failure_of_the_login_is_not_a_failure_of_the_call(desk: Desk, answer: httpx.Response | Exception) -> None:
    desk.login_answers = [answer]
    with pytest.raises(ServiceUnavailable) as raised:
        desk.client().reserve([1])
    assert not isinstance(raised.value, CallFailed)


@pytest.mark.parametrize("call", ["reserve", "set-fase-1"])
@pytest.mark.parametrize("status", [404, 409, 413, 422])
def test_another_4xx_is_a_refusal_only_with_a_json_body(desk: Desk, call: str, status: int) -> None:
    assert isinstance(failing(desk, call, httpx.Response(status, json={"title": "Not Found"})), Refused)
    desk.calls.clear()
    assert isinstance(failing(desk, call, httpx.Response(status, text="no")), ServiceUnavailable)


def test_a_413_of_the_list_raises_too_large(desk: Desk) -> None:
    assert isinstance(failing(desk, "list", httpx.Response(413)), TooLarge)


def test_a_redirect_is_named_and_never_followed(desk: Desk) -> None:
    error = failing(desk, "list", httpx.Response(302, headers={"Location": "https://evil.example/?t=canary"}))
    assert "evil.example" in str(error)
    assert "canary" not in str(error)


def test_the_error_of_an_untrusted_certificate_names_ca_file(desk: Desk) -> None:
    error = failing(desk, "list", httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get issuer"))
    assert "ca_file" in str(error)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999999", 99999999.0),
        ("9" * 400, float("9" * 15)),
        ("Sun, 22 Nov 2026 12:02:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 12:02:00 -0000", 120.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Sun, 99 Nov 2026 99:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_in_seconds_or_as_a_date(
    desk: Desk, status: int, header: str, pause: float | None
) -> None:
    error = failing(desk, "reserve", httpx.Response(status, headers={"Retry-After": header}))
    assert isinstance(error, ServiceUnavailable)
    assert error.retry_after == pause


@pytest.mark.parametrize(
    "answer", [{}, {"jobId": None}, {"jobId": 5}, {"jobId": JOB_ID[:-1]}, {"jobId": JOB_ID[:-1] + "/"}, [], "x"]
)
def test_a_reservation_without_a_guid_raises_service_unavailable(desk: Desk, answer: object) -> None:
    assert isinstance(failing(desk, "reserve", httpx.Response(202, json=answer)), ServiceUnavailable)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b'{"message": "no"}', "no"),
        (b'{"Message": "no"}', "no"),
        (b'{"title": "Bad", "detail": "id 7"}', "id 7"),
        (b'"no"', "no"),
        (b'["a", 1]', '["a", 1]'),
        (b'{"errors": {"docIds": ["max"]}}', '{"errors": {"docIds": ["max"]}}'),
        (b"{}", ""),
        (b"caff\xe8 \x00\x1b[31m", "caff\ufffd [31m"),
        (b"<html><head><title>x</title><style>p{}</style></head><p>Due &egrave; troppo</p>", "Due \xe8 troppo"),
        (b'{"message": "a\\u202eb\\r\\nc"}', "a b c"),
        (b"[" * 60_000, "[" * 199 + "…"),
        (b"x" * 10_000_000, "x" * 199 + "…"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_an_errors_body_is_shown_in_one_short_printable_line(desk: Desk, body: bytes, said: str) -> None:
    error = failing(desk, "reserve", httpx.Response(400, content=body))
    assert isinstance(error, Refused)
    assert error.reply == said


def test_the_client_inflates_the_list_in_every_encoding(desk: Desk) -> None:
    raw = zlib.compressobj(wbits=-15)
    for encoding, body in {
        "gzip": ZIPPED,
        "deflate": zlib.compress(LIST),
        "Deflate": raw.compress(LIST) + raw.flush(),
        "identity": LIST,
    }.items():
        desk.answers = [httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Pieces(body))]
        assert desk.client().list_documents(QUERY).total == 1, encoding


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", ZIPPED[:-1]),
        ("gzip", ZIPPED[:-9]),
        ("gzip", ZIPPED + b"more"),
        ("gzip", b""),
        ("gzip", b"nonsense"),
        ("gzip", ZIPPED[:-8] + bytes(8)),
        ("br", LIST),
        ("gzip, gzip", LIST),
        ("", LIST[:-1]),
    ],
)
def test_an_incomplete_compressed_list_raises_service_unavailable(desk: Desk, encoding: str, body: bytes) -> None:
    answer = httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Pieces(body))
    assert isinstance(failing(desk, "list", answer), ServiceUnavailable)


def test_a_list_that_inflates_beyond_the_limit_raises_too_large(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "MOST_LIST_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 50_000_000, 9)
    answer = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Pieces(bomb))
    assert isinstance(failing(desk, "list", answer), TooLarge)


def test_a_slow_answer_ends_at_the_call_s_deadline(desk: Desk) -> None:
    trickle = Pieces(LIST, each=lambda: desk.clock.pass_time(20))
    error = failing(desk, "list", httpx.Response(200, stream=trickle))
    assert isinstance(error, ServiceUnavailable)
    assert "longer than 300 seconds" in str(error)
    assert trickle.given < len(LIST)


def test_an_incomplete_successful_answer_raises_service_unavailable(desk: Desk) -> None:
    torn = Pieces(b"tru", fails=httpx.ReadError("reset"))
    assert isinstance(failing(desk, "set-fase-1", httpx.Response(200, stream=torn)), ServiceUnavailable)


def test_cookies_are_not_kept(desk: Desk) -> None:
    client = desk.client()
    desk.answers = [httpx.Response(200, headers={"Set-Cookie": "s=1; Path=/"}), httpx.Response(200)]
    client.set_phase_1([1])
    client.set_phase_1([1])
    assert "Cookie" not in desk.calls[1].headers


def echoes(request: httpx.Request) -> list[str]:
    """Answers in which a service echoes our secrets."""
    password = 'pässw"ord<canary>&1'
    token = str(request.headers.get("Authorization", "Bearer "))
    return [
        json.dumps({"message": f"user mario, password {password}, client-canary-2, {token}"}),
        json.dumps({"echo": {"password": password, "token": token[7:]}}),
        f"<p>p&auml;ssw&quot;ord&lt;canary&gt;&amp;1 client-canary-2 {token}</p>",
        f"password=p%C3%A4ssw%22ord%3Ccanary%3E%261&secret=client-canary-2&{token}",
        "x" * 150 + password,
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_an_error_never_shows_a_secret_that_the_service_echoes(desk: Desk, status: int, number: int) -> None:
    """NO-SECRET-LEAK."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text=echoes(request)[number])

    desk.answers = [answer, answer]
    with pytest.raises(SyncError) as caught:
        desk.client().reserve([1])
    desk.login_answers = [answer]
    with pytest.raises(SyncError) as refused:
        desk.client().log_in()
    for error in (caught.value, refused.value):
        shown = str(error) + repr(error) + getattr(error, "reply", "")
        assert "canary" not in shown
        assert "pässw" not in shown
        assert "eyJ" not in shown


def test_an_error_never_shows_an_opaque_token(desk: Desk) -> None:
    desk.login_answers = [httpx.Response(200, text='"opaque-canary"')]
    error = failing(desk, "reserve", httpx.Response(400, text="token opaque-canary"))
    assert "canary" not in str(error)


def test_every_wait_for_the_network_has_a_timeout(desk: Desk) -> None:
    desk.answers = [httpx.Response(200)]
    desk.client().set_phase_1([1])
    assert desk.calls[0].extensions["timeout"] == {"connect": 5.0, "pool": 5.0, "read": 30.0, "write": 30.0}
    assert http_client.CONNECT_RETRIES == 2


class Pieces(httpx.SyncByteStream):
    """A body in small pieces, which may fail at its end."""

    def __init__(
        self, body: bytes, *, each: Callable[[], None] = lambda: None, fails: Exception | None = None
    ) -> None:
        self.body, self.each, self.fails = body, each, fails
        self.given = 0

    def __iter__(self) -> Any:
        step = max(1, len(self.body) // 200)
        for at in range(0, len(self.body), step):
            self.each()
            self.given = at + step
            yield self.body[at : at + step]
        if self.fails:
            raise self.fails


@pytest.mark.parametrize(
    ("header", "ahead"),
    [
        ("Sun, 22 Nov 2026 12:02:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", -3600.0),
        ("Sun, 99 Nov 2026 99:00:00 GMT", None),
        ("", None),
    ],
)
def test_the_service_s_clock_is_read_from_every_answer_including_refusals(
    desk: Desk, header: str, ahead: float | None
) -> None:
    desk.login_answers.append(httpx.Response(401, headers={"Date": header}))
    client = desk.client()
    assert client.clock_ahead is None
    with pytest.raises(CredentialsRefused):
        client.log_in()
    assert client.clock_ahead == ahead
