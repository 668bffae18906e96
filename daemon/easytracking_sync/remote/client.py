"""The nine calls of the service, one method each (vendor's document, sections 3 to 11).

What is sent is validated first: ValueError means a bug of ours. What goes wrong leaves as one of
`easytracking_sync.errors`; its message begins with the account and the call. Nothing is tried again here but
connecting, and one fresh login after a 401. Every call may be repeated, except that a job gives its parcel once.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from types import TracebackType
from typing import Final, Self, TypeGuard

import msgspec

from easytracking_sync.effects import Clock, Network
from easytracking_sync.environments import API_NAME, CLIENT_NAME
from easytracking_sync.errors import CallFailed, CredentialsRefused, JobLost, ServiceUnavailable, TooLarge
from easytracking_sync.lenient_json import BOM, MOST_INT64, read_value
from easytracking_sync.list_element import ROME
from easytracking_sync.remote.auth import Tokens, read_token
from easytracking_sync.remote.document_list import (
    Listing,
    ListQuery,
    read_listing,
)
from easytracking_sync.remote.endpoint import Endpoint
from easytracking_sync.remote.http_client import Call, CallEnded, HttpClient, Reply
from easytracking_sync.remote.reply_checks import expect_no_page, quoted, receive_parcel, refuse, unavailable
from easytracking_sync.terms import MOST_IDS_PER_CALL, FileType

MOST_LIST_BYTES: Final = 256 * 1024 * 1024
"""A list that inflates beyond it is TooLarge, as with a 413: it takes a narrower window."""

_LOG_IN = Call("log in")
_LIST = Call("list", most_seconds=300, silence_seconds=120)
_RESERVE = Call("reserve")
_FETCH = Call("fetch", most_seconds=1800, silence_seconds=60)

_TYPE_FIELDS: Final = {
    FileType.FA: "fatturaOriginale",
    FileType.MT: "metadatoSDI",
    FileType.FU: "fatturaNonFirmata",
    FileType.FI: "fatturaIntermediario",
}


@dataclass(frozen=True, slots=True)
class Pending:
    """The job is still being prepared; `retry_after` in seconds where the service named a pause."""

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """The body came to its end and `count` bytes went to the sink; only the parcel itself proves that it is whole."""

    count: int


_JOB_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def _is_job_id(text: object) -> TypeGuard[str]:
    """Whether this is a GUID of 36 characters (section 5)."""
    return isinstance(text, str) and _JOB_ID.fullmatch(text) is not None


def _checked(doc_ids: Collection[int]) -> list[int]:
    """Ascending, so that the same documents always make the same request."""
    ids = sorted(doc_ids)
    if not 1 <= len(ids) <= MOST_IDS_PER_CALL:
        raise ValueError(f"a call takes 1 to {MOST_IDS_PER_CALL} ids, not {len(ids)}")
    if ids[0] < 1 or ids[-1] > MOST_INT64 or len(set(ids)) != len(ids):
        raise ValueError("ids are positive, of 64 bits, and each is named once")
    return ids


class EasyTracking:
    """One account at the service. Threads may share it; they share its login and its connections.

    Without a `network`, connections are made as the endpoint asks, and UsageError names a `ca_file` that cannot be
    read. `zone` is the service's local time. `on_call` is told of every exchange, from the
    thread that made it; it must neither raise nor block.

    Any call may raise ServiceUnavailable (no answer, 429, 5xx, a redirect, or something that is not the service's)
    and CredentialsRefused (the login was refused, or a fresh token was).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        account: str,
        clock: Clock,
        user_agent: str,
        network: Network | None = None,
        zone: tzinfo = ROME,
        on_call: Callable[[CallEnded], object] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._zone = zone
        self._http = HttpClient(
            endpoint, account=account, clock=clock, user_agent=user_agent, network=network, on_call=on_call
        )
        self._tokens = Tokens(self._log_in, clock)
        self._base = f"{endpoint.base_url}/api/{endpoint.route}"

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds the service's clock was ahead of ours in its last answer; None where it did not say."""
        return self._http.clock_ahead

    def log_in(self) -> None:
        """A login in any case, whatever token is held (section 3)."""
        self._tokens.fresh()

    def list_documents(self, query: ListQuery) -> Listing:
        """What the service lists (section 4). TooLarge for a 413 or an enormous answer; Refused for a 400 or 403."""
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
                refuse(reply)
            expect_no_page(reply)
            body = bytearray()
            for piece in reply.pieces(CallFailed):
                body += piece
                if len(body) > MOST_LIST_BYTES:
                    raise TooLarge(reply.problem(f"the list is longer than {MOST_LIST_BYTES} bytes"))
            try:
                return read_listing(body, zone=self._zone)
            except ServiceUnavailable as error:
                raise ServiceUnavailable(reply.problem(str(error))) from error

    def reserve(self, doc_ids: Collection[int]) -> str:
        """A job with FA, MT and FU of 1 to 100 documents; its jobId (section 5).

        Refused (400, or 403: an id unknown or not permitted). A job whose answer was lost expires by itself.
        """
        return self._reserve("DownloadInvoices/jobs", {"docIds": _checked(doc_ids)})

    def reserve_types(self, doc_ids: Collection[int], types: frozenset[FileType]) -> str:
        """The same with chosen types, at least one (section 6)."""
        if not types:
            raise ValueError("a reservation names at least one file type")
        chosen = {name: file_type in types for file_type, name in _TYPE_FIELDS.items()}
        return self._reserve("DownloadInvoices/jobs-select-type", {"docIds": _checked(doc_ids), **chosen})

    def fetch(self, job_id: str, sink: Callable[[bytes], object], most_bytes: int) -> Pending | Received:
        """The job's parcel, piece by piece, into `sink` (section 7). It is given once, so the sink gets it once.

        JobLost where it cannot be had any more: 400, 403, 404, 410; a body that breaks off, is empty, exceeds
        `most_bytes` or takes too long; a page instead of a zip, which is not written to the sink. What the sink
        raises escapes unchanged, and the job must then be taken for lost.
        """
        if not _is_job_id(job_id):
            raise ValueError("a jobId is a GUID of 36 characters")
        with self._authorised(
            _FETCH,
            "GET",
            f"DownloadInvoices/jobs/{job_id}",
        ) as reply:
            if reply.status == 202:
                pause = reply.retry_after
                reply.error_text()  # to its end, so that the connection can be used again
                return Pending(pause)
            if reply.status in {400, 403, 404, 410}:
                raise JobLost(reply.problem(f"the job is gone{quoted(reply)}; its documents are reserved again"))
            if not 200 <= reply.status < 300:
                raise unavailable(reply)
            return Received(receive_parcel(reply, sink, most_bytes))

    def set_phase_1(self, doc_ids: Collection[int]) -> None:
        """Marks 1 to 100 documents as downloaded (section 8). Refused for 400 and 403, with what the service said."""
        self._phase("set-fase-1", doc_ids)

    def clear_phase_1(self, doc_ids: Collection[int]) -> None:
        """Takes the mark of phase 1 away (section 9); as `set_phase_1` otherwise."""
        self._phase("clear-fase-1", doc_ids)

    def set_phase_2(self, doc_ids: Collection[int]) -> None:
        """Marks phase 2 (section 10); as `set_phase_1` otherwise."""
        self._phase("set-fase-2", doc_ids)

    def clear_phase_2(self, doc_ids: Collection[int]) -> None:
        """Takes the mark of phase 2 away (section 11); as `set_phase_1` otherwise."""
        self._phase("clear-fase-2", doc_ids)

    def close(self) -> None:
        """Closes the connections; calls under way break off."""
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
                refuse(reply)
            try:
                answer = read_value(reply.small_body().removeprefix(BOM))
            except ValueError:
                answer = None
            job_id = answer.get("jobId") if isinstance(answer, dict) else None
            if not _is_job_id(job_id):
                raise ServiceUnavailable(
                    reply.problem(f"{reply.status}, but no jobId of 36 characters in its answer")
                )
            return job_id

    def _phase(self, verb: str, doc_ids: Collection[int]) -> None:
        request = {"docIds": _checked(doc_ids)}
        with self._authorised(Call(verb), "POST", f"PassiveInvoices/{verb}", request=request) as reply:
            if reply.status not in {200, 202, 204}:
                refuse(reply)
            expect_no_page(reply)
            if reply.small_body().lstrip()[:1] == b"<":
                raise ServiceUnavailable(reply.problem("200 with a page instead of the service's answer"))

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
        """The reply to one call with the token; after a 401, to the same call with a fresh one."""
        url = f"{self._base}/{path}"
        content = None if request is None else msgspec.json.encode(request)
        shared = {"Content-Type": "application/json", **(headers or {})}

        def send(token: str) -> contextlib.AbstractContextManager[Reply]:
            until = self._clock.monotonic() + call.most_seconds
            bearing = {**shared, "Authorization": f"Bearer {token}"}
            return self._http.exchange(
                call, method, url, until=until, headers=bearing, params=params, content=content
            )

        token = self._tokens.current()
        with send(token.text) as reply:
            if reply.status != 401:
                yield reply
                return
            reply.error_text()
        with send(self._tokens.renewed(token).text) as reply:
            if reply.status == 401:
                raise CredentialsRefused(
                    reply.problem(f"a fresh token was refused (401){quoted(reply)}; ask the vendor about this user")
                )
            yield reply

    def _log_in(self) -> str:
        """A new token. A login that fails says nothing about the call that needs it."""
        try:
            return self._ask_for_token()
        except CallFailed as failed:
            raise ServiceUnavailable(str(failed), retry_after=failed.retry_after) from failed

    def _ask_for_token(self) -> str:
        request = {
            "apiName": API_NAME,
            "clientName": CLIENT_NAME,
            "clientSecret": self._endpoint.client_secret,
            "password": self._endpoint.password,
            "username": self._endpoint.username,
        }
        url = f"{self._endpoint.auth_base_url}/api/Token/AccessToken"
        until = self._clock.monotonic() + _LOG_IN.most_seconds
        with self._http.exchange(
            _LOG_IN,
            "POST",
            url,
            until=until,
            headers={"Content-Type": "application/json"},
            content=msgspec.json.encode(request),
        ) as reply:
            if reply.status in {400, 401, 403}:
                raise CredentialsRefused(
                    reply.problem(f"refused ({reply.status}){quoted(reply)}; check the username and the password")
                )
            if reply.status != 200:
                raise unavailable(reply)
            token = read_token(reply.small_body())
            if token is None:
                raise ServiceUnavailable(reply.problem("200, but its answer is not a token; check auth_base_url"))
            self._http.censor.learn(token)
            return token
