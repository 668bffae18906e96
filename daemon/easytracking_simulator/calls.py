"""The nine calls by the rules of the vendor's document, and their paths; applies the faults of lists and parcels."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from easytracking_simulator import listing
from easytracking_simulator.document_files import FileGenerator
from easytracking_simulator.documents import Document
from easytracking_simulator.faults import ActiveFault, Call, Fault, Faults, Kind
from easytracking_simulator.http_messages import Reply, Request, bad_request, bare, json_reply
from easytracking_simulator.jobs import Job, Jobs
from easytracking_simulator.options import Counts, Options
from easytracking_simulator.parcel import draft
from easytracking_simulator.service_state import ServiceState
from easytracking_simulator.tokens import Tokens
from easytracking_simulator.zip_faults import ZIP_FAULTS, ZipFaultContext

BuildReply = Callable[[], Reply]
IDS_AT_ONCE = 100
LARGEST_ID = 2**63 - 1
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
CHOICES = {"fatturaOriginale": "FA", "metadatoSDI": "MT", "fatturaNonFirmata": "FU", "fatturaIntermediario": "FI"}
DEFAULT_TYPES = frozenset({"FA", "MT", "FU"})
PHASE = {Call.SET_1: (0, True), Call.CLEAR_1: (0, False), Call.SET_2: (1, True), Call.CLEAR_2: (1, False)}
TOKEN_PATH = "/api/Token/AccessToken"  # noqa: S105  a path
ROUTE = "/api/v10"
PATHS: Mapping[str, tuple[str, Call]] = {
    TOKEN_PATH: ("POST", Call.TOKEN),
    f"{ROUTE}/DownloadInvoices/passive-invoices": ("GET", Call.LIST),
    f"{ROUTE}/DownloadInvoices/jobs": ("POST", Call.JOBS),
    f"{ROUTE}/DownloadInvoices/jobs-select-type": ("POST", Call.JOBS_SELECT_TYPE),
    **{f"{ROUTE}/PassiveInvoices/{call}": ("POST", call) for call in PHASE},
}
JOB_PATH = re.compile(re.escape(f"{ROUTE}/DownloadInvoices/jobs/") + "([^/]+)")


def route(method: str, path: str) -> tuple[Call, str] | Reply:
    """The call and, for a fetch, the job's id; else a 404 or 405."""
    found = PATHS.get(path)
    job_id = ""
    if found is None and (match := JOB_PATH.fullmatch(path)):
        found, job_id = ("GET", Call.FETCH), match[1]
    if found is None:
        return bare(404)
    allowed, call = found
    return (call, job_id) if method == allowed else Reply(405, (("Allow", allowed),))


