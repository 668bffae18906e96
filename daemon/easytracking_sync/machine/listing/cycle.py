"""One cycle: lists an account's windows one by one and splits those whose list is truncated or does not come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from easytracking_sync.archive.cycles import GAPS, CycleRecord
from easytracking_sync.effects import Clock
from easytracking_sync.errors import CallFailed, Refused, TooLarge, Transient
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.batch_effects import marked_query
from easytracking_sync.machine.circuit_breaker import CircuitBreaker
from easytracking_sync.machine.intake import IntakeCounts, ReceivedList
from easytracking_sync.machine.listing.narrowing import Failures, Narrowing
from easytracking_sync.machine.listing.scope import Scope
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import local_now
from easytracking_sync.remote import DocumentList
from easytracking_sync.terms import MOST_LISTED, AcknowledgeWith, Gap, ListedWindow, Window, WindowKind


@dataclass(slots=True)
class _Task:
    window: Window
    marked: bool
    area: _WindowProgress
    failures: Failures = field(default_factory=Failures)


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

    def withdraw(self, listed: ListedWindow) -> int: ...


class Cycle:
    """Lists one account's scope, one list call per step.

    A step that raises Transient or CredentialsRefused has listed nothing and may be repeated. A window that the
    service refuses (400, 403), or fails over while it answers others, is narrowed: the rest is listed, and what is
    not is in `gaps` and `problems`. The cycle is also incomplete if one second has more documents than a list
    may return. `known_gaps` are those of earlier cycles: they are tried on their own, and the rest around them.
    """

    def __init__(
        self,
        intake: Intake,
        circuit_breaker: CircuitBreaker,
        clock: Clock,
        observer: Observer,
        account: Account,
        scope: Scope,
        known_gaps: Callable[[], Collection[Gap]] = tuple,
    ) -> None:
        self.account = account
        self.absorbed = IntakeCounts()
        self.unreadable = 0
        self.truncated: list[Window] = []
        self.problems: list[str] = []
        self.gaps: list[Gap] = []
        self.covered: list[Window] = []  # windows of the scope that were listed to their end, gaps or not
        self._intake = intake
        self._circuit_breaker = circuit_breaker
        self._clock = clock
        self._observer = observer
        self._begun_at = clock.now()
        self._windows = 0
        self._marked_too = scope.marked_too
        self._narrowing = Narrowing()
        self._scope = scope
        self._known_gaps: Callable[[], Collection[Gap]] | None = known_gaps
        self._tasks: deque[_Task] = deque(_tasks(scope, ()))

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
        if self._known_gaps is not None:
            self._tasks = deque(_tasks(self._scope, self._known_gaps()))
            self._known_gaps = None
        task = self._tasks[0]
        begun_at = self._clock.now()
        try:
            listing = self._list(task)
        except Refused as refusal:
            self._bisect(task, str(refusal))
            return bool(self._tasks)
        except CallFailed as failed:
            if not self._narrowing.blames(task.failures, self._probe):
                self._tasks.rotate(-1)  # the others are listed meanwhile
                raise
            self._bisect(task, str(failed))
            return bool(self._tasks)
        self._narrowing.answered()
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
            gaps=tuple(self.gaps),
            covered=tuple(self.covered),
            marked_too=self._marked_too,
            outcome=outcome or self._outcome,
        )

    @property
    def _outcome(self) -> str:
        if self.is_complete:
            return "complete"
        return GAPS if self.gaps and not (self._tasks or self.truncated) else "truncated"

    def _list(self, task: _Task) -> DocumentList | None:
        """The service's list; None if it is too large. Refused escapes, and so does what is Transient."""
        query = marked_query(self.account, task.window, marked=task.marked)
        with self._circuit_breaker.calling(self.account) as service:
            try:
                return service.list_documents(query)
            except TooLarge:
                return None

    def _probe(self) -> bool:
        """Whether the service lists one second of this moment, which is not at fault."""
        now = local_now(self._clock.now(), self.account.timezone)
        second = Window(WindowKind.RECEIVED, now - timedelta(seconds=1), now)
        try:
            with self._circuit_breaker.calling(self.account) as service:
                service.list_documents(replace(marked_query(self.account, second, marked=False), top=1))
        except Transient:
            return False
        except (Refused, TooLarge):
            return True
        return True

    def _bisect(self, task: _Task, reason: str) -> None:
        """Look for the part of the window that the service does not list. Where it is found, it is left out."""
        self._tasks.remove(task)
        halves = task.window.halves()
        if self._narrowing.may_halve() and halves is not None:
            task.area.left += 1
            for half in halves:
                part = Failures(is_part=True, answers=self._narrowing.answers)
                self._tasks.appendleft(_Task(half, task.marked, task.area, part))
            return
        task.area.complete = False
        gap = Gap(task.window, task.marked, reason)
        if gap not in self.gaps:  # halves touch, so both may end at the second at fault
            self._note_gap(gap)
        self._finish(task)

    def _note_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.problems.append(gap.reason)
        start, end = gap.window.start.isoformat(), gap.window.end.isoformat()
        self._observer.note(
            EventName.WINDOW_UNLISTABLE, account=self.account.label, start=start, end=end, reason=gap.reason
        )

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
        if not area.left:
            self.covered.append(area.window)
        if area.left or not area.complete or not self._marked_too or area.begun_at is None:
            return
        if area.window.kind is WindowKind.RECEIVED:
            settings = self.account.settings
            gone = self._intake.withdraw(
                ListedWindow(
                    self.account.id,
                    area.window,
                    area.present,
                    area.begun_at,
                    settings.receiver_piva,
                    settings.receiver_cf,
                )
            )
            if gone:
                self._observer.note(EventName.DOCUMENTS_WITHDRAWN, account=self.account.label, count=gone)
        area.present.clear()


def _tasks(scope: Scope, known_gaps: Collection[Gap]) -> Iterable[_Task]:
    phases: Sequence[bool] = (False, True) if scope.marked_too else (False,)
    for window in scope.windows:
        area = _WindowProgress(window)
        for marked in phases:
            mine = [gap.window for gap in known_gaps if gap.marked is marked and window.contains(gap.window)]
            parts = window.around(mine)
            area.left += len(parts) + len(mine)
            yield from (_Task(part, marked, area) for part in parts)
            yield from (_Task(gap, marked, area, Failures(is_part=True)) for gap in mine)


def _is_truncated(listing: DocumentList) -> bool:
    """Whether a list has the maximum length, or a `total` above its length. (A 413 is handled by the caller.)"""
    return listing.count >= MOST_LISTED or (listing.total or 0) > listing.count
