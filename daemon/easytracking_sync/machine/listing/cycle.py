"""Finding out what the service has: windows listed one by one, narrowed where an answer was cut short."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.intake import Absorbed, Listed
from easytracking_sync.effects import Clock
from easytracking_sync.errors import Refused, TooLarge
from easytracking_sync.machine import policy
from easytracking_sync.machine.account import Account, Gate
from easytracking_sync.machine.errands import marked_query
from easytracking_sync.machine.observer import Observer
from easytracking_sync.remote import Listing
from easytracking_sync.terms import MOST_LISTED, AcknowledgeWith, Window, WindowKind


@dataclass(frozen=True, slots=True)
class Span:
    """What part of an account's history to list, and which phase of it."""

    windows: tuple[Window, ...]
    marked_too: bool

    @classmethod
    def whole_history(cls, account: Account, now: datetime, *, marked_too: bool) -> Span:
        """Every reception window, then every document date: those alone show what has no reception time."""
        local = policy.local_now(now, account.timezone)
        received = policy.history_windows(account.history_from, local)
        last = (local + policy.NEWEST_WINDOW_AHEAD).date()
        dated = policy.date_windows(min(account.history_from, last), last)
        return cls((*received, *dated), marked_too)

    @classmethod
    def of_cycle(cls, account: Account, now: datetime, turn: int) -> Span:
        """The newest window, and one of the others in rotation, so that each has its turn."""
        newest, *older = cls.whole_history(account, now, marked_too=False).windows
        return cls((newest, *older[turn % len(older) :][:1]) if older else (newest,), marked_too=False)

    @classmethod
    def between(cls, start: datetime, end: datetime, *, marked_too: bool) -> Span:
        """Reception times from `start` to `end`, naive and local."""
        return cls(policy.received_windows(start, end), marked_too)


@dataclass(slots=True)
class _Task:
    window: Window
    marked: bool
    area: _Area


@dataclass(slots=True)
class _Area:
    """A window as it was asked for, whatever it was narrowed to."""

    window: Window
    begun_at: datetime | None = None
    left: int = 0
    complete: bool = True
    present: set[int] = field(default_factory=set)


class Intake(Protocol):
    """What takes in a listing: the archive's pool, or something that only counts."""

    def absorb(self, listed: Listed, now: datetime) -> Absorbed: ...

    def withdraw(
        self,
        account_id: int,
        window: Window,
        present: Collection[int],
        begun_at: datetime,
        *,
        receiver_piva: str | None = None,
        receiver_cf: str | None = None,
    ) -> int: ...