class BadInputError(Exception):
    """Answered by a 400 with this message."""


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One received call. `job_id` is set for a fetch; `account` is empty without a valid token."""

    call: Call
    request: Request
    job_id: str
    account: str
    now: datetime


def object_of(request: Request) -> dict[str, Any]:
    """The body as a JSON object; BadInputError if it is not one."""
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadInputError("il payload non è JSON valido") from None
    if not isinstance(value, dict):
        raise BadInputError("il payload non è un oggetto JSON")
    return value


def ids_of(payload: dict[str, Any]) -> tuple[int, ...]:
    """docIds, one to a hundred integers; BadInputError otherwise."""
    ids = payload.get("docIds")
    if not isinstance(ids, list) or not all(type(doc_id) is int and abs(doc_id) <= LARGEST_ID for doc_id in ids):
        raise BadInputError("docIds deve essere una lista di interi")
    if not 1 <= len(ids) <= IDS_AT_ONCE:
        raise BadInputError(f"docIds deve contenere da 1 a {IDS_AT_ONCE} id")
    return tuple(ids)


def check_varieties(faults: Iterable[Fault]) -> None:
    """Raise ValueError for a fault of an unknown variety."""
    for fault in faults:
        known = {Kind.ZIP: ZIP_FAULTS, Kind.ODD_ELEMENT: listing.ELEMENT_FAULTS}.get(fault.kind)
        if known is not None and fault.variety not in known:
            raise ValueError(f"no such variety of {fault.kind}: {fault.variety!r}; there are {', '.join(known)}")


class Calls:
    """Performs calls under the simulator's lock. The returned functions do the slow work without it."""

    def __init__(self, options: Options, register: ServiceState, content: FileGenerator) -> None:
        self.tokens = Tokens(options.seed, options.token_seconds)
        self.jobs = Jobs(options.seed, options.job_seconds)
        self._options = options
        self._state = register
        self._file_generator = content
        self._order = random.Random(f"{options.seed}/order")

    def perform(self, received: ReceivedCall, standing: Faults, active: ActiveFault | None) -> BuildReply:
        """Perform the call; return the function that builds the reply."""
        if received.call is Call.TOKEN:
            return self._token(received)
        if not received.account:
            return lambda: bare(401)
        try:
            return self._authorised(received, standing, active)
        except (BadInputError, listing.BadQueryError) as error:
            message = str(error)
            return lambda: bad_request(message)

    def _authorised(self, received: ReceivedCall, standing: Faults, active: ActiveFault | None) -> BuildReply:
        match received.call:
            case Call.LIST:
                return self._list(received, standing, active)
            case Call.FETCH:
                return self._fetch(received, active)
            case Call.JOBS | Call.JOBS_SELECT_TYPE:
                reply = self._reserve(received, standing)
            case _:
                reply = self._mark(received, standing)
        return lambda: reply

    def ready_job(self, received: ReceivedCall) -> Job | None:
        """The job whose parcel this fetch would receive."""
        job = self.jobs.find(received.job_id, received.account, received.now) if received.call is Call.FETCH else None
        return job if job and received.now >= job.ready_at else None

    def _token(self, received: ReceivedCall) -> BuildReply:
        options = self._options
        try:
            given = object_of(received.request)
        except BadInputError:
            return lambda: bare(401)
        constants = {
            "apiName": options.api_name,
            "clientName": options.client_name,
            "clientSecret": options.client_secret,
        }
        username = given.get("username")
        account = self._state.accounts.get(username) if isinstance(username, str) else None
        known = account is not None and given.get("password") == account.password
        if account is None or not known or any(given.get(name) != value for name, value in constants.items()):
            return lambda: bare(401)
        token = self.tokens.issue(account.username, received.now)
        return lambda: json_reply(token)

    def _list(self, received: ReceivedCall, standing: Faults, active: ActiveFault | None) -> BuildReply:
        options = self._options
        query = listing.read(
            received.request.fields(), range_required=options.range_required, inclusive=options.inclusive_day_count
        )
        found = self._wanted(query, received, standing)
        if options.shuffled:
            self._order.shuffle(found)
        shown = found[: query.top]
        total = len(found) if options.total_counts is Counts.MATCH else len(shown)
        counted = len(found) if options.cap_counts is Counts.MATCH else len(shown)
        if counted > (options.list_cap if standing.list_cap is None else standing.list_cap):
            return lambda: bare(413)
        compress = options.compress and "gzip" in received.request.header("Accept-Encoding")
        return lambda: listing.answer(shown, total, active, compress=compress)

    def would_list(self, received: ReceivedCall, standing: Faults) -> tuple[int, ...]:
        """The documents that a list matches; none where its query is refused."""
        try:
            query = listing.read(received.request.fields(), range_required=False, inclusive=False)
        except listing.BadQueryError:
            return ()
        return tuple(document.id for document in self._wanted(query, received, standing))

    def _wanted(self, query: listing.Query, received: ReceivedCall, standing: Faults) -> list[Document]:
        first, second = self._state.marked
        found: list[Document] = []
        for document in self._state.of(received.account):
            marked = (document.id in first and document.id not in standing.still_listed, document.id in second)
            if query.wants(document, marked):
                found.append(document)
        return found

    def _reserve(self, received: ReceivedCall, standing: Faults) -> Reply:
        payload = object_of(received.request)
        ids, types = ids_of(payload), DEFAULT_TYPES
        if received.call is Call.JOBS_SELECT_TYPE:
            types = _chosen(payload)
        if standing.refused.intersection(ids) or not self._state.permits(received.account, ids):
            return bare(403)
        job = self.jobs.reserve(received.account, tuple(dict.fromkeys(ids)), types, received.now)
        return json_reply({"jobId": job.id}, 202)

    def _fetch(self, received: ReceivedCall, active: ActiveFault | None) -> BuildReply:
        if not GUID.fullmatch(received.job_id):
            raise BadInputError("GUID non valido")
        job = self.jobs.find(received.job_id, received.account, received.now)
        if job is None:
            return lambda: bare(403)
        if active and active.fault.kind is Kind.EXPIRED:
            self.jobs.reset(job)
            return lambda: bare(403)
        if received.now < job.ready_at or (active and active.fault.kind is Kind.PENDING):
            return lambda: bare(202)
        self.jobs.reset(job)
        documents = self._state.present(job.ids)
        strangers = self._state.strangers(job.account, job.ids)
        return lambda: self._parcel(job, documents, strangers, active)

    def _parcel(
        self, job: Job, documents: list[Document], strangers: list[Document], active: ActiveFault | None
    ) -> Reply:
        parcel = draft(((document.id, self._file_generator.files(document)) for document in documents), job.types)
        if active and active.fault.kind is Kind.ZIP:
            stranger_files = tuple((document.id, self._file_generator.files(document)) for document in strangers)
            ZIP_FAULTS[active.fault.variety](ZipFaultContext(parcel, active.fault, active.rng, stranger_files))
        return Reply(200, (("Content-Type", "application/octet-stream"),), parcel.sealed())

    def _mark(self, received: ReceivedCall, standing: Faults) -> Reply:
        ids = ids_of(object_of(received.request))
        if standing.unmarkable.intersection(ids) or not self._state.permits(received.account, ids):
            return bare(403)
        phase, on = PHASE[received.call]
        marked = self._state.marked[phase]
        repeated = on and marked.issuperset(ids)
        (marked.update if on else marked.difference_update)(ids)
        return _repeated(self._options.repeated_phase_status) if repeated else bare(200)


def _chosen(payload: dict[str, Any]) -> frozenset[str]:
    wanted = {name: payload.get(name, False) for name in CHOICES}
    for name, value in wanted.items():
        if not isinstance(value, bool):
            raise BadInputError(f"{name} deve essere true o false")
    if not any(wanted.values()):
        raise BadInputError(f"almeno uno tra {', '.join(CHOICES)} deve essere true")
    return frozenset(CHOICES[name] for name, value in wanted.items() if value)


def _repeated(status: int) -> Reply:
    return bad_request("uno o più documenti hanno già la fase impostata") if status == 400 else bare(status)
