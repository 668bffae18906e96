"""The nine calls, by the rules of the vendor's document; no faults but those that shape an answer from within."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from easytracking_simulator import listing
from easytracking_simulator.document_files import Content
from easytracking_simulator.documents import Document
from easytracking_simulator.faults import Call, Fault, Faults, Kind, Struck
from easytracking_simulator.http_messages import Reply, Request, bad_request, bare, json_reply
from easytracking_simulator.jobs import Job, Jobs
from easytracking_simulator.options import Counts, Options
from easytracking_simulator.parcel import draft
from easytracking_simulator.service_state import Register
from easytracking_simulator.tokens import Tokens
from easytracking_simulator.zip_faults import TRICKS, Scene

Finish = Callable[[], Reply]
IDS_AT_ONCE = 100
LARGEST_ID = 2**63 - 1
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
CHOICES = {"fatturaOriginale": "FA", "metadatoSDI": "MT", "fatturaNonFirmata": "FU", "fatturaIntermediario": "FI"}
DEFAULT_TYPES = frozenset({"FA", "MT", "FU"})
PHASE = {Call.SET_1: (0, True), Call.CLEAR_1: (0, False), Call.SET_2: (1, True), Call.CLEAR_2: (1, False)}


class BadInputError(Exception):
    """A 400; its text is the message."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as it came: whose, what, when. `job_id` is the fetch's, `account` empty without a valid token."""

    call: Call
    request: Request
    job_id: str
    account: str
    now: datetime


def object_of(request: Request) -> dict[str, Any]:
    """The body as a JSON object; BadInputError when it is not one."""
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadInputError("il payload non è JSON valido") from None
    if not isinstance(value, dict):
        raise BadInputError("il payload non è un oggetto JSON")
    return value


def ids_of(payload: dict[str, Any]) -> tuple[int, ...]:
    """docIds: one to a hundred integers; BadInputError when they are not."""
    ids = payload.get("docIds")
    if not isinstance(ids, list) or not all(type(doc_id) is int and abs(doc_id) <= LARGEST_ID for doc_id in ids):
        raise BadInputError("docIds deve essere una lista di interi")
    if not 1 <= len(ids) <= IDS_AT_ONCE:
        raise BadInputError(f"docIds deve contenere da 1 a {IDS_AT_ONCE} id")
    return tuple(ids)


def check_varieties(faults: Iterable[Fault]) -> None:
    """Raise ValueError for a fault whose variety nobody knows."""
    for fault in faults:
        known = {Kind.ZIP: TRICKS, Kind.ODD_ELEMENT: listing.ODDITIES}.get(fault.kind)
        if known is not None and fault.variety not in known:
            raise ValueError(f"no such variety of {fault.kind}: {fault.variety!r}; there are {', '.join(known)}")


