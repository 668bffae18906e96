"""The whole simulated service: answers requests, applies faults, and reports its true content to tests."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from easytracking_simulator import conformance
from easytracking_simulator.calls import BadInputError, Calls, ReceivedCall, check_varieties, ids_of, object_of, route
from easytracking_simulator.document_files import FileGenerator
from easytracking_simulator.documents import Document, File, revised
from easytracking_simulator.faults import GROUPS, ActiveFault, Call, Fault, Faults, FaultSchedule, Kind
from easytracking_simulator.http_messages import Reply, Request, TearKind, bare
from easytracking_simulator.jobs import Job
from easytracking_simulator.options import Clock, Options
from easytracking_simulator.reply_faults import spoil
from easytracking_simulator.service_state import Account, ServiceState

JOURNAL = 20_000  # calls remembered
APPLIED_INSIDE = frozenset(
    {Kind.ODD_ELEMENT, Kind.TOTAL_ABOVE, Kind.EMPTY_LIST, Kind.PENDING, Kind.EXPIRED, Kind.ZIP}
)
NEVER_ARRIVES = frozenset({TearKind.UNREACHABLE, TearKind.TIMEOUT, TearKind.LOST})


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One call in the journal. `status` is 0 if no answer arrived; `ids` are those of the body or the job."""

    at: datetime
    call: Call
    account: str
    status: int
    ids: tuple[int, ...]
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class TrueFile:
    """A file as a fetch without faults returns it. `sha256` in hex, of the whole file."""

    type: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TrueDocument:
    account: str
    id: int
    phase_1: bool
    phase_2: bool
    withdrawn: bool
    files: tuple[TrueFile, ...]


