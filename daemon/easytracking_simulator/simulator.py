"""The service as a whole: requests in, answers out, the faults between, and the truth for those who test."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from easytracking_simulator import conformance
from easytracking_simulator.calls import Asked, BadInputError, Calls, check_varieties, ids_of, object_of
from easytracking_simulator.document_files import Content
from easytracking_simulator.documents import Document, File, revised
from easytracking_simulator.faults import GROUPS, Call, Fault, Faults, Kind, Struck, Weather
from easytracking_simulator.http_messages import Reply, Request, TearKind, bare
from easytracking_simulator.jobs import Job
from easytracking_simulator.options import Clock, Options
from easytracking_simulator.reply_faults import spoil
from easytracking_simulator.routes import route
from easytracking_simulator.service_state import Account, Register

JOURNAL = 20_000  # calls remembered
INSIDE = frozenset({Kind.ODD_ELEMENT, Kind.TOTAL_ABOVE, Kind.EMPTY_LIST, Kind.PENDING, Kind.EXPIRED, Kind.ZIP})
NEVER_ARRIVES = frozenset({TearKind.UNREACHABLE, TearKind.TIMEOUT, TearKind.LOST})


@dataclass(frozen=True, slots=True)
class Called:
    """One call in the journal. `status` is 0 when no answer arrived; `ids` are the body's or the job's."""

    at: datetime
    call: Call
    account: str
    status: int
    ids: tuple[int, ...]
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class TrueFile:
    """A file as a faultless fetch would bring it. `sha256` in hex, of the whole file."""

    type: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TrueDocument:
    """What the service holds about a document."""

    account: str
    id: int
    phase_1: bool
    phase_2: bool
    withdrawn: bool
    files: tuple[TrueFile, ...]


class Simulator:
    """A whole Easy Tracking service in one object. Thread-safe; deterministic for its options, its clock's
    instants and the sequence of calls. No socket, no wall clock, no global chance.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        check_varieties(options.faults.all())
        self.options = options
        self._clock = clock
        self._lock = threading.RLock()
        self._register = Register(options, clock.now())
        self._content = Content(options.seed)
        self._calls = Calls(options, self._register, self._content)
        self._weather = Weather(options.seed, options.faults)
        self._journal: deque[Called] = deque(maxlen=JOURNAL)
        self._counts: Counter[tuple[Call, str, int]] = Counter()
        self._lapses: Counter[str] = Counter()
        self._digests: dict[tuple[int, int], tuple[TrueFile, ...]] = {}

    def answer(self, request: Request) -> Reply:
        """One request, one reply; a reply that is not to arrive whole says so in its `fault`."""
        found = route(request.method, request.path)
        if isinstance(found, Reply):
            return found
        with self._lock:
            asked = self._asked(request, *found)
            ids = self._ids(asked)
            about = ids if asked.call is not Call.LIST else self._poisonous(asked)
            ready = self._calls.ready_job(asked) is not None
            struck = self._weather.strike(asked.call, asked.account, about, parcel=ready)
            applied = struck is None or struck.fault.is_applied or struck.fault.kind in INSIDE
            finish = self._calls.perform(asked, self._weather.standing, struck) if applied else None
            self._lapses.update(conformance.of(asked))
        reply = finish() if finish and not _in_vain(struck) else bare(0)
        reply = spoil(reply, struck) if struck else reply
        self._note(asked, ids, reply, struck)
        return reply

    def _asked(self, request: Request, call: Call, job_id: str) -> Asked:
        now = self._clock.now()
        self._register.advance(now)
        account = self._calls.tokens.username(request.header("Authorization"), now)
        return Asked(call, request, job_id, account, now)

    def _ids(self, asked: Asked) -> tuple[int, ...]:
        if asked.call is Call.FETCH:
            job = self._calls.jobs.find(asked.job_id, asked.account, asked.now)
            return job.ids if job else ()
        try:
            return ids_of(object_of(asked.request)) if asked.call not in {Call.TOKEN, Call.LIST} else ()
        except BadInputError:
            return ()

    def _poisonous(self, asked: Asked) -> tuple[int, ...]:
        standing = self._weather.standing
        return self._calls.would_list(asked, standing) if standing.poisons(Call.LIST) else ()

    def _note(self, asked: Asked, ids: tuple[int, ...], reply: Reply, struck: Struck | None) -> None:
        arrives = reply.fault is None or reply.fault.kind not in NEVER_ARRIVES
        status = reply.status if arrives else 0
        account = asked.account or _named(asked)
        with self._lock:
            self._journal.append(
                Called(asked.now, asked.call, account, status, ids, struck.fault if struck else None)
            )
            self._counts[asked.call, account, status] += 1

    # What goes wrong

    @property
    def faults(self) -> Faults:
        """The standing faults; set it to change them while the service runs."""
        return self._weather.standing

    @faults.setter
    def faults(self, faults: Faults) -> None:
        check_varieties(faults.all())
        with self._lock:
            self._weather.standing = faults

    def script(self, call: str, fault: Fault | None, *, times: int = 1, account: str | None = None) -> None:
        """The next `times` calls of that name or group (see GROUPS; "any" leaves the token call out) meet the fault,
        in the order of scripting; None lets them pass. What concerns a parcel waits for a job that is ready.
        """
        check_varieties([fault] if fault else [])
        with self._lock:
            self._weather.script(call, fault, times, account)

    def calm(self) -> None:
        """No more faults, neither scripted nor standing."""
        with self._lock:
            self._weather.clear()
            self._weather.standing = Faults()

    def scripted(self) -> int:
        """How many scripted faults have not come yet."""
        with self._lock:
            return self._weather.left()

    def revoke_tokens(self) -> None:
        """Every token issued so far is refused from now on."""
        with self._lock:
            self._calls.tokens.revoke()

    def set_password(self, username: str, password: str) -> None:
        """Another password for logins from now on; tokens stay valid."""
        with self._lock:
            self._register.accounts[username] = Account(username, password)

    # The portal: what others do to the documents meanwhile

    def add_document(
        self,
        account: str,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        *,
        doc_id: int | None = None,
        received_at: datetime | None = None,
        **fields: Any,
    ) -> int:
        """A new document, its id. `files` by type as (name, content); None: the simulator writes them. `fields`
        replace the list's, by its names (`number="77/C"`, None for null, WITHOUT_FIELD to leave one out);
        `received_at` is aware, now unless given.
        """
        with self._lock:
            document = self._register.write(account, received_at or self._clock.now(), doc_id)
            return self._register.put(revised(document, files, fields)).id

    def change_document(
        self, doc_id: int, files: Mapping[str, tuple[str, bytes]] | None = None, **fields: Any
    ) -> None:
        """Other content under the same id: these files, or a new revision; `fields` as in `add_document`."""
        with self._lock:
            document = self._register.document(doc_id)
            newer = replace(document, revision=document.revision + 1)
            self._register.put(revised(newer, files, fields))

    def withdraw(self, doc_id: int) -> None:
        """The document is gone: not listed, refused."""
        with self._lock:
            self._register.withdraw(doc_id)

    def set_phase(self, phase: int, ids: Iterable[int], *, on: bool = True) -> None:
        """Phase 1 or 2 set or cleared from the portal."""
        with self._lock:
            marked = self._register.marked[phase - 1]
            (marked.update if on else marked.difference_update)(ids)

    # The truth

    @property
    def accounts(self) -> tuple[Account, ...]:
        with self._lock:
            return tuple(self._register.accounts.values())

    def ids(self, account: str | None = None) -> tuple[int, ...]:
        """The documents there now, in the order of arrival, of one account or of all."""
        with self._lock:
            self._register.advance(self._clock.now())
            names = [account] if account else list(self._register.accounts)
            return tuple(document.id for name in names for document in self._register.of(name))

    def marked(self, phase: int = 1) -> frozenset[int]:
        """The documents whose phase 1 or 2 is set."""
        with self._lock:
            return frozenset(self._register.marked[phase - 1])

    def document(self, doc_id: int) -> Document:
        """KeyError when there is none."""
        with self._lock:
            return self._register.document(doc_id)

    def files(self, doc_id: int) -> tuple[File, ...]:
        """The document's files, FI included where there is one."""
        return self._content.files(self.document(doc_id))

    def truth(self, account: str | None = None) -> tuple[TrueDocument, ...]:
        """Every document there now with its files' digests; the first time, all contents are written for it."""
        return tuple(self.true_document(doc_id) for doc_id in self.ids(account))

    def true_document(self, doc_id: int) -> TrueDocument:
        """One document's truth, withdrawn ones too. KeyError when there is none."""
        document = self.document(doc_id)
        digests = self._digests.get((doc_id, document.revision)) or _digests(self._content.files(document))
        with self._lock:
            self._digests[doc_id, document.revision] = digests
            first, second = (doc_id in marked for marked in self._register.marked)
            return TrueDocument(document.account, doc_id, first, second, self._register.is_withdrawn(doc_id), digests)

    def open_jobs(self, account: str | None = None) -> tuple[Job, ...]:
        """Jobs reserved and neither answered nor known to have expired."""
        with self._lock:
            return self._calls.jobs.open(account)

    def journal(self, call: str | None = None) -> tuple[Called, ...]:
        """The last calls, oldest first, of one name or group or all."""
        with self._lock:
            return tuple(called for called in self._journal if call is None or called.call in GROUPS[call])

    def counts(self) -> dict[tuple[Call, str, int], int]:
        """How often each (call, account, status) was answered; status 0: no answer arrived."""
        with self._lock:
            return dict(self._counts)

    def count(self, call: str | None = None, *, account: str | None = None, status: int | None = None) -> int:
        """The sum of `counts` over what is not given."""
        return sum(
            number
            for (called, name, code), number in self.counts().items()
            if (call is None or called in GROUPS[call]) and account in {None, name} and status in {None, code}
        )

    def lapses(self) -> dict[str, int]:
        """Departures from the document in requests that were served all the same."""
        with self._lock:
            return dict(self._lapses)


def _in_vain(struck: Struck | None) -> bool:
    """Whether nothing of the answer is needed."""
    return struck is not None and struck.fault.kind in {
        Kind.STATUS,
        Kind.HTML,
        Kind.LOST,
        Kind.TIMEOUT,
        Kind.UNREACHABLE,
    }


def _named(asked: Asked) -> str:
    if asked.call is not Call.TOKEN:
        return ""
    try:
        return str(object_of(asked.request).get("username", ""))
    except BadInputError:
        return ""


def _digests(files: Iterable[File]) -> tuple[TrueFile, ...]:
    return tuple(TrueFile(f.type, f.name, len(f.body), hashlib.sha256(f.body).hexdigest()) for f in files)
