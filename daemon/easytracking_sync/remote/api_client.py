"""The client of the service's API: its nine calls, one method each (vendor's document, sections 3 to 11).

Arguments are validated before anything is sent: ValueError means a bug of ours. Failures are raised as
`easytracking_sync.errors`; their messages begin with the account and the call. Only connecting is retried, and a call
answered by 401 is sent once more after a fresh login. Repeating a call is safe; a job yields its parcel only once.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from types import TracebackType
from typing import Final, Self

import msgspec

from easytracking_sync.effects import Clock, Network
from easytracking_sync.environments import API_NAME, CLIENT_NAME
from easytracking_sync.errors import CallFailed, CredentialsRefused, JobLost, ServiceUnavailable, TooLarge
from easytracking_sync.lenient_json import BOM, MOST_INT64, read_value
from easytracking_sync.list_element import ROME
from easytracking_sync.remote.access_tokens import Tokens, read_token
from easytracking_sync.remote.document_list import DocumentList, ListQuery, read_document_list
from easytracking_sync.remote.http_client import CallEnded, HttpClient
from easytracking_sync.remote.reply import Call, Reply
from easytracking_sync.settings import AccountSettings
from easytracking_sync.terms import MOST_IDS_PER_CALL, FileType

MOST_LIST_BYTES: Final = 256 * 1024 * 1024
"""A longer list is TooLarge, as with a 413: ask for a narrower window."""

_LOG_IN = Call("log in")
_LIST = Call("list", most_seconds=300, silence_seconds=120)
_RESERVE = Call("reserve")
_FETCH = Call("fetch", most_seconds=1800, silence_seconds=60)

_JOB_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_TYPE_FIELDS: Final = {
    FileType.FA: "fatturaOriginale",
    FileType.MT: "metadatoSDI",
    FileType.FU: "fatturaNonFirmata",
    FileType.FI: "fatturaIntermediario",
}


@dataclass(frozen=True, slots=True)
class Pending:
    """The job is not ready yet; `retry_after` in seconds, if the service named a pause."""

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """The whole body, `count` bytes, went to the sink. Only inspecting the parcel proves that it is complete."""

    count: int


def _checked(doc_ids: Collection[int]) -> list[int]:
    """The ids in ascending order, so that the same documents always make the same request."""
    ids = sorted(doc_ids)
    if not 1 <= len(ids) <= MOST_IDS_PER_CALL:
        raise ValueError(f"a call takes 1 to {MOST_IDS_PER_CALL} ids, not {len(ids)}")
    if ids[0] < 1 or ids[-1] > MOST_INT64 or len(set(ids)) != len(ids):
        raise ValueError("ids must be positive, fit 64 bits and differ from each other")
    return ids


class EasyTracking:
    """One account at the service, with one login and one set of connections. Threads may share it.

    Without a `network` it connects by the account's settings; UsageError names a `ca_file` or proxy that cannot be
    used. `zone` is the service's local time. `on_call` receives every exchange, in the thread that made it; it must
    neither raise nor block.

    Any call may raise ServiceUnavailable (no answer, 429, 5xx, a redirect, or an answer that is not the service's)
    and CredentialsRefused (the login or a fresh token was refused).
    """

    def __init__(
        self,
        settings: AccountSettings,
        *,
        label: str,
        clock: Clock,
        network: Network | None = None,
        zone: tzinfo = ROME,
        on_call: Callable[[CallEnded], object] | None = None,
    ) -> None:
        self._settings = settings
        self._zone = zone
        self._http = HttpClient(settings, label=label, clock=clock, network=network, on_call=on_call)
        self._tokens = Tokens(self._log_in, clock)
        self._base = f"{settings.endpoint.base_url}/api/{settings.route}"

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds the service's clock was ahead of ours in its last answer; None if it gave no time."""
        return self._http.clock_ahead

    def log_in(self) -> None:
        """Log in, even if a valid token is held (section 3)."""
        self._tokens.fresh()

    def list_documents(self, query: ListQuery) -> DocumentList:
        """List documents (section 4). TooLarge for a 413 or a list beyond 256 MiB; Refused for a 400 or 403."""
        with self._authorised(
            _LIST,
            "GET",
            "DownloadInvoices/passive-invoices",
            params=query.parameters,
            headers={"Accept-Encoding": "gzip"},
        ) as reply:
            if reply.status == 413:
                raise TooLarge(reply.problem("more than 100000 documents in this window; ask for a narrower one"))
            if reply.status != 200:
                reply.refuse()
            reply.expect_no_page()
            body = bytearray()
            for piece in reply.pieces(CallFailed):
                body += piece
                if len(body) > MOST_LIST_BYTES:
                    raise TooLarge(reply.problem(f"the list is longer than {MOST_LIST_BYTES} bytes"))
            try:
                return read_document_list(body, zone=self._zone)
            except ServiceUnavailable as error:
                raise ServiceUnavailable(reply.problem(str(error))) from error

    def reserve(self, doc_ids: Collection[int]) -> str:
        """Create a job with FA, MT and FU of 1 to 100 documents; return its jobId (section 5).

        Refused for a 400, or a 403 (an id is unknown or not permitted). A job whose answer was lost expires.
        """
        return self._reserve("DownloadInvoices/jobs", {"docIds": _checked(doc_ids)})

    def reserve_types(self, doc_ids: Collection[int], types: frozenset[FileType]) -> str:
        """Create a job with the chosen types, at least one (section 6)."""
        if not types:
            raise ValueError("a reservation needs at least one file type")
        chosen = {name: file_type in types for file_type, name in _TYPE_FIELDS.items()}
        return self._reserve("DownloadInvoices/jobs-select-type", {"docIds": _checked(doc_ids), **chosen})

    def fetch(self, job_id: str, sink: Callable[[bytes], object], most_bytes: int) -> Pending | Received:
        """Write the job's parcel, piece by piece, into `sink` (section 7). The service sends it only once.

        JobLost if the job or its parcel is lost: 400, 403, 404, 410; a body that breaks off, is empty, exceeds
        `most_bytes` or takes too long; a web page instead of a zip, which is not written to the sink. What the sink
        raises escapes unchanged; the job is then lost too.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError("a jobId is a GUID of 36 characters")
        with self._authorised(_FETCH, "GET", f"DownloadInvoices/jobs/{job_id}") as reply:
            if reply.status == 202:
                pause = reply.retry_after
                reply.excerpt()  # reads to the end, so that the connection can be reused
                return Pending(pause)
            if reply.status in {400, 403, 404, 410}:
                raise JobLost(reply.problem(f"the job is gone{reply.quoted()}; its documents are reserved again"))
            if not 200 <= reply.status < 300:
                raise reply.unavailable()
            return Received(reply.pour_parcel(sink, most_bytes))

    def set_phase_1(self, doc_ids: Collection[int]) -> None:
        """Mark 1 to 100 documents as downloaded (section 8). Refused for 400 and 403, with the service's message."""
        self._phase("set-fase-1", doc_ids)

    def clear_phase_1(self, doc_ids: Collection[int]) -> None:
        """Clear phase 1 (section 9); otherwise like `set_phase_1`."""
        self._phase("clear-fase-1", doc_ids)

    def set_phase_2(self, doc_ids: Collection[int]) -> None:
        """Set phase 2 (section 10); otherwise like `set_phase_1`."""
        self._phase("set-fase-2", doc_ids)

    def clear_phase_2(self, doc_ids: Collection[int]) -> None:
        """Clear phase 2 (section 11); otherwise like `set_phase_1`."""
        self._phase("clear-fase-2", doc_ids)

    def close(self) -> None:
        """Close the connections; calls under way are aborted."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reserve(self, path: str, request: Mapping[str, object]) -> str:
        with self._authorised(_RESERVE, "POST", path, request=request) as reply:
            if reply.status not in {200, 201, 202}:
                reply.refuse()
            job_id = _read_job_id(reply.small_body())
            if job_id is None:
                raise ServiceUnavailable(reply.problem(f"{reply.status} without a jobId of 36 characters"))
            return job_id

    def _phase(self, verb: str, doc_ids: Collection[int]) -> None:
        request = {"docIds": _checked(doc_ids)}
        with self._authorised(Call(verb), "POST", f"PassiveInvoices/{verb}", request=request) as reply:
            if reply.status not in {200, 202, 204}:
                reply.refuse()
            reply.expect_no_page()
            if reply.small_body().lstrip()[:1] == b"<":
                raise ServiceUnavailable(reply.problem("200 with a web page instead of the service's answer"))

    @contextlib.contextmanager
    def _authorised(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        request: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Reply]:
        """The reply to one call; after a 401, to the same call with a fresh token."""
        url = f"{self._base}/{path}"
        content = None if request is None else msgspec.json.encode(request)
        shared = {"Content-Type": "application/json", **(headers or {})}

        def send(token: str) -> contextlib.AbstractContextManager[Reply]:
            authorised = {**shared, "Authorization": f"Bearer {token}"}
            return self._http.exchange(call, method, url, headers=authorised, params=params, content=content)

        token = self._tokens.current()
        with send(token.text) as reply:
            if reply.status != 401:
                yield reply
                return
            reply.excerpt()  # reads to the end, so that the connection can be reused
        with send(self._tokens.renewed(token).text) as reply:
            if reply.status == 401:
                raise CredentialsRefused(
                    reply.problem(f"a fresh token was refused (401){reply.quoted()}; ask the vendor about this user")
                )
            yield reply

    def _log_in(self) -> str:
        """A new token. A failed login says nothing about the call that needs it, so it is never CallFailed."""
        try:
            return self._ask_for_token()
        except CallFailed as failed:
            raise ServiceUnavailable(str(failed), retry_after=failed.retry_after) from failed

    def _ask_for_token(self) -> str:
        request = {
            "apiName": API_NAME,
            "clientName": CLIENT_NAME,
            "clientSecret": self._settings.client_secret.get_secret_value(),
            "password": self._settings.password.get_secret_value(),
            "username": self._settings.username,
        }
        with self._http.exchange(
            _LOG_IN,
            "POST",
            f"{self._settings.endpoint.auth_base_url}/api/Token/AccessToken",
            headers={"Content-Type": "application/json"},
            content=msgspec.json.encode(request),
        ) as reply:
            if reply.status in {400, 401, 403}:
                raise CredentialsRefused(
                    reply.problem(f"refused ({reply.status}){reply.quoted()}; check the username and the password")
                )
            if reply.status != 200:
                raise reply.unavailable()
            token = read_token(reply.small_body())
            if token is None:
                raise ServiceUnavailable(reply.problem("200 without a token; check auth_base_url"))
            self._http.redactor.learn_token(token)
            return token


def _read_job_id(body: bytes) -> str | None:
    """The jobId in a reservation's answer; None if there is no GUID."""
    try:
        answer = read_value(body.removeprefix(BOM))
    except ValueError:
        return None
    job_id = answer.get("jobId") if isinstance(answer, dict) else None
    return job_id if isinstance(job_id, str) and _JOB_ID.fullmatch(job_id) else None
