"""One cycle: lists an account's windows one by one and splits those whose list is truncated."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.effects import Clock
from easytracking_sync.errors import Refused, TooLarge
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.batch_effects import marked_query
from easytracking_sync.machine.circuit_breaker import CircuitBreaker
from easytracking_sync.machine.intake import IntakeCounts, ReceivedList
from easytracking_sync.machine.listing.scope import Scope
from easytracking_sync.machine.observer import Observer
from easytracking_sync.remote import DocumentList
from easytracking_sync.terms import MOST_LISTED, AcknowledgeWith, Window, WindowKind


@dataclass(slots=True)
class _Task:
    window: Window
    marked: bool
    area: _WindowProgress


@dataclass(slots=True)
class _WindowProgress:
    """A window of the scope, and what was found in its parts."""

    window: Window
    begun_at: datetime | None = None
    left: int = 0
    complete: bool = True
    present: set[int] = field(default_factory=set)


class Intake(Protocol):
    """Receives what is listed: the archive's pool, or a comparison that stores nothing."""

    def take_in(self, listed: ReceivedList, now: datetime) -> IntakeCounts: ...

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
    """Lists one account's scope, one list call per step.

    A step that raises Transient or CredentialsRefused has changed nothing and may be repeated. The cycle is
    incomplete if the service refuses a window (400), which is skipped, or if one second has more documents than a
    list may return.
    """

    def __init__(
        self,
        intake: Intake,
        circuit_breaker: CircuitBreaker,
        clock: Clock,
        observer: Observer,
        account: Account,
        scope: Scope,
    ) -> None:
        self.account = account
        self.absorbed = IntakeCounts()
        self.unreadable = 0
        self.truncated: list[Window] = []
        self.problems: list[str] = []
        self._intake = intake
        self._circuit_breaker = circuit_breaker
        self._clock = clock
        self._observer = observer
        self._begun_at = clock.now()
        self._windows = 0
        self._marked_too = scope.marked_too
        self._tasks: deque[_Task] = deque(_tasks(scope))

    @property
    def is_complete(self) -> bool:
        """Whether every window was listed completely."""
        return not (self._tasks or self.truncated or self.problems)

    @property
    def remainder(self) -> Scope | None:
        """The seconds with more documents than a list may return: to be listed again after acknowledging some."""
        return Scope(tuple(self.truncated), marked_too=False) if self.truncated else None

    def step(self) -> bool:
        """List one window and take in its documents; False when nothing is left to list."""
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
        """The cycle so far, for the archive; `outcome` says why it stopped early."""
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

    def _list(self, task: _Task) -> DocumentList | None:
        """The service's list; None if it is too large. Empty if the service refuses the window."""
        query = marked_query(self.account, task.window, marked=task.marked)
        with self._circuit_breaker.calling(self.account) as service:
            try:
                return service.list_documents(query)
            except TooLarge:
                return None
            except Refused as refusal:
                self.problems.append(str(refusal))
                task.area.complete = False
                return DocumentList((), None, (), 0)

    def _narrow(self, task: _Task, listing: DocumentList | None, begun_at: datetime) -> None:
        halves = task.window.halves()
        if halves is None:
            task.area.complete = False
            if task.window not in self.truncated:
                self.truncated.append(task.window)
            self._observer.note(
                EventName.WINDOW_TRUNCATED, account=self.account.label, at=task.window.start.isoformat()
            )
            if listing is not None:
                self._take_in(task, listing, begun_at)
            self._tasks.popleft()
            self._finish(task)
            return
        if listing is not None and task.window.end - task.window.start <= task.window.grain:
            task.area.complete = False  # documents may have times between the two seconds
            self._take_in(task, listing, begun_at)
        self._tasks.popleft()
        task.area.left += 1
        for half in halves:  # the later half becomes the first task: newest documents first
            self._tasks.appendleft(_Task(half, task.marked, task.area))

    def _take_in(self, task: _Task, listing: DocumentList, begun_at: datetime) -> None:
        account = self.account
        listed = ReceivedList(
            account_id=account.id,
            documents=listing.documents,
            begun_at=begun_at,
            unmarked=not task.marked,
            on_relist=account.settings.on_relist,
            acknowledges=account.settings.acknowledge is not AcknowledgeWith.NONE,
        )
        self.absorbed += self._intake.take_in(listed, self._clock.now())
        self.unreadable += len(listing.unreadable)
        if listing.unreadable:
            self._observer.note(EventName.ELEMENT_UNREADABLE, account=account.label, count=len(listing.unreadable))
        area = task.area
        area.complete = area.complete and not listing.unreadable  # an unreadable element may be any document
        area.begun_at = min(area.begun_at or begun_at, begun_at)
        if self._marked_too:
            area.present.update(document.doc_id for document in listing.documents)

    def _finish(self, task: _Task) -> None:
        """A document that is missing from the complete lists of both phases was withdrawn by the service."""
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
                receiver_piva=self.account.settings.receiver_piva,
                receiver_cf=self.account.settings.receiver_cf,
            )
            if gone:
                self._observer.note(EventName.DOCUMENTS_WITHDRAWN, account=self.account.label, count=gone)
        area.present.clear()


def _tasks(scope: Scope) -> Iterable[_Task]:
    phases: Sequence[bool] = (False, True) if scope.marked_too else (False,)
    for window in scope.windows:
        area = _WindowProgress(window, left=len(phases))
        for marked in phases:
            yield _Task(window, marked, area)


def _is_truncated(listing: DocumentList) -> bool:
    """Whether a list has the maximum length, or a `total` above its length. (A 413 is handled by the caller.)"""
    return listing.count >= MOST_LISTED or (listing.total or 0) > listing.count