class Cycle:
    """One pass over a span of one account's history, one list call a step.

    A step that raises changes nothing and may be repeated: Transient, CredentialsRefused. A window the service
    refuses (400) is passed over and makes the cycle incomplete, as does one second that holds more than a list may.
    """

    def __init__(
        self,
        intake: Intake,
        gate: Gate,
        clock: Clock,
        observer: Observer,
        account: Account,
        span: Span,
    ) -> None:
        self.account = account
        self.absorbed = Absorbed()
        self.unreadable = 0
        self.truncated: list[Window] = []
        self.problems: list[str] = []
        self._intake = intake
        self._gate = gate
        self._clock = clock
        self._observer = observer
        self._begun_at = clock.now()
        self._windows = 0
        self._marked_too = span.marked_too
        self._tasks: deque[_Task] = deque(_tasks(span))

    @property
    def is_complete(self) -> bool:
        """Whether every window was listed whole."""
        return not (self._tasks or self.truncated or self.problems)

    def step(self) -> bool:
        """List one window and take in what it says; False once there is no more to list."""
        if not self._tasks:
            return False
        task = self._tasks[0]
        begun_at = self._clock.now()
        listing = self._list(task)
        self._windows += 1
        if listing is None or _is_truncated(listing):
            self._narrow(task, listing, begun_at)
        else:
            self._take_in(task, listing, begun_at)
            self._tasks.popleft()
            self._finish(task)
        return bool(self._tasks)

    def record(self, kind: str, outcome: str | None = None) -> CycleRecord:
        """The cycle so far, to be written down; `outcome` where it ended before its end."""
        return CycleRecord(
            account_id=self.account.id,
            kind=kind,
            begun_at=self._begun_at,
            windows=self._windows,
            listed=self.absorbed.listed,
            discovered=self.absorbed.discovered,
            unreadable=self.unreadable,
            outcome=outcome or ("complete" if self.is_complete else "; ".join(self.problems) or "truncated"),
        )

    def _list(self, task: _Task) -> Listing | None:
        """The service's answer; None where it is too large to be given, or refused."""
        query = marked_query(self.account, task.window, marked=task.marked)
        with self._gate.calling(self.account) as service:
            try:
                return service.list_documents(query)
            except TooLarge:
                return None
            except Refused as refusal:
                self.problems.append(str(refusal))
                task.area.complete = False
                return Listing((), None, (), 0)

    def _narrow(self, task: _Task, listing: Listing | None, begun_at: datetime) -> None:
        halves = task.window.halves()
        if halves is None:
            task.area.complete = False
            if task.window not in self.truncated:
                self.truncated.append(task.window)
            self._observer.note(
                "window.truncated", level="warning", account=self.account.label, at=task.window.start.isoformat()
            )
            if listing is not None:
                self._take_in(task, listing, begun_at)
            self._tasks.popleft()
            self._finish(task)
            return
        if listing is not None and task.window.end - task.window.start <= task.window.grain:
            task.area.complete = False  # between two seconds there may be fractions: take what came with both
            self._take_in(task, listing, begun_at)
        self._tasks.popleft()
        task.area.left += 1
        for half in halves:  # the later half ends up first: newest documents come home soonest
            self._tasks.appendleft(_Task(half, task.marked, task.area))

    def _take_in(self, task: _Task, listing: Listing, begun_at: datetime) -> None:
        account = self.account
        listed = Listed(
            account_id=account.id,
            documents=listing.documents,
            begun_at=begun_at,
            unmarked=not task.marked,
            on_relist=account.on_relist,
            acknowledges=account.acknowledge is not AcknowledgeWith.NONE,
        )
        self.absorbed += self._intake.absorb(listed, self._clock.now())
        self.unreadable += len(listing.unreadable)
        if listing.unreadable:
            self._observer.note(
                "element.unreadable", level="error", account=account.label, count=len(listing.unreadable)
            )
        area = task.area
        area.complete = area.complete and not listing.unreadable  # any document may be behind such an element
        area.begun_at = min(area.begun_at or begun_at, begun_at)
        if self._marked_too:
            area.present.update(document.doc_id for document in listing.documents)

    def _finish(self, task: _Task) -> None:
        """Once both phases of an area were listed whole, what is in neither was withdrawn by the service."""
        area = task.area
        area.left -= 1
        if area.left or not area.complete or not self._marked_too or area.begun_at is None:
            return
        if area.window.kind is WindowKind.RECEIVED:
            gone = self._intake.withdraw(
                self.account.id,
                area.window,
                area.present,
                area.begun_at,
                receiver_piva=self.account.receiver_piva,
                receiver_cf=self.account.receiver_cf,
            )
            if gone:
                self._observer.note("documents.withdrawn", level="warning", account=self.account.label, count=gone)
        area.present.clear()


def again(cycle: Cycle) -> Span | None:
    """What to list once more, after acknowledging: seconds that held more than one list may hold."""
    return Span(tuple(cycle.truncated), marked_too=False) if cycle.truncated else None


def _tasks(span: Span) -> Iterable[_Task]:
    phases: Sequence[bool] = (False, True) if span.marked_too else (False,)
    for window in span.windows:
        area = _Area(window, left=len(phases))
        for marked in phases:
            yield _Task(window, marked, area)


def _is_truncated(listing: Listing) -> bool:
    """413 apart, an answer was cut short if it is as long as one may be, or tells of more than it holds."""
    return listing.count >= MOST_LISTED or (listing.total or 0) > listing.count
