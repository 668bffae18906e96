"""The state of the service: accounts, their documents, new arrivals, and the two phases."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from easytracking_simulator.documents import Document, DocumentGenerator
from easytracking_simulator.options import Options

IDS_PER_SECOND = 10
ARRIVALS_AT_ONCE = 1000  # after a jump of the clock, the rest arrives with the next calls


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str


class ServiceState:
    """All documents of all accounts. Not thread-safe: the simulator holds its lock."""

    def __init__(self, options: Options, now: datetime) -> None:
        names = tuple(f"demo{number}" for number in range(1, options.accounts + 1))
        secrets = random.Random(f"{options.seed}/passwords")
        self.accounts = {name: Account(name, f"{name}-{secrets.getrandbits(40):010x}") for name in names}
        self.marked: tuple[set[int], set[int]] = (set(), set())
        self._options = options
        self._zone = ZoneInfo(options.timezone)
        self._names = names
        self._generator = DocumentGenerator(options, names)
        self._documents: dict[int, Document] = {}
        self._of: dict[str, list[int]] = {name: [] for name in names}
        self._withdrawn: set[int] = set()
        self._arrived = 0
        self._until = options.until or now
        self._start = now
        self._write_history()

    def _write_history(self) -> None:
        chance = random.Random(f"{self._options.seed}/history")
        moments = sorted(chance.random() for _ in range(self._options.documents))
        for number in range(len(moments)):
            if number and chance.random() < 0.05:  # SDI delivers in bursts: some documents share a second
                moments[number] = moments[number - 1]
            back = timedelta(days=self._options.history_days * (1 - moments[number]))
            name = self._names[number % len(self._names)]
            self.put(self._generator.write(name, self.local(self._until - back)))
        self._first_arrival = self._generator.next_id

    def advance(self, now: datetime) -> None:
        """Add the documents that have arrived by now."""
        rate = self._options.arrivals_per_minute
        due = int((now - self._start) / timedelta(minutes=1) * rate) if rate and now > self._start else 0
        for _ in range(min(due - self._arrived, ARRIVALS_AT_ONCE)):
            self._arrived += 1
            name = self._names[self._arrived % len(self._names)]
            moment = self._start + timedelta(minutes=self._arrived / rate)
            # Ids grow with time, so that a restarted simulator never reuses one.
            elapsed = int((moment - self._until).total_seconds() * IDS_PER_SECOND)
            self.put(self._generator.write(name, self.local(moment), at_least=self._first_arrival + elapsed))

    def local(self, moment: datetime) -> datetime:
        """The platform's naive local time, to the second."""
        return moment.astimezone(self._zone).replace(tzinfo=None, microsecond=0)

    def put(self, document: Document) -> Document:
        """Add a document, or replace it by another version."""
        if document.id not in self._documents:
            self._of[document.account].append(document.id)
        self._documents[document.id] = document
        return document

    def write(self, account: str, now: datetime, doc_id: int | None = None) -> Document:
        """A new document received now; `put` adds it."""
        if account not in self.accounts:
            raise ValueError(f"no such account: {account!r}; there are {', '.join(self.accounts)}")
        if doc_id in self._documents:
            raise ValueError(f"document {doc_id} already exists; use change_document")
        return self._generator.write(account, self.local(now.astimezone(UTC)), doc_id)

    def document(self, doc_id: int) -> Document:
        """KeyError if there is none."""
        return self._documents[doc_id]

    def of(self, account: str) -> Iterator[Document]:
        """The account's documents, in the order of their arrival."""
        return (self._documents[doc_id] for doc_id in self._of[account] if doc_id not in self._withdrawn)

    def permits(self, account: str, ids: Iterable[int]) -> bool:
        """Whether all are documents of the account."""
        return all(
            doc_id in self._documents and self._documents[doc_id].account == account and doc_id not in self._withdrawn
            for doc_id in ids
        )

    def present(self, ids: Iterable[int]) -> list[Document]:
        """Those of the documents that were not withdrawn."""
        return [self._documents[doc_id] for doc_id in ids if doc_id not in self._withdrawn]

    def withdraw(self, doc_id: int) -> None:
        self._withdrawn.add(self._documents[doc_id].id)

    def is_withdrawn(self, doc_id: int) -> bool:
        return doc_id in self._withdrawn

    def strangers(self, account: str, ids: Iterable[int]) -> list[Document]:
        """A few documents of the account that are not among the ids."""
        taken, found = set(ids), []
        for document in self.of(account):
            if document.id not in taken:
                found.append(document)
            if len(found) == 3:
                break
        return found