class Simulator:
    """A whole Easy Tracking service in one object. Thread-safe.

    Deterministic for its options, the times of its clock and the sequence of calls: it uses no socket, no wall clock
    and no global random numbers.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        check_varieties(options.faults.all())
        self.options = options
        self._clock = clock
        self._lock = threading.RLock()
        self._state = ServiceState(options, clock.now())
        self._file_generator = FileGenerator(options.seed)
        self._calls = Calls(options, self._state, self._file_generator)
        self._schedule = FaultSchedule(options.seed, options.faults)
        self._journal: deque[JournalEntry] = deque(maxlen=JOURNAL)
        self._counts: Counter[tuple[Call, str, int]] = Counter()
        self._lapses: Counter[str] = Counter()
        self._digests: dict[tuple[int, int], tuple[TrueFile, ...]] = {}

    def answer(self, request: Request) -> Reply:
        """Answer one request. The reply's `fault` says how it is to be broken off, if it is."""
        found = route(request.method, request.path)
        if isinstance(found, Reply):
            return found
        with self._lock:
            received = self._receive(request, *found)
            ids = self._ids(received)
            about = ids if received.call is not Call.LIST else self._poisonous(received)
            ready = self._calls.ready_job(received) is not None
            active = self._schedule.next_fault(received.call, received.account, about, parcel=ready)
            applied = active is None or active.fault.is_applied or active.fault.kind in APPLIED_INSIDE
            build_reply = self._calls.perform(received, self._schedule.standing, active) if applied else None
            self._lapses.update(conformance.of(received))
        reply = build_reply() if build_reply and not _needs_no_answer(active) else bare(0)
        reply = spoil(reply, active) if active else reply
        self._note(received, ids, reply, active)
        return reply

    def _receive(self, request: Request, call: Call, job_id: str) -> ReceivedCall:
        now = self._clock.now()
        self._state.advance(now)
        account = self._calls.tokens.username(request.header("Authorization"), now)
        return ReceivedCall(call, request, job_id, account, now)

    def _ids(self, received: ReceivedCall) -> tuple[int, ...]:
        if received.call is Call.FETCH:
            job = self._calls.jobs.find(received.job_id, received.account, received.now)
            return job.ids if job else ()
        try:
            return ids_of(object_of(received.request)) if received.call not in {Call.TOKEN, Call.LIST} else ()
        except BadInputError:
            return ()

    def _poisonous(self, received: ReceivedCall) -> tuple[int, ...]:
        standing = self._schedule.standing
        return self._calls.would_list(received, standing) if standing.poisons(Call.LIST) else ()

    def _note(self, received: ReceivedCall, ids: tuple[int, ...], reply: Reply, active: ActiveFault | None) -> None:
        arrives = reply.fault is None or reply.fault.kind not in NEVER_ARRIVES
        status = reply.status if arrives else 0
        account = received.account or _named(received)
        with self._lock:
            self._journal.append(
                JournalEntry(received.now, received.call, account, status, ids, active.fault if active else None)
            )
            self._counts[received.call, account, status] += 1

    # Faults

    @property
    def faults(self) -> Faults:
        """The standing faults; assign to replace them while the service runs."""
        return self._schedule.standing

    @faults.setter
    def faults(self, faults: Faults) -> None:
        check_varieties(faults.all())
        with self._lock:
            self._schedule.standing = faults

    def script(self, call: str, fault: Fault | None, *, times: int = 1, account: str | None = None) -> None:
        """Apply the fault to the next `times` calls of this name or group (see GROUPS; "any" excludes the login).

        Scripted faults apply in the order of scripting; None lets calls pass. A parcel's fault waits for a ready job.
        """
        check_varieties([fault] if fault else [])
        with self._lock:
            self._schedule.script(call, fault, times, account)

    def clear_faults(self) -> None:
        with self._lock:
            self._schedule.clear()
            self._schedule.standing = Faults()

    def scripted(self) -> int:
        """How many scripted faults were not applied yet."""
        with self._lock:
            return self._schedule.left()

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        with self._lock:
            self._calls.tokens.revoke()

    def set_password(self, username: str, password: str) -> None:
        """Change the password for logins; tokens stay valid."""
        with self._lock:
            self._state.accounts[username] = Account(username, password)

    # The portal: what others do to the documents

    def add_document(
        self,
        account: str,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        *,
        doc_id: int | None = None,
        received_at: datetime | None = None,
        **fields: Any,
    ) -> int:
        """Add a document; return its id. `files` by type as (name, content); None: the simulator writes them.

        `fields` replace the list's fields by name (`number="77/C"`, None for null, WITHOUT_FIELD to omit one).
        `received_at` is aware; now by default.
        """
        with self._lock:
            document = self._state.write(account, received_at or self._clock.now(), doc_id)
            return self._state.put(revised(document, files, fields)).id

    def change_document(
        self, doc_id: int, files: Mapping[str, tuple[str, bytes]] | None = None, **fields: Any
    ) -> None:
        """Change the content under the same id: these files, or a new revision; `fields` as in `add_document`."""
        with self._lock:
            document = self._state.document(doc_id)
            newer = replace(document, revision=document.revision + 1)
            self._state.put(revised(newer, files, fields))

    def withdraw(self, doc_id: int) -> None:
        """Withdraw the document: it is no longer listed, and calls that name it are refused."""
        with self._lock:
            self._state.withdraw(doc_id)

    def set_phase(self, phase: int, ids: Iterable[int], *, on: bool = True) -> None:
        """Set or clear phase 1 or 2 from the portal."""
        with self._lock:
            marked = self._state.marked[phase - 1]
            (marked.update if on else marked.difference_update)(ids)

    # The true content

    @property
    def accounts(self) -> tuple[Account, ...]:
        with self._lock:
            return tuple(self._state.accounts.values())

    def ids(self, account: str | None = None) -> tuple[int, ...]:
        """The present documents of one account or of all, in the order of arrival."""
        with self._lock:
            self._state.advance(self._clock.now())
            names = [account] if account else list(self._state.accounts)
            return tuple(document.id for name in names for document in self._state.of(name))

    def marked(self, phase: int = 1) -> frozenset[int]:
        """The documents whose phase 1 or 2 is set."""
        with self._lock:
            return frozenset(self._state.marked[phase - 1])

    def document(self, doc_id: int) -> Document:
        """KeyError if there is none."""
        with self._lock:
            return self._state.document(doc_id)

    def files(self, doc_id: int) -> tuple[File, ...]:
        """The document's files, including FI if there is one."""
        return self._file_generator.files(self.document(doc_id))

    def truth(self, account: str | None = None) -> tuple[TrueDocument, ...]:
        """Every present document with its files' digests. The first call writes all contents, which is slow."""
        return tuple(self.true_document(doc_id) for doc_id in self.ids(account))

    def true_document(self, doc_id: int) -> TrueDocument:
        """The true content of a document, also of a withdrawn one. KeyError if there is none."""
        document = self.document(doc_id)
        digests = self._digests.get((doc_id, document.revision)) or _digests(self._file_generator.files(document))
        with self._lock:
            self._digests[doc_id, document.revision] = digests
            first, second = (doc_id in marked for marked in self._state.marked)
            return TrueDocument(document.account, doc_id, first, second, self._state.is_withdrawn(doc_id), digests)

    def open_jobs(self, account: str | None = None) -> tuple[Job, ...]:
        """Jobs that were neither answered nor known to have expired."""
        with self._lock:
            return self._calls.jobs.open(account)

    def journal(self, call: str | None = None) -> tuple[JournalEntry, ...]:
        """The last calls of one name or group, or all; oldest first."""
        with self._lock:
            return tuple(entry for entry in self._journal if call is None or entry.call in GROUPS[call])

    def counts(self) -> dict[tuple[Call, str, int], int]:
        """The number of calls by (call, account, status); status 0: no answer arrived."""
        with self._lock:
            return dict(self._counts)

    def count(self, call: str | None = None, *, account: str | None = None, status: int | None = None) -> int:
        """The sum of the `counts` that match."""
        return sum(
            number
            for (entry, name, code), number in self.counts().items()
            if (call is None or entry in GROUPS[call]) and account in {None, name} and status in {None, code}
        )

    def lapses(self) -> dict[str, int]:
        """Deviations from the vendor's document in requests that were served nevertheless, with their numbers."""
        with self._lock:
            return dict(self._lapses)


def _needs_no_answer(active: ActiveFault | None) -> bool:
    """Whether the fault replaces the whole answer."""
    return active is not None and active.fault.kind in {
        Kind.STATUS,
        Kind.HTML,
        Kind.LOST,
        Kind.TIMEOUT,
        Kind.UNREACHABLE,
    }


def _named(received: ReceivedCall) -> str:
    if received.call is not Call.TOKEN:
        return ""
    try:
        return str(object_of(received.request).get("username", ""))
    except BadInputError:
        return ""


def _digests(files: Iterable[File]) -> tuple[TrueFile, ...]:
    return tuple(TrueFile(f.type, f.name, len(f.body), hashlib.sha256(f.body).hexdigest()) for f in files)