class Calls:
    """Performs a call under the simulator's lock; what takes long is left to the function that it returns."""

    def __init__(self, options: Options, register: Register, content: Content) -> None:
        self.tokens = Tokens(options.seed, options.token_seconds)
        self.jobs = Jobs(options.seed, options.job_seconds)
        self._options = options
        self._register = register
        self._content = content
        self._order = random.Random(f"{options.seed}/order")

    def perform(self, asked: Asked, standing: Faults, struck: Struck | None) -> Finish:
        """Do what is asked, and give back what writes the answer."""
        if asked.call is Call.TOKEN:
            return self._token(asked)
        if not asked.account:
            return lambda: bare(401)
        try:
            return self._authorised(asked, standing, struck)
        except (BadInputError, listing.BadQueryError) as error:
            message = str(error)
            return lambda: bad_request(message)

    def _authorised(self, asked: Asked, standing: Faults, struck: Struck | None) -> Finish:
        match asked.call:
            case Call.LIST:
                return self._list(asked, standing, struck)
            case Call.FETCH:
                return self._fetch(asked, struck)
            case Call.JOBS | Call.JOBS_SELECT_TYPE:
                reply = self._reserve(asked, standing)
            case _:
                reply = self._mark(asked, standing)
        return lambda: reply

    def ready_job(self, asked: Asked) -> Job | None:
        """The job that a fetch would be answered with."""
        job = self.jobs.find(asked.job_id, asked.account, asked.now) if asked.call is Call.FETCH else None
        return job if job and asked.now >= job.ready_at else None

    def _token(self, asked: Asked) -> Finish:
        options = self._options
        try:
            given = object_of(asked.request)
        except BadInputError:
            return lambda: bare(401)
        constants = {
            "apiName": options.api_name,
            "clientName": options.client_name,
            "clientSecret": options.client_secret,
        }
        username = given.get("username")
        account = self._register.accounts.get(username) if isinstance(username, str) else None
        known = account is not None and given.get("password") == account.password
        if account is None or not known or any(given.get(name) != value for name, value in constants.items()):
            return lambda: bare(401)
        token = self.tokens.issue(account.username, asked.now)
        return lambda: json_reply(token)

    def _list(self, asked: Asked, standing: Faults, struck: Struck | None) -> Finish:
        options = self._options
        query = listing.read(
            asked.request.fields(), range_required=options.range_required, inclusive=options.inclusive_day_count
        )
        found = self._wanted(query, asked, standing)
        if options.shuffled:
            self._order.shuffle(found)
        shown = found[: query.top]
        total = len(found) if options.total_counts is Counts.MATCH else len(shown)
        counted = len(found) if options.cap_counts is Counts.MATCH else len(shown)
        if counted > (options.list_cap if standing.list_cap is None else standing.list_cap):
            return lambda: bare(413)
        compress = options.compress and "gzip" in asked.request.header("Accept-Encoding")
        return lambda: listing.answer(shown, total, struck, compress=compress)

    def would_list(self, asked: Asked, standing: Faults) -> tuple[int, ...]:
        """The documents that a list matches; none where its query is refused."""
        try:
            query = listing.read(asked.request.fields(), range_required=False, inclusive=False)
        except listing.BadQueryError:
            return ()
        return tuple(document.id for document in self._wanted(query, asked, standing))

    def _wanted(self, query: listing.Query, asked: Asked, standing: Faults) -> list[Document]:
        first, second = self._register.marked
        found: list[Document] = []
        for document in self._register.of(asked.account):
            marked = (document.id in first and document.id not in standing.still_listed, document.id in second)
            if query.wants(document, marked):
                found.append(document)
        return found

    def _reserve(self, asked: Asked, standing: Faults) -> Reply:
        payload = object_of(asked.request)
        ids, types = ids_of(payload), DEFAULT_TYPES
        if asked.call is Call.JOBS_SELECT_TYPE:
            types = _chosen(payload)
        if standing.refused.intersection(ids) or not self._register.permits(asked.account, ids):
            return bare(403)
        job = self.jobs.reserve(asked.account, tuple(dict.fromkeys(ids)), types, asked.now)
        return json_reply({"jobId": job.id}, 202)

    def _fetch(self, asked: Asked, struck: Struck | None) -> Finish:
        if not GUID.fullmatch(asked.job_id):
            raise BadInputError("GUID non valido")
        job = self.jobs.find(asked.job_id, asked.account, asked.now)
        if job is None:
            return lambda: bare(403)
        if struck and struck.fault.kind is Kind.EXPIRED:
            self.jobs.reset(job)
            return lambda: bare(403)
        if asked.now < job.ready_at or (struck and struck.fault.kind is Kind.PENDING):
            return lambda: bare(202)
        self.jobs.reset(job)
        documents = self._register.present(job.ids)
        strangers = self._register.strangers(job.account, job.ids)
        return lambda: self._parcel(job, documents, strangers, struck)

    def _parcel(self, job: Job, documents: list[Document], strangers: list[Document], struck: Struck | None) -> Reply:
        parcel = draft(((document.id, self._content.files(document)) for document in documents), job.types)
        if struck and struck.fault.kind is Kind.ZIP:
            strange = tuple((document.id, self._content.files(document)) for document in strangers)
            TRICKS[struck.fault.variety](Scene(parcel, struck.fault, struck.dice, strange))
        return Reply(200, (("Content-Type", "application/octet-stream"),), parcel.sealed())

    def _mark(self, asked: Asked, standing: Faults) -> Reply:
        ids = ids_of(object_of(asked.request))
        if standing.unmarkable.intersection(ids) or not self._register.permits(asked.account, ids):
            return bare(403)
        phase, on = PHASE[asked.call]
        marked = self._register.marked[phase]
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
